"""Evaluate an aligned space: every metric with its interval and its chance value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace

from .. import registry
from ..errors import ModalignError
from ..parameters import Count, Level, Seed, checked
from ..views import Views
from .intervals import bootstrap_all, resample_scores
from .key import Key
from .score import UNITS, Metric, Score

DEFAULT = ("retrieval", "procrustes", "mutual_knn")
LEAST_GROUPS = 3  # from which on an interval can be drawn
FEW_GROUPS = 10  # below which every score says that it is of few


@checked
def evaluate(
    z: Views,
    metrics: str | Sequence[str | Metric] = DEFAULT,
    intervals: bool = True,
    seed: Seed = 0,
    level: Level = 0.95,
    draws: Count = 50,
) -> dict[str, Score]:
    """Scores of views in the shared space.

    Args:
        z: modality -> (n_m, d) embeddings with group ids; rows need not be normalised.
        metrics: registered names (``modalign list metric``) or callables from views to scores.
        intervals: add intervals: bootstrap over groups for metrics with per-item values, subsampling of groups
            without replacement for metrics of whole sets.
        seed: of the intervals.
        level: coverage of the intervals.
        draws: subsamples behind the interval of a metric of whole sets.

    Returns:
        name -> score, in the order of the metrics.

    Raises:
        ModalignError: embeddings that are not finite matrices, an unknown metric, a metric whose scores are not named
            as ``key.Key`` has it, or nothing that could be measured.

    Example:
        >>> import torch
        >>> z = Views.from_arrays(text=torch.eye(8), image=torch.eye(8))
        >>> scores = evaluate(z, metrics=["retrieval"])
        >>> score = scores["recall/text->image/any@1"]
        >>> score.value, score.low, score.chance
        (1.0, 1.0, 0.125)
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    # Heads in training leave a graph behind.
    z = z.map(lambda _, rows: rows.detach()).validate(zero_rows=True)
    out: dict[str, Score] = {}
    groups = len(z.group_ids())
    for entry in metrics:
        metric: Metric = registry.make("metric", entry) if isinstance(entry, str) else entry
        scores = metric(z)
        for name in scores:
            Key.parse(name)
        if intervals and groups >= LEAST_GROUPS:
            scores = _with_intervals(metric, z, scores, level, seed, draws)
        twice = set(scores) & set(out)
        if twice:
            raise ModalignError(f"two metrics give the score '{min(twice)}': name each metric once")
        out |= _noted(scores, groups)
    if not out:
        there = ", ".join(f"{m} ({len(x)} rows of width {x.shape[1]})" for m, x in z.data.items())
        why = f"{there or 'no modality'} share no groups"
        if any(len(z.paired(a, b)) for a, b in z.pairs()):
            why = f"no score is defined for {there}: groups may be too few, rows all equal, or widths not one"
        raise ModalignError(f"nothing to evaluate: {why}")
    return out


def _noted(scores: Mapping[str, Score], groups: int) -> dict[str, Score]:
    """The scores, with a word where there are too few groups to conclude from."""
    if groups >= FEW_GROUPS:
        return dict(scores)
    told = f"of {groups} group{'' if groups == 1 else 's'}: too few to conclude from"
    return {k: replace(s, note="; ".join(filter(None, (told, s.note)))) for k, s in scores.items()}


def _with_intervals(
    metric: Metric, z: Views, scores: Mapping[str, Score], level: float, seed: int, draws: int
) -> dict[str, Score]:
    """The scores with low and high where they can be had."""
    out = dict(scores)
    whole = [name for name, s in scores.items() if s.per_item is None and s.low is None]
    if whole:
        ends = resample_scores(_without_null(metric), z, samples=draws, level=level, seed=seed)
        for name in whole:
            if name in ends:
                unit = UNITS[scores[name].unit]  # beyond its range no truth can lie
                low, high = (min(max(v, unit.low), unit.high) for v in ends[name](scores[name].value))
                out[name] = replace(scores[name], low=low, high=high)
    return bootstrap_all(out, level=level, seed=seed)


def _without_null(metric: Metric) -> Callable[[Views], dict[str, Score]]:
    """The metric without its chance value, which no resampled copy needs."""
    if is_dataclass(metric) and not isinstance(metric, type) and any(f.name == "null" for f in fields(metric)):
        return replace(metric, null=0)
    return metric
