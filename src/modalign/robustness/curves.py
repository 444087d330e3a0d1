"""Curves of retrieval against how badly the input is treated: joint intervals, area under them, what is retained.

Reference: relative robustness as area under the curve: Liang et al. 2021, MultiBench, arXiv 2107.07502, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError
from ..metrics.entries import Ranking
from ..metrics.measures import any_hit
from ..metrics.recall import KS
from ..metrics.score import Score, bootstrap_means, group_sums, percentile_interval

SAMPLES = 1000


class Hits(NamedTuple):
    """What queries found: value (n, K) any-hit Recall@k of each query, group (n,), chance: its mean at random."""

    value: Tensor
    group: Tensor
    chance: float


def hits(r: Ranking, group: Tensor, ks: Sequence[int] = KS) -> Hits:
    """Any-hit Recall@k of each asked query of a ranking.

    Args:
        r: with at least one positive. group: (n,) of each query. ks: depths.

    Raises:
        ModalignError: no query has a positive.
    """
    if len(r.query) == 0:
        raise ModalignError("no query has its partner in the gallery: there is nothing to find")
    random = r.chance()
    chance = sum(float(any_hit(random, k).mean()) for k in ks) / len(ks)
    return Hits(torch.stack([any_hit(r, k) for k in ks], 1), group[r.asked], chance)


@dataclass(frozen=True)
class Curve:
    """Mean recall at rising levels of ill-treatment.

    levels: ascending; the first is the untouched input. scores: mean recall (over k and directions) at each.
    area: area under the curve over the range of levels: the mean height. retained: area over the first score.
    draws: (samples, levels) joint bootstrap values, for differences between curves of the same items.
    """

    levels: tuple[float, ...]
    scores: tuple[Score, ...]
    area: Score
    retained: Score
    draws: Tensor = field(repr=False, compare=False)

    def json(self) -> dict[str, Any]:
        """Plain values, without the draws."""
        return {
            "levels": list(self.levels),
            "scores": [s.json() for s in self.scores],
            "area": self.area.json(),
            "retained": self.retained.json(),
        }

    def minus(self, other: Curve) -> Score:
        """Difference of the areas, its interval from the same draws of groups."""
        if self.levels != other.levels or self.draws.shape != other.draws.shape:
            raise ModalignError("curves with different levels or items have no common difference")
        w = _weights(self.levels)
        low, high = percentile_interval((self.draws - other.draws) @ w)
        return Score(self.area.value - other.area.value, low=low, high=high)


def curve(levels: Sequence[float], found: Sequence[Sequence[Hits]], seed: int = 0) -> Curve:
    """A curve from what queries found at each level.

    Args:
        levels: ascending, at least two.
        found: per level, one Hits per direction (or any other part that counts alike).
        seed: of the bootstrap over groups, whose draws all levels share.

    Raises:
        ModalignError: levels that do not ascend, or as many entries as levels are not given.

    Example:
        >>> good, bad = (Hits(torch.full((20, 1), v), torch.arange(20), 0.05) for v in (1.0, 0.5))
        >>> c = curve([0.0, 1.0], [[good], [bad]])
        >>> c.area.value, c.retained.value, [s.value for s in c.scores]
        (0.75, 0.75, [1.0, 0.5])
    """
    if len(levels) < 2 or list(levels) != sorted(set(levels)) or len(found) != len(levels):
        raise ModalignError(f"a curve needs two or more ascending levels with their results, got {list(levels)}")
    values, draws = zip(*(_level(parts, seed) for parts in _together(found)), strict=True)
    table = torch.stack(draws, 1)
    scores = []
    for value, column, parts in zip(values, table.T, found, strict=True):
        low, high = percentile_interval(column)
        scores.append(Score(value, low=low, high=high, chance=sum(p.chance for p in parts) / len(parts)))
    w = _weights(levels)
    heights = table @ w
    area = float(torch.tensor(values, dtype=torch.float64) @ w)
    start = values[0]
    retained = heights / table[:, 0].clamp(min=1e-12)
    return Curve(
        tuple(float(v) for v in levels),
        tuple(scores),
        Score(area, True, None, None, *percentile_interval(heights)),
        Score(area / start if start > 0 else 0.0, True, None, None, *percentile_interval(retained)),
        table,
    )


def score_of(parts: Sequence[Hits], seed: int = 0) -> Score:
    """Mean recall of one condition, with interval and chance."""
    value, draws = _level(_together([parts])[0], seed)
    low, high = percentile_interval(draws)
    return Score(value, low=low, high=high, chance=sum(p.chance for p in parts) / len(parts))


def worst(scores: Mapping[str, Score]) -> tuple[str, Score]:
    """Name and score of the worst condition.

    Example:
        >>> worst({"a": Score(0.5), "b": Score(0.2)})[0]
        'b'
    """
    name = min(scores, key=lambda n: scores[n].value)
    return name, scores[name]


def _weights(levels: Sequence[float]) -> Tensor:
    """Weights of the trapezoid rule over the range of the levels; they add up to 1."""
    x = torch.tensor(levels, dtype=torch.float64)
    step = x.diff() / (x[-1] - x[0])
    w = torch.zeros_like(x)
    w[:-1] += step / 2
    w[1:] += step / 2
    return w


class _Sums(NamedTuple):
    sums: Tensor
    counts: Tensor


def _together(found: Sequence[Sequence[Hits]]) -> list[_Sums]:
    """Per level: sums and counts by group, (g, parts x K), over the groups of all levels."""
    ids = torch.unique(torch.cat([h.group for parts in found for h in parts]))
    out = []
    for parts in found:
        columns = []
        for h in parts:
            where = torch.searchsorted(ids, torch.unique(h.group))
            for k in range(h.value.shape[1]):
                sums, counts = group_sums(h.value[:, k], h.group)
                column = torch.zeros(2, len(ids), dtype=torch.float64)
                column[0, where], column[1, where] = sums, counts
                columns.append(column)
        stacked = torch.stack(columns, 2)
        out.append(_Sums(stacked[0], stacked[1]))
    return out


def _level(s: _Sums, seed: int) -> tuple[float, Tensor]:
    """Mean recall and its bootstrap values."""
    value = float((s.sums.sum(0) / s.counts.sum(0)).mean())
    return value, bootstrap_means(s.sums, s.counts, SAMPLES, seed).mean(1)
