"""A metric's value, its samples and its interval; and what a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views


@dataclass(frozen=True)
class Score:
    """One number with what is needed to judge it.

    Args:
        value: the metric on all items.
        higher_is_better: direction.
        per_item: (n,) values whose mean is ``value``; None for metrics of whole sets (Procrustes, CKA, BLEU).
        group: (n,) group of each item: the unit that is resampled, so that five captions of one photo move together.
        low, high: ends of the interval, once computed.
        chance: the value that a random aligner would reach, where it is known.
        skipped: items left out because the metric is undefined for them (queries without a positive).
    """

    value: float
    higher_is_better: bool = True
    per_item: Tensor | None = None
    group: Tensor | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    skipped: int = 0

    def json(self) -> dict[str, Any]:
        """Plain numbers, without the samples."""
        out: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        if self.chance is not None:
            out["chance"] = self.chance
        if self.skipped:
            out["skipped"] = self.skipped
        return out


class Metric(Protocol):
    """Views in the shared space -> named scores."""

    def __call__(self, z: Views) -> dict[str, Score]: ...


def bootstrap(score: Score, level: float = 0.95, samples: int = 1000, seed: int = 0) -> Score:
    """Fill in the percentile bootstrap interval of a per-item score, resampling groups.

    value* = sum over drawn groups of their item sums / sum of their item counts.

    Args:
        score: with ``per_item``.
        level: coverage in (0, 1).
        samples: bootstrap draws.
        seed: of the draws.

    Raises:
        ModalignError: the score has no per-item samples.

    Reference: Efron & Tibshirani 1993, chapter 13; cluster resampling: Davison & Hinkley 1997, section 3.8.

    Example:
        >>> s = bootstrap(Score(0.5, per_item=torch.tensor([0.0, 1.0] * 50)))
        >>> 0.38 < s.low < 0.45 and 0.55 < s.high < 0.62
        True
    """
    if score.per_item is None:
        raise ModalignError("this score has no per-item samples: use resample() on the metric instead")
    sums, counts = group_sums(score.per_item, score.group)
    draws = bootstrap_means(sums[:, None], counts[:, None], samples, seed)[:, 0]
    low, high = percentile_interval(draws, level)
    return replace(score, low=low, high=high)


def group_sums(per_item: Tensor, group: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sum of the items and number of items of each group, (g,) float64 each."""
    values = per_item.double()
    if group is None:
        return values, torch.ones_like(values)
    ids, where = torch.unique(group, return_inverse=True)
    sums = torch.zeros(len(ids), dtype=torch.float64).index_add(0, where, values)
    return sums, torch.bincount(where, minlength=len(ids)).double()


def bootstrap_means(sums: Tensor, counts: Tensor, samples: int = 1000, seed: int = 0) -> Tensor:
    """Bootstrap means of several scores over the same draws of groups, (samples, k).

    Args:
        sums, counts: (g, k) per group and score, as from ``group_sums``.
        samples, seed: draws and their seed.
    """
    generator = torch.Generator().manual_seed(seed)
    g = len(sums)
    out = []
    for start in range(0, samples, 100):  # 100 draws at a time keep memory at 100 x g
        size = min(100, samples - start)
        index = torch.randint(g, (size, g), generator=generator)
        weight = torch.zeros(size, g, dtype=torch.float64).scatter_add_(
            1, index, torch.ones(size, g, dtype=torch.float64)
        )
        out.append((weight @ sums) / (weight @ counts).clamp(min=1e-12))
    return torch.cat(out)


def percentile_interval(draws: Tensor, level: float = 0.95) -> tuple[float, float]:
    """Ends of the central ``level`` share of the draws."""
    if not 0.0 < level < 1.0:
        raise ModalignError(f"the interval's level must lie between 0 and 1, got {level}")
    tail = (1.0 - level) / 2.0
    ends = torch.quantile(draws.double(), torch.tensor([tail, 1.0 - tail], dtype=torch.float64))
    return float(ends[0]), float(ends[1])


def resample(
    metric: Callable[[Views], float],
    z: Views,
    share: float = 0.5,
    samples: int = 50,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a set metric from subsamples of groups without replacement.

    Groups are drawn without replacement because duplicates would distort neighbours. Deviations of a subsample of
    share q from the full value are scaled by sqrt(q / (1 - q)), the finite-population factor of subsampling.

    Returns: (low, high), around the full value.

    Reference: Politis, Romano & Wolf 1999, "Subsampling", chapter 2.
    """
    ids = z.group_ids()
    size = max(2, round(share * len(ids)))
    if size >= len(ids):
        raise ModalignError(f"an interval needs more than {size} groups, got {len(ids)}")
    generator = torch.Generator().manual_seed(seed)
    full = metric(z)
    draws = torch.tensor(
        [metric(z.groups(ids[torch.randperm(len(ids), generator=generator)[:size]])) for _ in range(samples)]
    )
    scale = (size / (len(ids) - size)) ** 0.5
    low, high = percentile_interval(draws - draws.mean(), level)
    return full + scale * low, full + scale * high
