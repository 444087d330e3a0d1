"""Cross-modal retrieval: any modality to any other, and the mean recall that papers quote.

Names of the scores: ``measure/query->gallery/detail``.

    recall/text->image/any@5       at least one positive among the first 5 (the usual Recall@5)
    recall/text->image/fraction@5  share of the query's positives among the first 5, mean over queries (macro)
    recall/text->image/pairs@5     share of all positive pairs found among the first 5 (micro)
    rank/text->image/median        median over queries of the best positive's rank, from 1; likewise /mean
    mrr, ndcg, map, r_precision    mean reciprocal rank of the best positive; the others over all positives
    map/text->image/@R             average precision over as many items as the query has positives
    foscttm                        share of wrong items closer than the true match; 0 is best
    fidelity                       median over queries of the cosine to the true match; chance: to any item

Recalls are fractions in [0, 1]. Ties count at their expected value. Queries without a positive are left out and
counted in ``skipped``. A different item of the query's own modality is never in the gallery.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModalignError, few
from ..geometry.cost import unit
from ..registry import register
from ..views import Views
from . import measures
from .ranking import Ranking, rank
from .score import Score, bootstrap_means, group_sums, percentile_interval

KS = (1, 5, 10)


def key(measure: str, query: str, gallery: str, detail: str = "") -> str:
    """The name of a retrieval score.

    Example:
        >>> key("recall", "text", "image", "any@1")
        'recall/text->image/any@1'
    """
    return f"{measure}/{query}->{gallery}" + (f"/{detail}" if detail else "")


@register("metric", "retrieval")
@dataclass(frozen=True)
class Retrieval:
    """Recall@k, ranks, MRR, nDCG, mAP between modalities, with chance beside each.

    Args:
        ks: depths of Recall@k and mAP@k; a k beyond the gallery retrieves all of it.
        pairs: (query, gallery) modalities; None: every ordered pair.
    """

    ks: tuple[int, ...] = KS
    pairs: tuple[tuple[str, str], ...] | None = None

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every direction; a direction without any positive pair gives none."""
        if any(k < 1 for k in self.ks):
            raise ModalignError(f"the depths of Recall@k must be at least 1, got {list(self.ks)}")
        directions = self.pairs or tuple(d for a, b in z.pairs() for d in ((a, b), (b, a)))
        out: dict[str, Score] = {}
        for a, b in directions:
            positives = z.paired(a, b)
            if len(positives):
                r = rank(z[a], z[b], positives)
                anyone = unit(z[a].double()) @ unit(z[b].double()).mean(0)
                out |= scores_of(r, z.group[a], (a, b), self.ks, anyone)
        return out


def scores_of(
    r: Ranking, group: Tensor, names: tuple[str, str], ks: Sequence[int] = KS, anyone: Tensor | None = None
) -> dict[str, Score]:
    """Every retrieval score of one ranking.

    Args:
        r: with at least one positive pair.
        group: (n,) group of each query, the unit that intervals resample.
        names: (query, gallery), for the keys.
        ks: depths.
        anyone: (n,) each query's mean score with the whole gallery: the chance value of fidelity.
    """
    now, random = _values(r, ks), _values(r.chance(), ks)
    of_queries, of_pairs = group[r.asked].cpu(), group[r.query].cpu()
    out = {}
    for (measure, detail, higher, statistic), values in now.items():
        typical = torch.median if statistic == "median" else torch.mean
        blind: Tensor | None = random[measure, detail, higher, statistic]
        if measure == "fidelity":
            blind = None if anyone is None else anyone[r.asked]
        chance = None if blind is None else float(typical(blind))
        out[key(measure, *names, detail)] = Score(
            value=float(typical(values)),
            higher_is_better=higher,
            per_item=values.cpu(),
            group=of_pairs if detail.startswith("pairs") else of_queries,
            chance=chance,
            skipped=r.skipped,
            statistic=statistic,
        )
    return out


def _values(r: Ranking, ks: Sequence[int]) -> dict[tuple[str, str, bool, str], Tensor]:
    """(measure, detail, higher is better, statistic) -> value per query or pair."""
    out: dict[tuple[str, str, bool, str], Tensor] = {}
    for k in ks:
        out["recall", f"any@{k}", True, "mean"] = measures.any_hit(r, k)
        out["recall", f"fraction@{k}", True, "mean"] = measures.fraction(r, k)
        out["recall", f"pairs@{k}", True, "mean"] = measures.hits(r, k)
        out["map", f"@{k}", True, "mean"] = measures.average_precision(r, k)
    ranks = measures.first_rank(r)
    out["rank", "median", False, "median"] = ranks
    out["rank", "mean", False, "mean"] = ranks
    out["mrr", "", True, "mean"] = measures.reciprocal_rank(r)
    out["ndcg", "", True, "mean"] = measures.ndcg(r)
    out["map", "", True, "mean"] = measures.average_precision(r)
    out["map", "@R", True, "mean"] = measures.average_precision(r, "R")
    out["r_precision", "", True, "mean"] = measures.r_precision(r)
    out["foscttm", "", False, "mean"] = measures.closer_than_match(r)
    out["fidelity", "", True, "median"] = measures.fidelity(r)
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
    """Mean of the any-hit Recall@k over k and both directions, with one interval for all of it.

    Groups are resampled jointly: a drawn group brings its queries of both directions, for every k. With several runs
    (seeds of one method on one test set) a draw takes runs with replacement and, within it, groups; the runs share the
    drawn groups, because they share the test set. Few runs understate the spread between runs.

    Args:
        scores: of ``Retrieval`` on one run, or one mapping per run.
        a, b: the modalities. ks: depths.
        level, samples, seed: of the bootstrap interval.

    Returns:
        a score in [0, 1] with ``low`` and ``high``, and the chance value.

    Raises:
        ModalignError: scores that are not there, or without per-item samples.

    Reference: two-way resampling of runs and items: Owen 2007, "The pigeonhole bootstrap".

    Example:
        >>> z = Views.from_arrays(text=torch.eye(20), image=torch.eye(20))
        >>> s = mean_recall(Retrieval()(z))
        >>> s.value, s.low, s.high
        (1.0, 1.0, 1.0)
    """
    runs = [scores] if isinstance(scores, Mapping) else list(scores)
    if not runs:
        raise ModalignError("mean recall of no run: give at least one")
    wanted = [key("recall", q, g, f"any@{k}") for q, g in ((a, b), (b, a)) for k in ks]
    for run in runs:
        missing = [name for name in wanted if name not in run]
        if missing:
            raise ModalignError(f"mean recall needs the scores {few(missing)}: were '{a}' and '{b}' evaluated?")
    parts = [[run[name] for name in wanted] for run in runs]
    value = sum(s.value for part in parts for s in part) / (len(runs) * len(wanted))
    draws = _joint_draws(parts, samples, seed)
    low, high = percentile_interval(draws, level)
    chance = None
    if all(s.chance is not None for s in parts[0]):
        chance = sum(s.chance or 0.0 for s in parts[0]) / len(wanted)
    skipped = max(s.skipped for s in parts[0])
    return Score(value, True, low=low, high=high, chance=chance, skipped=skipped)


def _joint_draws(parts: list[list[Score]], samples: int, seed: int) -> Tensor:
    """(samples,) bootstrap values of the mean over runs and scores."""
    ids = torch.unique(torch.cat([_groups(s) for part in parts for s in part]))
    per_run = []
    for part in parts:
        sums = torch.zeros(len(ids), len(part), dtype=torch.float64)
        counts = torch.zeros_like(sums)
        for column, s in enumerate(part):
            group = _groups(s)
            where = torch.searchsorted(ids, torch.unique(group))
            assert s.per_item is not None
            sums[where, column], counts[where, column] = group_sums(s.per_item, group)
        per_run.append(bootstrap_means(sums, counts, samples, seed).mean(1))  # one seed: runs share the drawn groups
    runs = torch.stack(per_run, 1)
    if runs.shape[1] == 1:
        return runs[:, 0]
    chosen = torch.randint(runs.shape[1], (samples, runs.shape[1]), generator=torch.Generator().manual_seed(seed + 1))
    return runs.gather(1, chosen).mean(1)


def _groups(score: Score) -> Tensor:
    if score.per_item is None:
        raise ModalignError("this score has no per-item samples to resample")
    return torch.arange(len(score.per_item)) if score.group is None else score.group.long()
