"""Curves of retrieval against how badly the input is treated: joint intervals, area under them, what is retained.

Reference: relative robustness as area under the curve: Liang et al. 2021, MultiBench, arXiv 2107.07502, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError
from ..metrics.intervals import percentile_interval
from ..metrics.mean_recall import MEAN_RECALL, mean_of, sums_of
from ..metrics.score import Measure, Score

SAMPLES = 1000
AREA = Measure(
    "Area under the curve", "share", "Mean height of the curve over its range of levels.", topic="Robustness"
)
RETAINED = Measure("Retained", "ratio", "Area under the curve over the untouched score.", topic="Robustness")


@dataclass(frozen=True)
class Curve:
    """Mean recall at rising levels of ill-treatment.

    levels: ascending; the first is the untouched input. scores: mean recall (over k and directions) at each.
    area: area under the curve over the range of levels: the mean height. retained: area over the first score, NaN where
        that is 0.
    draws: (samples, levels) joint bootstrap values, for differences between curves of the same items.
    drawn: (g,) ids of the groups behind the draws, ascending. seed: of the draws.
    """

    levels: tuple[float, ...]
    scores: tuple[Score, ...]
    area: Score
    retained: Score
    draws: Tensor = field(repr=False, compare=False)
    drawn: Tensor = field(repr=False, compare=False)
    seed: int = field(default=0, repr=False, compare=False)

    def json(self) -> dict[str, Any]:
        """Plain values, without the draws."""
        return {
            "levels": list(self.levels),
            "scores": [s.json() for s in self.scores],
            "area": self.area.json(),
            "retained": self.retained.json(),
        }

    @classmethod
    def from_json(cls, table: Mapping[str, Any], where: str = "curve") -> Curve:
        """A curve from what ``json`` wrote; it has no draws any more."""
        scores = tuple(Score.from_json(s, f"{where}.scores[{i}]") for i, s in enumerate(table["scores"]))
        levels = tuple(float(v) for v in table["levels"])
        area, retained = (Score.from_json(table[k], f"{where}.{k}") for k in ("area", "retained"))
        if not scores or len(scores) != len(levels):
            raise ModalignError(f"scores are damaged: {where} has {len(scores)} scores at {len(levels)} levels")
        return cls(levels, scores, area, retained, torch.empty(0, len(levels)), torch.empty(0, dtype=torch.long))

    def minus(self, other: Curve) -> Score:
        """Difference of the areas, its interval from the same draws of groups.

        Raises:
            ModalignError: curves of other levels, groups or draws, or read from a file, where no draws are kept.
        """
        if not len(self.draws) or not len(other.draws):
            raise ModalignError("a curve that was read from a file has no draws to subtract: measure both curves anew")
        if self.levels != other.levels or not torch.equal(self.drawn, other.drawn):
            raise ModalignError("curves with different levels or items have no common difference")
        if self.seed != other.seed:
            raise ModalignError(f"curves of the seeds {self.seed} and {other.seed} have no draws in common: use one")
        w = _weights(self.levels)
        low, high = percentile_interval((self.draws - other.draws) @ w)
        return replace(self.area, value=self.area.value - other.area.value, low=low, high=high)


def curve(
    levels: Sequence[float], found: Sequence[Sequence[Score]], seed: int = 0, measure: Measure = MEAN_RECALL
) -> Curve:
    """A curve from what queries found at each level.

    Args:
        levels: ascending, at least two.
        found: per level, scores with per-item values that count alike, such as ``recalls`` of every direction.
        seed: of the bootstrap over groups, whose draws all levels share.
        measure: what the mean of a level's scores is called.

    Raises:
        ModalignError: levels that do not ascend, or as many entries as levels are not given.

    Example:
        >>> good, bad = (Score(v, per_item=torch.full((20,), v), group=torch.arange(20)) for v in (1.0, 0.5))
        >>> c = curve([0.0, 1.0], [[good], [bad]])
        >>> c.area.value, c.retained.value, [s.value for s in c.scores]
        (0.75, 0.75, [1.0, 0.5])
    """
    if len(levels) < 2 or list(levels) != sorted(set(levels)) or len(found) != len(levels):
        raise ModalignError(f"a curve needs two or more ascending levels with their results, got {list(levels)}")
    ids = torch.unique(torch.cat([sums_of(parts).ids for parts in found]))
    table = torch.stack([sums_of(parts, ids).draws(SAMPLES, seed) for parts in found], 1)
    scores = []
    for parts, column in zip(found, table.T, strict=True):
        low, high = percentile_interval(column)
        scores.append(replace(mean_of([parts], measure, samples=0), low=low, high=high))
    w = _weights(levels)
    heights = table @ w
    area = float(torch.tensor([s.value for s in scores], dtype=torch.float64) @ w)
    start = scores[0].value
    shares = torch.where(table[:, 0] > 0, heights / table[:, 0], torch.nan)
    return Curve(
        tuple(float(v) for v in levels),
        tuple(scores),
        _over(AREA, measure, area, heights),
        _over(RETAINED, measure, area / start if start > 0 else math.nan, shares),
        table,
        ids,
        seed,
    )


def _over(what: Measure, measure: Measure, value: float, draws: Tensor) -> Score:
    low, high = percentile_interval(draws) if value == value else (None, None)
    return replace(what, higher_is_better=measure.higher_is_better).score(value, low=low, high=high)


def worst(scores: Mapping[str, Score]) -> tuple[str, Score]:
    """Name and score of the worst condition.

    Example:
        >>> worst({"a": Score(0.5), "b": Score(0.2)})[0]
        'b'
    """
    name = min(scores, key=lambda n: scores[n].value if scores[n].higher_is_better else -scores[n].value)
    return name, scores[name]


def _weights(levels: Sequence[float]) -> Tensor:
    """Weights of the trapezoid rule over the range of the levels; they add up to 1."""
    x = torch.tensor(levels, dtype=torch.float64)
    step = x.diff() / (x[-1] - x[0])
    w = torch.zeros_like(x)
    w[:-1] += step / 2
    w[1:] += step / 2
    return w
