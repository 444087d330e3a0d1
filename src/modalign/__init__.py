"""modalign: geometric alignment of multimodal representations.

    import modalign as ma
    aligner = ma.Aligner().fit(X, Y)          # two feature arrays, rows paired
    Z = aligner.transform(X, side="x")        # unit rows in the shared space

Names are loaded on first use, so that importing the package, and the program's help, stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import geometry, metrics, objectives
    from .errors import ModalignError
    from .methods.aligner import Aligner
    from .metrics.evaluate import evaluate
    from .model import Model
    from .model import load_model as load
    from .registry import make, names, register
    from .views import Batch, Views

_HOMES = {
    "Aligner": ("methods.aligner", "Aligner"),
    "Batch": ("views", "Batch"),
    "Model": ("model", "Model"),
    "ModalignError": ("errors", "ModalignError"),
    "Views": ("views", "Views"),
    "evaluate": ("metrics.evaluate", "evaluate"),
    "load": ("model", "load_model"),
    "make": ("registry", "make"),
    "names": ("registry", "names"),
    "register": ("registry", "register"),
}
_PACKAGES = ("data", "features", "geometry", "methods", "metrics", "objectives", "report", "search")

__all__ = [
    "Aligner", "Batch", "Model", "ModalignError", "Views", "evaluate", "geometry", "load", "make", "metrics", "names",
    "objectives", "register",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(importlib.import_module(f".{module}", __name__), attribute)
    if name in _PACKAGES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'modalign' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_PACKAGES})
