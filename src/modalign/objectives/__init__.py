"""Objectives: batch -> scalar loss. One file per family; each is a thin module around functions of `geometry`.

Every registered objective is here under its class name: ``modalign.objectives.Clip()``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .. import public, registry

if TYPE_CHECKING:
    from .base import Objective, nothing
    from .collapse import pull
    from .pairwise import Pairwise, matched
    from .teacher import Teacher
    from .total import build
    from .tuples import Tuples
    from .weighting import Balance, Schedule, Uncertainty, Weighting

_HOMES = {
    "Balance": "weighting",
    "Objective": "base",
    "Pairwise": "pairwise",
    "Schedule": "weighting",
    "Teacher": "teacher",
    "Tuples": "tuples",
    "Uncertainty": "weighting",
    "Weighting": "weighting",
    "build": "total",
    "matched": "pairwise",
    "nothing": "base",
    "pull": "collapse",
}
_parts = partial(registry.by_class, "objective")

__all__ = [
    "Balance",
    "Objective",
    "Pairwise",
    "Schedule",
    "Teacher",
    "Tuples",
    "Uncertainty",
    "Weighting",
    "build",
    "matched",
    "nothing",
    "pull",
]


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES, _parts)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES, _parts)
