"""What 0.1 called otherwise: an old name goes on, with a warning, or its error says what to write now.

The tables are all there is to know, and the changelog says the same (a test compares them). Warnings and module go with
version 0.3.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
else:  # importing it takes longer than all of this package
    Loader = object

#: Modules, and names in them, that still work. What lies below a module goes with it.
FORWARDED = {
    "modalign.budget": "modalign.views",
    "modalign.captioner": "modalign.model.captioner",
    "modalign.checkpoint": "modalign.training.checkpoint",
    "modalign.config": "modalign.specification",
    "modalign.embed": "modalign.features",
    "modalign.embed.local": "modalign.features.embed",
    "modalign.encoders": "modalign.features.encoders",
    "modalign.finetune": "modalign.training.finetune",
    "modalign.gradcache": "modalign.training.gradcache",
    "modalign.groups": "modalign.views.groups",
    "modalign.heads": "modalign.model.heads",
    "modalign.heads.Features": "modalign.model.heads.FeatureMap",
    "modalign.heads.Hubs": "modalign.model.heads.LocalScaling",
    "modalign.heads.Map": "modalign.model.heads.Projection",
    "modalign.media": "modalign.data.media",
    "modalign.mixing": "modalign.training.mixing",
    "modalign.sampling": "modalign.training.sampling",
    "modalign.store": "modalign.features.store",
    "modalign.train": "modalign.training.loop",
    "modalign.train.Schedule": "modalign.training.settings.TrainingSettings",
    "modalign.geometry.contrast.covariance": "modalign.geometry.dispersion.covariance",
    "modalign.geometry.contrast.uniformity": "modalign.geometry.dispersion.uniformity",
    "modalign.geometry.contrast.variance": "modalign.geometry.dispersion.variance",
    "modalign.geometry.correlation.Spectrum": "modalign.geometry.correlation.PrincipalAxes",
    "modalign.geometry.correlation.spectrum": "modalign.geometry.correlation.principal_axes",
    "modalign.geometry.graph.Spectrum": "modalign.geometry.graph.SpectralGaps",
    "modalign.geometry.graph.spectrum": "modalign.geometry.graph.spectral_gaps",
    "modalign.geometry.neighbours.Similarity": "modalign.geometry.neighbours.Scorer",
    "modalign.geometry.transport.ChunkedPlan": "modalign.geometry.transport.Plan",
    "modalign.geometry.volume.mean_spectrum": "modalign.geometry.volume.mean_singular_values",
    "modalign.geometry.volume.spectrum": "modalign.geometry.volume.singular_values",
    "modalign.methods.aligner": "modalign.estimator",
    "modalign.methods.hubs": "modalign.methods.local_scaling",
    "modalign.methods.presets": "modalign.methods",
    "modalign.methods.space": "modalign.methods.canonical_space",
    "modalign.methods.space.Space": "modalign.methods.canonical_space.CanonicalSpace",
    "modalign.objectives.annotations": "modalign.data.annotations",
    "modalign.robustness.Aligned": "modalign.views.Aligned",
    "modalign.robustness.aligned": "modalign.views.aligned",
    "modalign.robustness.compose": "modalign.views.compose",
    "modalign.robustness.lose": "modalign.views.lose",
    "modalign.robustness.presence": "modalign.views.presence",
    "modalign.robustness.side": "modalign.views.side",
    "modalign.search.Settings": "modalign.search.AnnSettings",
}

#: Modules and names whose meaning changed, or that would hide a function of their name, and what to write instead.
REPLACED = {
    "modalign.demo": "the command modalign demo, or modalign.bench.demo.run_demo",
    "modalign.diagnose": "ma.diagnose, or the modules of modalign.diagnosis",
    "modalign.evaluate": "ma.evaluate",
    "modalign.geometry.transport.solve_chunked": "solve(problem, Solver(rows=...))",
    "modalign.geometry.transport.transport_loss": "solve(Problem(between(x, y)), Solver(...)).objective",
    "modalign.report.load": "modalign.Run and modalign.Result",
    "modalign.run": "modalign.Run",
    "modalign.search.index_table": "modalign.search.index_run, which returns plain values",
    "modalign.search.table": "modalign.search.search_run, which returns plain values",
    "modalign.workflow": "the modules of modalign.runs, by their functions",
}

#: Packages whose modules went elsewhere, since a module would hide the function of its name.
EMPTIED = {"modalign.datasets": "modalign.data"}

#: Settings of specifications and suites, by what an unknown one is called.
SETTINGS = {
    ("setting", "arrays"): "data.arrays",
    ("setting", "holdout"): "data.holdout",
    ("method", "klot"): "sotalign",
}


def moved(name: str) -> str | None:
    """Where a dotted name of 0.1 is now; None where it has not moved.

    Example:
        >>> moved("modalign.encoders.text"), moved("modalign.search.Settings"), moved("modalign.views")
        ('modalign.features.encoders.text', 'modalign.search.AnnSettings', None)
    """
    place, below = name, ""
    while place not in FORWARDED:
        place, dot, last = place.rpartition(".")
        below = f".{last}{below}"
        if not dot:
            return None
    return FORWARDED[place] + below


def instead(name: str) -> str | None:
    """What to write for a name of 0.1 that is no longer there, as a sentence; None where there is nothing to say.

    Example:
        >>> instead("modalign.evaluate")
        'modalign.evaluate is no longer there: write ma.evaluate'
    """
    parent, _, last = name.rpartition(".")
    if name in REPLACED:
        return f"{name} is no longer there: write {REPLACED[name]}"
    if parent in EMPTIED and _exists(f"{EMPTIED[parent]}.{last}"):
        return f"the module {name} is now {EMPTIED[parent]}.{last}"
    return None


def setting(kind: str, name: object) -> str | None:
    """What a setting of 0.1 is called now; one of [data] has the place of today."""
    return None if "[data]" in kind else SETTINGS.get((kind.partition(" ")[0], str(name)))


def value(module: str, name: str) -> Any:
    """What a name of 0.1 in a module stands for: a module's ``__getattr__`` for names that it has no longer.

    Raises:
        AttributeError: no such name, or one that cannot go on; says what to write now.
    """
    old = f"{module}.{name}"
    if old not in FORWARDED:
        raise AttributeError(instead(old) or f"module '{module}' has no attribute '{name}'")
    _warn(old, FORWARDED[old])
    home, _, new = FORWARDED[old].rpartition(".")
    return getattr(importlib.import_module(home), new)


def names_of(module: str) -> Callable[[str], Any]:
    """``value`` for one module: its ``__getattr__``."""
    return partial(value, module)


class _Old(ModuleType):
    """A module under its old name: what is asked of it is looked up in the new one."""

    def __init__(self, name: str, doc: str) -> None:
        super().__init__(name, doc)
        self.__path__ = []  # what lies below it is found here, too, and no file is loaded a second time

    def __getattr__(self, name: str) -> Any:
        if f"{self.__name__}.{name}" in FORWARDED:
            return value(self.__name__, name)
        return getattr(importlib.import_module(moved(self.__name__) or ""), name)


class _Finder(Loader):
    """Finds the old modules, after all others; imports them only when they are asked for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The old module, or an error that says what to write instead."""
        if not name.startswith("modalign."):
            return None
        if (said := instead(name)) is not None:
            raise ModuleNotFoundError(said, name=name)
        new = moved(name)
        return ModuleSpec(name, self, is_package=True) if new is not None and _exists(new) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The old module, once the new one is there."""
        new = moved(spec.name) or ""
        importlib.import_module(new)
        _warn(spec.name, new)
        return _Old(spec.name, f"Now {new}.")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run."""


def _exists(module: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what stands before its last point is no package
        return False


def _warn(old: str, new: str) -> None:
    """A DeprecationWarning at the line of the user's that has the old name."""
    inner, frame = (os.path.dirname(__file__), os.path.dirname(importlib.__file__), "<frozen"), sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inner):
        frame = frame.f_back
    warnings.warn_explicit(
        f"{old} is now {new}; the old name goes with version 0.3",
        DeprecationWarning, frame.f_code.co_filename, frame.f_lineno,
    )  # fmt: skip


sys.meta_path.append(_Finder())
