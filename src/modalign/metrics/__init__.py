"""Scores of an aligned space: value, interval, chance value.

Every registered metric is here under its class name: ``modalign.metrics.Procrustes()(z)``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import public, registry

if TYPE_CHECKING:
    from .found import Found
    from .key import Key
    from .ranking import find, find_all, rank, rank_both, rank_scores
    from .score import Measure, Metric, Score, Unit

_HOMES = {
    "found": "Found",
    "key": "Key",
    "ranking": "find find_all rank rank_both rank_scores",
    "score": "Measure Metric Score Unit",
}
_parts = partial(registry.by_class, "metric")

__all__ = ["Found", "Key", "Measure", "Metric", "Score", "Unit", "find", "find_all", "rank", "rank_both", "rank_scores"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES, _parts)
