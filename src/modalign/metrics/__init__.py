"""Scores of an aligned space: value, interval, chance value.

Every registered metric is here under its class name: ``modalign.metrics.Procrustes()(z)``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .. import public, registry

if TYPE_CHECKING:
    from .found import Found
    from .key import Key
    from .ranking import find, find_all, rank, rank_scores
    from .score import Measure, Metric, Score, Unit

_HOMES = {
    "Measure": "score",
    "Metric": "score",
    "Found": "found",
    "Key": "key",
    "Score": "score",
    "Unit": "score",
    "find": "ranking",
    "find_all": "ranking",
    "rank": "ranking",
    "rank_scores": "ranking",
}
_parts = partial(registry.by_class, "metric")

__all__ = [
    "Found", "Key", "Measure", "Metric", "Score", "Unit", "find", "find_all", "rank", "rank_scores",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES, _parts)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES, _parts)
