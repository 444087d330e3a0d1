"""What a cell measures: retrieval per query, and the geometry of the shared space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch

from ..errors import ModalignError
from ..metrics import measures
from ..metrics.connectivity import Connectivity
from ..metrics.found import Direction, Found
from ..metrics.kernels import Cka
from ..metrics.key import Key
from ..metrics.mean_recall import DIGITS, NAME, mean_of, recalls
from ..metrics.mutual_knn import MutualKnn
from ..metrics.procrustes import Procrustes, WhitenedProcrustes
from ..metrics.ranking import find_all
from ..metrics.recall import CLOSER, KS, MEDIAN_RANK, recall_at
from ..metrics.score import Metric, Score
from ..metrics.spread import Gap
from ..model import Heads
from ..views import Views, aligned, queries_present, task_views

GEOMETRY: Sequence[tuple[Metric, str, str]] = (
    (Procrustes(null=0), "procrustes", ""),
    (WhitenedProcrustes(null=0), "whitened_procrustes", ""),
    (MutualKnn(k=10), "mutual_knn", ""),
    (Cka(null=0), "cka", "unbiased"),
    (Gap(), "gap", ""),
    (Connectivity(whole=False), "connectivity", "cross_edges"),
)
"""Metric, and the measure and form that a table of cells shows of it."""
DRAWS = 40  # subsamples of groups for paired intervals of the Procrustes distance


def retrieve(z: Views) -> dict[Direction, Found]:
    """What the queries of every direction find.

    Raises:
        ModalignError: no two modalities have pairs.
    """
    found = find_all(z)
    if not found:
        raise ModalignError("nothing to score: no two modalities of the test views have pairs")
    return found


def mean_recall(found: Mapping[Direction, Found]) -> Score:
    """Mean over directions and k of the any-hit Recall@k: the score of every table; without an interval."""
    return mean_of([recalls(found.values())], samples=0)


def scores(found: Mapping[Direction, Found]) -> dict[str, Score]:
    """Scores by key: mean recall, recalls and median rank of every direction, and FOSCTTM of all."""
    out = {NAME: mean_recall(found)}
    closer = []
    for way, one in found.items():
        out |= {str(Key("recall", *way, "any", k)): recall_at(one, k) for k in KS}
        out[str(Key("rank", *way, "median"))] = MEDIAN_RANK.score(float(measures.first_rank(one).median()))
        closer.append(CLOSER.mean(measures.closer_than_match(one)))
    out["foscttm"] = mean_of([closer], CLOSER, samples=0)
    return out


def in_space(heads: Heads, x: Views) -> Views:
    """Views in the shared space, of the modalities that the heads know."""
    return heads.embed(x.only(*[m for m in x.modalities if m in heads.modalities]))


def dev_score(heads: Heads, dev: Views, target: str | None, test_missing: float, seed: int) -> float:
    """Mean recall of the suite's task on dev, to 12 digits, with as much lost in the queries as at test time."""
    shown = dev if target is None else queries_present(dev, target, test_missing, seed)
    return round(mean_recall(retrieve(task_views(in_space(heads, shown), target))).value, DIGITS)


def geometry(z: Views, seed: int = 0) -> tuple[dict[str, Score], list[float]]:
    """Geometry of the shared space, one item per group and modality; means over pairs of modalities.

    Returns: measure -> score, and Procrustes distances on ``DRAWS`` halves of the groups, the same halves for every
        method, from which paired intervals follow.
    """
    first = aligned(z, pick="first").views()
    found = {name: score for metric, name, form in GEOMETRY if (score := _mean_over_pairs(metric, name, form, first))}
    ids = first.group_ids()
    generator = torch.Generator().manual_seed(seed)
    draws = []
    for _ in range(DRAWS if len(ids) >= 20 else 0):
        part = first.groups(ids[torch.randperm(len(ids), generator=generator)[: len(ids) // 2]])
        distance = _mean_over_pairs(*GEOMETRY[0], part)
        draws += [] if distance is None else [distance.value]
    return found, draws


def _mean_over_pairs(metric: Metric, measure: str, form: str, z: Views) -> Score | None:
    """One form of a measure, its mean over pairs of modalities; None where it is undefined."""
    wanted = [s for k, s in metric(z).items() if (key := Key.parse(k)).measure == measure and key.form == form]
    if not wanted:
        return None
    return replace(wanted[0], value=fmean(s.value for s in wanted), per_item=None, group=None, chance=None)
