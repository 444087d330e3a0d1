"""Objectives: batch -> scalar loss. One file per family; each is a thin module around functions of `geometry`.

Every registered objective is here under its class name: ``modalign.objectives.Clip()``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import public, registry

if TYPE_CHECKING:
    from .base import Objective, nothing
    from .pairwise import Pairwise, matched
    from .teacher import Teacher
    from .total import build, pull
    from .tuples import Tuples
    from .weighting import Balance, Schedule, Uncertainty, Weighting

_HOMES = {
    "base": "Objective nothing",
    "pairwise": "Pairwise matched",
    "teacher": "Teacher",
    "total": "build pull",
    "tuples": "Tuples",
    "weighting": "Balance Schedule Uncertainty Weighting",
}
_parts = partial(registry.by_class, "objective")

__all__ = [
    "Balance", "Objective", "Pairwise", "Schedule", "Teacher", "Tuples", "Uncertainty", "Weighting", "build", "matched",
    "nothing", "pull",
]  # fmt: skip

__getattr__, __dir__ = public.lazily(__name__, _HOMES, _parts)
