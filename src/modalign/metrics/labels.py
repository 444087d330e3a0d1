"""How well scores of classes fit labels: accuracy, balanced accuracy, mean average precision."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import ModalignError, few
from ..parameters import Level, Number, Seed, checked
from .intervals import bootstrap, item_weights, percentile_interval, with_interval
from .score import Measure, Score

ACCURACY = Measure("Accuracy", "share", "Share of items whose class is right.", topic="Transfer", importance="main")
BALANCED = Measure("Balanced accuracy", "share", "Mean over classes of the share that is right.", topic="Transfer")
PRECISION = Measure(
    "mAP over classes", "share", "Mean over classes of the average precision of their ranking.", topic="Transfer",
    importance="main",
)  # fmt: skip
PRECISION_DRAWS = 200


@checked
def accuracy(
    scores: Tensor,
    truth: Tensor,
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """Share of items whose class has the greatest score; k tied classes count 1/k.

    Use when: classes exclude each other and are about equally frequent. Related: ``balanced_accuracy``,
    ``mean_average_precision`` (several labels at once).

    Args:
        scores: (n, c), higher is likelier. truth: (n,) class numbers.
        group: (n,) ids that are resampled together. samples: bootstrap draws, 0 for none. level, seed: of them.

    Returns:
        Value in [0, 1]; chance is the share of the most frequent class, which the best constant answer reaches.

    Raises:
        ModalignError: no items, NaN scores, class numbers outside the classes, or shapes that do not fit.

    Example:
        >>> accuracy(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1]), samples=0).value
        0.75
    """
    _check(scores, truth, truth.shape == scores.shape[:1])
    truth = _classes(truth, scores.shape[1])
    per_item = _hit(scores, truth)
    chance = float(torch.bincount(truth).max()) / len(truth)
    score = ACCURACY.mean(per_item, group=group, chance=chance)
    return bootstrap(score, level, samples, seed) if samples else score


@checked
def balanced_accuracy(
    scores: Tensor,
    truth: Tensor,
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """Mean over classes with items of the share of their items that are right; arguments as ``accuracy``.

    Chance is 1 / number of such classes.

    Use when: some classes are rare. Related: ``accuracy``.

    Example:
        >>> s = torch.tensor([[1.0, 0.0]] * 4)
        >>> balanced_accuracy(s, torch.tensor([0, 0, 0, 1]), samples=0).value
        0.5
    """
    _check(scores, truth, truth.shape == scores.shape[:1])
    truth = _classes(truth, scores.shape[1])
    hit = _hit(scores, truth)
    classes, where = torch.unique(truth, return_inverse=True)
    member = torch.nn.functional.one_hot(where, len(classes)).double()
    right = hit[:, None] * member
    sums = torch.cat([right, member], 1)

    def mean_share(sums: Tensor) -> Tensor:
        right, items = sums.chunk(2, 1)
        return (right / items).nanmean(1)  # a draw may lack a class

    score = BALANCED.score(float(mean_share(sums.sum(0)[None])), chance=1.0 / len(classes))
    return with_interval(score, sums, mean_share, group, samples, level, seed)


@checked
def mean_average_precision(
    scores: Tensor,
    truth: Tensor,
    group: Tensor | None = None,
    samples: Number = PRECISION_DRAWS,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """Mean over classes of the average precision of their ranking of all items: AudioSet's mAP.

    AP = sum_k (R_k - R_{k-1}) P_k over the distinct scores k, so tied items share one precision and a constant score
    gets the class's share of items. Classes without positives are left out.

    Use when: an item may have several labels. Related: ``accuracy``.

    Args:
        scores: (n, c). truth: (n, c) 0 or 1, any number of ones in a row.
        group, samples, level, seed: as ``accuracy``.

    Returns:
        Value in [0, 1]; chance is the mean share of positives.

    Raises:
        ModalignError: no class has a positive, NaN scores, a truth that is not 0 or 1, or shapes that do not fit.

    Reference: Gemmeke et al. 2017, "Audio Set", ICASSP, section 4.

    Example:
        >>> s = torch.tensor([[0.9], [0.8], [0.1]])
        >>> round(mean_average_precision(s, torch.tensor([[1], [0], [1]]), samples=0).value, 4)
        0.8333
    """
    _check(scores, truth, truth.shape == scores.shape)
    scores, truth = scores.cpu(), truth.cpu()  # where draws are made
    if bool(((truth != 0) & (truth != 1)).any()):
        raise ModalignError("the truth of several labels is 0 or 1 for each item and class")
    there = truth.bool().any(0)
    if not there.any():
        raise ModalignError("no class has a positive: there is no precision to average")
    scores, truth = scores[:, there].double(), truth[:, there].double()
    chance = float(truth.mean())
    once = torch.ones(len(scores), dtype=torch.float64)
    score = PRECISION.score(float(_precision(scores, truth, once)), chance=chance)
    if not samples:
        return score
    draws = [_precision(scores, truth, w) for some in item_weights(len(scores), group, samples, seed) for w in some]
    low, high = percentile_interval(torch.stack(draws), level)
    return replace(score, low=low, high=high)


def _precision(scores: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean over classes of average precision, items counted by (n,) weights."""
    order = scores.argsort(dim=0, descending=True, stable=True)
    ranked = scores.gather(0, order)
    w = weight[order]
    positive = w * truth.gather(0, order)
    last = torch.ones_like(ranked, dtype=torch.bool)
    last[:-1] = ranked[1:] != ranked[:-1]
    found, seen = positive.cumsum(0), w.cumsum(0)
    # Each item takes the precision at the end of its run of equal scores: the next True of `last`, seen from below.
    place = torch.arange(len(ranked))[:, None].expand_as(ranked)
    end = torch.where(last, place, len(ranked)).flip(0).cummin(0).values.flip(0)
    at_end = found.gather(0, end) / seen.gather(0, end).clamp(min=1e-300)
    total = positive.sum(0)
    value = (positive * at_end).sum(0) / total.clamp(min=1e-300)
    return value[total > 0].mean()


def _hit(scores: Tensor, truth: Tensor) -> Tensor:
    """1 / ties where the true class has the greatest score, else 0."""
    own = scores.gather(1, truth[:, None])
    best = scores.max(1, keepdim=True).values
    return torch.where(own == best, 1.0 / (scores == best).sum(1, keepdim=True).double(), 0.0)[:, 0]


def _check(scores: Tensor, truth: Tensor, fits: bool) -> None:
    if scores.ndim != 2 or not len(scores) or not fits:
        raise ModalignError(
            f"scores must be (items, classes) with a truth for each item, got {tuple(scores.shape)} and "
            f"{tuple(truth.shape)}"
        )
    if bool(torch.isnan(scores).any()):
        rows = torch.isnan(scores).any(1).nonzero().flatten().tolist()
        raise ModalignError(f"scores of classes are NaN in {len(rows)} items ({few(rows)}): they have no order")


def _classes(truth: Tensor, classes: int) -> Tensor:
    """Class numbers as int64."""
    if truth.is_floating_point() or truth.is_complex():
        raise ModalignError(f"the truth must be class numbers, got {truth.dtype}: convert with truth.long()")
    truth = truth.long()
    wrong = sorted({int(c) for c in truth[(truth < 0) | (truth >= classes)]})
    if wrong:
        raise ModalignError(
            f"the truth must be class numbers from 0 to {classes - 1}, got {few(wrong)}: leave unlabelled items out"
        )
    return truth
