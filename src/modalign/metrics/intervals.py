"""Intervals of scores: the bootstrap over groups, and subsampling for measures of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views
from .crossed import Spread
from .score import Score


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
        raise ModalignError("this score has no per-item samples: use resample_scores() on the metric instead")
    if len(score.per_item) == 0:
        raise ModalignError("this score has no items: there is nothing to resample")
    if score.statistic == "median":
        draws = bootstrap_medians(score.per_item, score.group, samples, seed)
    else:
        sums, counts = group_sums(score.per_item, score.group)
        draws = bootstrap_means(sums[:, None], counts[:, None], samples, seed)[:, 0]
    low, high = percentile_interval(draws, level)
    return replace(score, low=low, high=high)


def bootstrap_all(
    scores: Mapping[str, Score], level: float = 0.95, samples: int = 1000, seed: int = 0
) -> dict[str, Score]:
    """``bootstrap`` of every score that has per-item samples and no interval yet; the others come back unchanged.

    Scores with the same groups share the draws, which saves most of the work.

    Example:
        >>> s = Score(0.5, per_item=torch.tensor([0.0, 1.0] * 50))
        >>> bootstrap_all({"a": s})["a"] == bootstrap(s)
        True
    """
    out = dict(scores)
    shared: dict[bytes, list[str]] = {}
    for name, s in scores.items():
        if s.per_item is None or s.low is not None:
            continue
        if s.statistic == "mean" and len(s.per_item):
            ids = torch.arange(len(s.per_item)) if s.group is None else torch.unique(s.group.long())
            shared.setdefault(ids.numpy().tobytes(), []).append(name)
        else:
            out[name] = bootstrap(s, level, samples, seed)
    for together in shared.values():
        columns = [group_sums(scores[name].per_item, scores[name].group) for name in together]  # type: ignore[arg-type]
        draws = bootstrap_means(
            torch.stack([c[0] for c in columns], 1), torch.stack([c[1] for c in columns], 1), samples, seed
        )
        for i, name in enumerate(together):
            low, high = percentile_interval(draws[:, i], level)
            out[name] = replace(scores[name], low=low, high=high)
    return out


def group_sums(per_item: Tensor, group: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sum of the items and number of items of each group, (g,) float64 each, on the CPU, where groups are drawn."""
    values = per_item.cpu().double()
    if group is None:
        return values, torch.ones_like(values)
    ids, where = torch.unique(group.cpu(), return_inverse=True)
    sums = torch.zeros(len(ids), dtype=torch.float64).index_add(0, where, values)
    return sums, torch.bincount(where, minlength=len(ids)).double()


def bootstrap_means(sums: Tensor, counts: Tensor, samples: int = 1000, seed: int = 0) -> Tensor:
    """Bootstrap means of several scores over the same draws of groups, (samples, k).

    Args:
        sums, counts: (g, k) per group and score, as from ``group_sums``; draws in which a score has no item are NaN.
        samples, seed: draws and their seed; equal seeds and g give equal draws.
    """
    return torch.cat([(w @ sums) / (w @ counts) for w in _group_weights(len(sums), samples, seed)])


def with_interval(
    score: Score,
    sums: Tensor,
    value: Callable[[Tensor], Tensor],
    group: Tensor | None,
    samples: int,
    level: float,
    seed: int,
) -> Score:
    """Bootstrap over groups of a score that is a function of summed statistics.

    Args:
        sums: (n, k) statistics of each item. value: (draws, k) their sums -> (draws,) what is scored.
        group, samples, level, seed: of the draws; no interval without samples.
    """
    if not samples:
        return score
    sums = sums.cpu()
    if group is not None:
        ids, where = torch.unique(group.cpu(), return_inverse=True)
        sums = torch.zeros(len(ids), sums.shape[1], dtype=torch.float64).index_add(0, where, sums)
    # Means over draws instead of sums: values depend on ratios alone, but for the smoothing of BLEU (count one).
    draws = bootstrap_means(sums, torch.ones_like(sums), samples, seed) * len(sums)
    low, high = percentile_interval(value(draws), level)
    return replace(score, low=low, high=high)


def bootstrap_medians(per_item: Tensor, group: Tensor | None, samples: int = 1000, seed: int = 0) -> Tensor:
    """Bootstrap medians over draws of groups, (samples,); the lower one of two middle items, as torch.median."""
    per_item = per_item.cpu()
    order = per_item.argsort()
    values = per_item[order].double()
    out = []
    for w in item_weights(len(values), group, samples, seed):
        mass = w[:, order].cumsum(1)
        out.append(values[(mass < (mass[:, -1:] / 2)).sum(1)])
    return torch.cat(out)


def item_weights(items: int, group: Tensor | None, samples: int, seed: int) -> Iterator[Tensor]:
    """How often each item is drawn with its group, (some draws, items) at a time."""
    ids = torch.arange(items) if group is None else torch.unique(group.cpu(), return_inverse=True)[1]
    for w in _group_weights(int(ids.max()) + 1, samples, seed):
        yield w[:, ids]


def _group_weights(groups: int, samples: int, seed: int) -> Iterator[Tensor]:
    """How often each group is drawn, (some draws, g) at a time, at most 32 MB of them."""
    generator = torch.Generator().manual_seed(seed)
    step = max(1, min(100, 4_000_000 // max(1, groups)))
    for start in range(0, samples, step):
        size = min(step, samples - start)
        index = torch.randint(groups, (size, groups), generator=generator)
        ones = torch.ones(size, groups, dtype=torch.float64)
        yield torch.zeros(size, groups, dtype=torch.float64).scatter_add_(1, index, ones)


def percentile_interval(draws: Tensor, level: float = 0.95) -> tuple[float, float]:
    """Ends of the central ``level`` share of the draws."""
    if not 0.0 < level < 1.0:
        raise ModalignError(f"the interval's level must lie between 0 and 1, got {level}")
    tail = (1.0 - level) / 2.0
    ends = torch.nanquantile(draws.double(), torch.tensor([tail, 1.0 - tail], dtype=torch.float64))
    return float(ends[0]), float(ends[1])


def resample_scores(
    metric: Callable[[Views], Mapping[str, Score]],
    z: Views,
    share: float = 0.5,
    samples: int = 50,
    level: float = 0.95,
    seed: int = 0,
    most: int = 1000,
) -> dict[str, Callable[[float], tuple[float, float]]]:
    """Intervals of set metrics from subsamples of groups without replacement.

    Groups are drawn without replacement because duplicates would distort neighbours. The deviation s of the
    subsamples, scaled by sqrt(q / (1 - q)), the finite-population factor of subsampling a share q, is the standard
    error: value -+ t s, t Student's quantile with ``samples`` - 1 degrees of freedom. (The outermost of 50 subsamples
    would give intervals a tenth too narrow.)

    Args:
        metric: views -> scores by name.
        z: all items.
        share: share of the groups in a subsample, in (0, 1).
        samples: number of subsamples.
        level: coverage in (0, 1).
        seed: of the subsamples.
        most: groups in a subsample at most, which bounds the time on large sets.

    Returns:
        name -> function from the value on all items to (low, high); a score that some subsample lacks (too few common
        groups left) is left out.

    Raises:
        ModalignError: too few groups to leave any out.

    Reference: Politis, Romano & Wolf 1999, "Subsampling", chapter 2.

    Example:
        >>> z = Views.from_arrays(a=torch.arange(100.0)[:, None])
        >>> ends = resample_scores(lambda v: {"mean": Score(float(v["a"].mean()))}, z)
        >>> low, high = ends["mean"](49.5)
        >>> 40 < low < 49.5 < high < 59
        True
    """
    ids = z.group_ids()
    size = max(2, min(round(share * len(ids)), most))
    if size >= len(ids):
        raise ModalignError(f"an interval needs more than {size} groups, got {len(ids)}")
    generator = torch.Generator().manual_seed(seed)
    draws: dict[str, list[float]] = {}
    for _ in range(samples):
        part = z.groups(ids[torch.randperm(len(ids), generator=generator)[:size].to(ids.device)])
        for name, score in metric(part).items():
            draws.setdefault(name, []).append(score.value)
    scale = (size / (len(ids) - size)) ** 0.5
    out: dict[str, Callable[[float], tuple[float, float]]] = {}
    for name, values in draws.items():
        if len(values) == samples:
            error = scale * float(torch.tensor(values, dtype=torch.float64).std())
            out[name] = partial(Spread(error, samples - 1.0).interval, level=level)
    return out
