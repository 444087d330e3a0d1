"""Mean recall: the one number that tables lead with, and the joint interval of any mean over several scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError, few
from .crossed import Spread, crossed
from .found import Found
from .intervals import bootstrap_means, group_sums, percentile_interval
from .key import Key
from .recall import KS, recall_at
from .score import UNITS, Measure, Score

MEAN_RECALL = Measure(
    "Mean recall",
    "share",
    "Mean of Recall@1, @5 and @10 over both directions, one true match being enough.",
    topic="Retrieval",
    importance="headline",
)
NAME = "mean_recall"
DIGITS = 12  # of a mean by which models are chosen: what rounding adds to equal ones is no lead


class Sums(NamedTuple):
    """Several scores' per-item values by group.

    ids: (g,) groups, ascending. sums, counts: (g, c) of each group and score, float64.
    """

    ids: Tensor
    sums: Tensor
    counts: Tensor

    @property
    def value(self) -> float:
        """Mean over the scores of each one's mean over its items."""
        return float((self.sums.sum(0) / self.counts.sum(0)).mean())

    def draws(self, samples: int = 1000, seed: int = 0) -> Tensor:
        """(samples,) values of that mean over draws of groups; equal seeds and groups give equal draws."""
        return bootstrap_means(self.sums, self.counts, samples, seed).mean(1)

    def of_each_group(self) -> Tensor:
        """(g,) what each group adds: v_g = mean over scores of (sum of the group's items) / (mean items of a group).

        Their mean is ``value``; a photo and its captions move together, in every direction.
        """
        return (self.sums / (self.counts.sum(0) / len(self.ids))).mean(1)

    def evened(self) -> Tensor:
        """(g,) the same for spreads: that a group has more items than others moves a mean over items by nothing.

        u_g = v_g - mean over scores of R (items of the group / mean items of a group - 1), R the score's mean over its
        items: what a ratio of sums moves by when the group is drawn once more. Their mean is ``value`` too.

        Reference: Cochran 1977, "Sampling Techniques", section 2.11.
        """
        load = self.counts / (self.counts.sum(0) / len(self.ids)) - 1
        return self.of_each_group() - (load * (self.sums.sum(0) / self.counts.sum(0))).mean(1)


def sums_of(parts: Sequence[Score], ids: Tensor | None = None) -> Sums:
    """Per-item values of scores, summed by group.

    Args:
        parts: with per-item values. ids: (g,) groups to sum over, ascending; None: those of the parts.

    Raises:
        ModalignError: a score without per-item values.

    Example:
        >>> parts = [Score(1.0, per_item=torch.ones(3), group=torch.tensor([4, 4, 7]))]
        >>> sums_of(parts).counts.tolist()
        [[2.0], [1.0]]
    """
    groups = [_groups(s) for s in parts]
    known = torch.unique(torch.cat(groups)) if ids is None else ids
    sums = torch.zeros(len(known), len(parts), dtype=torch.float64)
    counts = torch.zeros_like(sums)
    for column, (s, group) in enumerate(zip(parts, groups, strict=True)):
        assert s.per_item is not None
        where = torch.searchsorted(known, torch.unique(group))
        sums[where, column], counts[where, column] = group_sums(s.per_item, group)
    return Sums(known, sums, counts)


def _groups(score: Score) -> Tensor:
    if score.per_item is None:
        raise ModalignError("this score has no per-item samples to resample")
    return torch.arange(len(score.per_item)) if score.group is None else score.group.long()


def mean_of(
    runs: Sequence[Sequence[Score]],
    measure: Measure = MEAN_RECALL,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Score:
    """Mean over scores with one interval for all of it, for one run or several.

    Groups are resampled jointly: a drawn group brings its items of every score. With several runs (seeds of one method
    on one test set) runs and groups are both samples, and the interval is Student's of a two-way layout (``crossed``),
    wide where runs are few and differ.

    Args:
        runs: per run, the same scores with per-item values.
        measure: what the mean is called.
        level, samples, seed: of the bootstrap interval; 0 samples: none.

    Returns:
        The mean with ``low`` and ``high``, the mean chance of the first run, and the first notes.

    Raises:
        ModalignError: no run, no score, or scores without per-item values.

    Reference: see ``crossed``.
    """
    if not runs or not all(runs):
        raise ModalignError("a mean over no score: give at least one")
    count = len(runs) * len(runs[0])
    value = sum(s.value for parts in runs for s in parts) / count
    unit = UNITS[measure.unit]  # beyond its range no truth can lie
    ends = _ends(runs, value, level, samples, seed) if samples else ()
    low, high = (min(max(end, unit.low), unit.high) for end in ends) if samples else (None, None)
    known = [s.chance for s in runs[0] if s.chance is not None]
    chance = sum(known) / len(known) if len(known) == len(runs[0]) else None
    note = "; ".join(dict.fromkeys(s.note for s in runs[0] if s.note))
    skipped = max(s.skipped for s in runs[0])
    return measure.score(value, low=low, high=high, chance=chance, skipped=skipped, note=note)


def _ends(runs: Sequence[Sequence[Score]], value: float, level: float, samples: int, seed: int) -> tuple[float, float]:
    """The bootstrap's interval over groups of one run, Student's of several."""
    ids = torch.unique(torch.cat([_groups(s) for parts in runs for s in parts]))
    sums = [sums_of(parts, ids) for parts in runs]
    if len(runs) == 1 or len(ids) < 2:
        return percentile_interval(sums[0].draws(samples, seed), level)
    return crossed(torch.stack([s.evened() for s in sums]).numpy()).interval(value, level)


def over_runs(scores: Sequence[Score], level: float = 0.95) -> Score:
    """Mean of one score over runs (seeds of one method on one test set), with an interval that knows of their spread.

    A mean of per-item values has the interval of ``mean_of``. For measures of whole sets the runs' own intervals speak
    for the test items, which all runs share, and Student's t over the S values for the runs: half^2 = mean(half_i^2) +
    (t_{S-1} sd / sqrt(S))^2.

    Args:
        scores: the same measure, one per run. level: of the interval.

    Raises:
        ModalignError: no score.

    Example:
        >>> mean = over_runs([Score(0.2, low=0.1, high=0.3, unit="correlation"), Score(0.24, low=0.1, high=0.3)])
        >>> round(mean.value, 3), round(mean.low, 3), round(mean.high, 3)
        (0.22, -0.053, 0.493)
    """
    if not scores:
        raise ModalignError("a mean over no run: give at least one score")
    first, unit = scores[0], UNITS[scores[0].unit]
    if len(scores) == 1:
        return first
    values = np.array([s.value for s in scores])
    mean = replace(first, value=float(values.mean()), per_item=None, group=None, low=None, high=None)
    if first.low is None:
        return mean
    if first.statistic == "mean" and all(s.per_item is not None for s in scores):
        joint = mean_of([[s] for s in scores], level=level)
        return replace(mean, low=joint.low, high=joint.high)
    own = np.array([s.high - s.low for s in scores if s.low is not None and s.high is not None]) / 2
    _, runs = Spread(float(values.std(ddof=1) / len(scores) ** 0.5), len(scores) - 1).interval(0.0, level)
    half = float(np.sqrt(np.mean(own**2) + runs**2))
    return replace(mean, low=max(mean.value - half, unit.low), high=min(mean.value + half, unit.high))


def recalls(found: Iterable[Found], ks: Iterable[int] = KS) -> list[Score]:
    """Any-hit Recall@k of every direction and k: the scores whose mean is mean recall.

    Raises:
        ModalignError: no query has a positive.
    """
    depths = list(ks)
    out = [recall_at(one, k) for one in found for k in depths if len(one.query)]
    if not out:
        raise ModalignError("no query has its partner in the gallery: there is nothing to find")
    return out


def mean_recall(
    scores: Mapping[str, Score] | Sequence[Mapping[str, Score]],
    a: str = "text",
    b: str = "image",
    ks: Iterable[int] = KS,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Score:
    """Mean of the any-hit Recall@k over k and both directions, with one interval for all of it, see ``mean_of``.

    Use when: one number is to order methods. Related: ``Retrieval``, whose scores it takes.

    Args:
        scores: of ``Retrieval`` on one run, or one mapping per run.
        a, b: the modalities. ks: depths.
        level, samples, seed: of the bootstrap interval.

    Returns:
        a score in [0, 1] with ``low`` and ``high``, and the chance value.

    Raises:
        ModalignError: scores that are not there, or without per-item samples.

    Example:
        >>> from .recall import Retrieval
        >>> from ..views import Views
        >>> z = Views.from_arrays(text=torch.eye(20), image=torch.eye(20))
        >>> s = mean_recall(Retrieval()(z))
        >>> s.value, s.low, s.high
        (1.0, 1.0, 1.0)
    """
    runs = [scores] if isinstance(scores, Mapping) else list(scores)
    if not runs:
        raise ModalignError("mean recall of no run: give at least one")
    wanted = [str(Key("recall", q, g, "any", k)) for q, g in ((a, b), (b, a)) for k in ks]
    for run in runs:
        missing = [name for name in wanted if name not in run]
        if missing:
            raise ModalignError(f"mean recall needs the scores {few(missing)}: were '{a}' and '{b}' evaluated?")
    return mean_of([[run[name] for name in wanted] for run in runs], MEAN_RECALL, level, samples, seed)


def with_mean_recall(scores: Mapping[str, Score], modalities: Sequence[str]) -> dict[str, Score]:
    """The scores, led by "mean_recall" of two modalities, or by "mean_recall/a~b" of each pair of more.

    Args:
        scores: of one run. modalities: those that were evaluated; pairs without retrieval scores have no mean.
    """
    means: dict[str, Score] = {}
    for i, a in enumerate(modalities):
        for b in modalities[i + 1 :]:
            if all(str(Key("recall", q, g, "any", k)) in scores for q, g in ((a, b), (b, a)) for k in KS):
                key = Key(NAME, mutual=True) if len(modalities) == 2 else Key(NAME, a, b, mutual=True)
                means[str(key)] = mean_recall(scores, a, b)
    return means | dict(scores)
