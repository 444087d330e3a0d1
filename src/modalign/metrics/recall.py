"""Cross-modal retrieval: any modality to any other.

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..geometry.cost import unit
from ..parameters import Count
from ..registry import register
from ..views import Views
from . import measures
from .found import Direction, Found
from .key import Key
from .ranking import find_all
from .score import Measure, Score

KS = (1, 5, 10)
_retrieval = partial(Measure, topic="Retrieval")

RECALL = _retrieval(
    "R@{k}", "share", "Share of queries with a true match among the first k; one is enough.", importance="main"
)
FRACTION = _retrieval(
    "R@{k}, of each query", "share", "Share of a query's true matches among the first k, mean over queries.",
    importance="detail",
)  # fmt: skip
PAIRS = _retrieval(
    "R@{k}, of all pairs", "share", "Share of all true pairs found among the first k.", importance="detail"
)
PRECISION = _retrieval(
    "mAP", "share", "Mean over queries of the precision at each true match, counted among the first k where k is given."
)
PRECISION_AT = replace(PRECISION, heading="mAP@{k}")
MEDIAN_RANK = _retrieval(
    "Median rank", "rank", "Median rank of the best true match; 1 is best.", higher_is_better=False, importance="main",
    statistic="median",
)  # fmt: skip
MEAN_RANK = _retrieval("Mean rank", "rank", "Mean rank of the best true match; 1 is best.", higher_is_better=False)
RECIPROCAL = _retrieval("MRR", "share", "Mean of 1 / rank of the best true match.")
GAIN = _retrieval("nDCG", "share", "Gain of true matches discounted by their rank, over that of the ideal order.")
R_PRECISION = _retrieval("R-precision", "share", "Precision among as many first results as the query has matches.")
CLOSER = _retrieval(
    "FOSCTTM", "index", "Share of wrong items that are closer than the true match; 0 is best, .5 chance.",
    higher_is_better=False,
)  # fmt: skip
FIDELITY = _retrieval(
    "Cosine to the match", "correlation", "Median cosine of queries to their true matches.", statistic="median"
)


class Form(NamedTuple):
    """A score that each direction has: its place in the key, what it measures, and how it follows from what was found.

    pairs: whether it has one value per true pair, and not per query.
    """

    measure: str
    form: str
    k: int | str | None
    what: Measure
    values: Callable[[Found], Tensor]
    pairs: bool = False


def forms(ks: Sequence[int] = KS) -> list[Form]:
    """Every score of a direction, in the order of the scores."""
    out: list[Form] = []
    for k in ks:
        r, of_each, of_pairs, precise = (
            replace(m, heading=m.heading.format(k=k)) for m in (RECALL, FRACTION, PAIRS, PRECISION_AT)
        )
        out += [
            Form("recall", "any", k, r, partial(measures.any_hit, k=k)),
            Form("recall", "fraction", k, of_each, partial(measures.fraction, k=k)),
            Form("recall", "pairs", k, of_pairs, partial(measures.hits, k=k), pairs=True),
            Form("map", "", k, precise, partial(measures.average_precision, k=k)),
        ]
    return [
        *out,
        Form("rank", "median", None, MEDIAN_RANK, measures.first_rank),
        Form("rank", "mean", None, MEAN_RANK, measures.first_rank),
        Form("mrr", "", None, RECIPROCAL, measures.reciprocal_rank),
        Form("ndcg", "", None, GAIN, measures.ndcg),
        Form("map", "", None, PRECISION, measures.average_precision),
        Form("map", "", "R", replace(PRECISION, heading="mAP@R"), partial(measures.average_precision, k="R")),
        Form("r_precision", "", None, R_PRECISION, measures.r_precision),
        Form("foscttm", "", None, CLOSER, measures.closer_than_match),
    ]


MEASURES = tuple(dict.fromkeys(f.measure for f in forms()))


def recall_at(found: Found, k: int) -> Score:
    """Any-hit Recall@k of what queries found, with its chance value.

    Args:
        found: with at least one positive pair. k: depth.
    """
    return _score(found, found.chance(), forms([k])[0])


@register("metric", "retrieval")
@dataclass(frozen=True)
class Retrieval:
    """Recall@k, ranks, MRR, nDCG, mAP between modalities, with chance beside each.

    Use when: the space is there to be searched. Related: ``CorrectedRetrieval`` (hubs held down), ``mean_recall``
    (one number of all), ``MutualKnn`` (neighbours without true pairs being first).

    Args:
        ks: depths of Recall@k and mAP@k; a k beyond the gallery retrieves all of it, and the score says so.
        pairs: (query, gallery) modalities; None: every ordered pair.

    Example:
        >>> z = Views.from_arrays(text=torch.eye(20), image=torch.eye(20).roll(1, 0))
        >>> scores = Retrieval(ks=(1,))(z)
        >>> scores["recall/text->image/any@1"].value, scores["rank/text->image/median"].value
        (0.0, 11.0)
    """

    gives: ClassVar = ("mean_recall", *MEASURES, "fidelity")

    ks: tuple[Count, ...] = KS
    pairs: tuple[tuple[str, str], ...] | None = None

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every direction; a direction without any positive pair gives none."""
        out: dict[str, Score] = {}
        for (a, b), found in find_all(z, self.pairs).items():
            anyone = unit(z[a].double()) @ unit(z[b].double()).mean(0)
            out |= scores_of(found, (a, b), self.ks) | fidelity_of(found, (a, b), anyone)
        return out


def scores_of(found: Found, names: Direction, ks: Sequence[int] = KS) -> dict[str, Score]:
    """Every score of a direction that follows from the order of the results.

    Args:
        found: with at least one positive pair. names: (query, gallery), for the keys. ks: depths.
    """
    random = found.chance()
    return {str(Key(f.measure, *names, f.form, f.k)): _score(found, random, f) for f in forms(ks)}


def fidelity_of(found: Found, names: Direction, anyone: Tensor) -> dict[str, Score]:
    """The cosine of queries to their true matches.

    Args:
        found: by cosine. names: (query, gallery). anyone: (n,) each query's mean cosine to the whole gallery, whose
            median is the chance value.
    """
    values = measures.fidelity(found)
    score = FIDELITY.score(
        float(values.median()),
        per_item=values.cpu(),
        group=found.asked_group,
        chance=float(anyone[found.asked].median()),
        skipped=found.skipped,
    )
    return {str(Key("fidelity", *names)): score}


def _score(found: Found, random: Found, form: Form) -> Score:
    values = form.values(found)
    typical = torch.median if form.what.statistic == "median" else torch.mean
    beyond = isinstance(form.k, int) and form.k >= found.gallery
    return form.what.score(
        float(typical(values)),
        per_item=values.cpu(),
        group=found.pair_group if form.pairs else found.asked_group,
        chance=float(typical(form.values(random))),
        skipped=found.skipped,
        note=f"the first {form.k} are the whole gallery of {found.gallery}" if beyond else "",
    )
