"""modalign: geometric alignment of multimodal representations.

    import modalign as ma
    aligner = ma.Aligner().fit(X, Y)          # two feature arrays, rows paired
    Z = aligner.transform(X, side="x")        # unit rows in the shared space

Everything is reached from here: the names below, the packages (``ma.geometry.transport``, ``ma.robustness``, ...) and,
in the package of each family, every registered part under its class name (``ma.metrics.Procrustes``,
``ma.objectives.Clip``, ``ma.methods.Full``, ``ma.datasets.coco``). Names are loaded on first use, so that importing
the package, and the program's help, stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import public

__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from . import datasets, geometry, methods, metrics, objectives, robustness
    from .diagnosis import diagnose
    from .errors import ModalignError
    from .estimator import Aligner
    from .metrics.evaluate import evaluate
    from .migration import migrate
    from .model import Model
    from .model import load_model as load
    from .registry import make, names, register
    from .runs.result import Result
    from .runs.run import Run
    from .views import Batch, Views

_HOMES = {
    "diagnosis": "diagnose",
    "errors": "ModalignError",
    "estimator": "Aligner",
    "metrics.evaluate": "evaluate",
    "migration": "migrate",
    "model": "Model load=load_model",
    "registry": "make names register",
    "runs.result": "Result",
    "runs.run": "Run",
    "views": "Batch Views",
}

__all__ = [
    "Aligner", "Batch", "Model", "ModalignError", "Result", "Run", "Views", "datasets", "diagnose", "evaluate",
    "geometry", "load", "make", "methods", "metrics", "migrate", "names", "objectives", "register", "robustness",
]  # fmt: skip

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
