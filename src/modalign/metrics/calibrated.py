"""Similarities freed from what width and the number of items alone would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..geometry import similarity
from ..geometry.procrustes import disparity
from ..parameters import Count, Number, Weight
from ..registry import register
from ..views import Views
from .crossed import Spread
from .key import Key
from .paired import SameItems, item_sets
from .score import Measure, Score

LEAST = 8  # groups from which on a null says anything
SUBSAMPLES = 20
Similarity = Callable[[Tensor, Tensor], float]
HEADINGS = {
    "cka": "CKA", "mutual_knn": "mutual kNN", "cknna": "CKNNA", "svcca": "SVCCA", "rsa": "RSA",
    "procrustes": "Procrustes likeness",
}  # fmt: skip
EXPLANATION = "Likeness above that of shuffled pairs: 0 for unrelated sets of any width, 1 for equal ones."


@register("metric", "calibrated")
@dataclass(frozen=True)
class Calibrated:
    """Similarities above the 95 % quantile of shuffled pairs: 0 for unrelated sets of any width, 1 for equal ones.

    ``calibrated/a~b/cka`` and likewise mutual_knn, cknna, svcca, rsa and procrustes (1 - disparity). Its chance is 0.
    Intervals come from half the rows, against the null of all.

    Use when: encoders of different widths, or sets of different sizes, are to be compared. Related: ``Cka``,
    ``MutualKnn``, ``Cknna``, ``Svcca``, ``Rsa``, ``Procrustes`` (each as it is).

    Args:
        of: which similarities. rows: at most so many groups enter. k: neighbours.
        permutations: shuffles behind each null. alpha: of its quantile. pick: one row per group.
    """

    of: tuple[str, ...] = ("cka", "mutual_knn", "cknna", "svcca", "rsa", "procrustes")
    rows: Count = 500
    k: Count = 10
    permutations: Number = 20
    alpha: Weight = 0.05
    pick: str = "first"

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least eight common groups."""
        if self.permutations < 10:
            raise ModalignError(f"a null needs at least 10 permutations, got {self.permutations}")
        measures = _measures(self.k)
        for name in self.of:
            check_known("similarity", name, measures)
        out: dict[str, Score] = {}
        for a, b, items in item_sets(z, self.pick, least=LEAST, rows=self.rows, varied=True):
            items = items._replace(x=_turned(items.x), y=_turned(items.y))
            for name in self.of:
                try:
                    out[str(Key("calibrated", a, b, name, mutual=True))] = self._score(name, measures[name], items)
                except ModalignError:
                    continue  # undefined for these points, such as ranks of distances that are all equal
        return out

    def _score(self, name: str, measure: Similarity, items: SameItems) -> Score:
        null = similarity.permuted(measure, items.x, items.y, self.permutations)
        value = measure(items.x, items.y)
        if value != value:
            raise ModalignError("this similarity is undefined for these points")
        generator, n = torch.Generator().manual_seed(0), len(items.group)
        parts = [torch.randperm(n, generator=generator)[: n // 2].to(items.x.device) for _ in range(SUBSAMPLES)]
        draws = torch.tensor([measure(items.x[part], items.y[part]) for part in parts], dtype=torch.float64)
        # Halves have the spread of the whole (`resample_scores`); their level differs (neighbours are fewer): not used.
        ends = Spread(float(draws.std()) * (n // 2 / (n - n // 2)) ** 0.5, SUBSAMPLES - 1.0).interval(0.0)
        now, low, high = (similarity.calibrate(value + d, null, alpha=self.alpha) for d in (0.0, *ends))
        what = Measure(f"Calibrated {HEADINGS[name]}", "index", EXPLANATION)
        return what.score(now, low=min(now, low), high=min(1.0, max(now, high)), chance=0.0)


def _measures(k: int) -> Mapping[str, Similarity]:
    return {
        "cka": lambda x, y: similarity.cka(x, y),
        "mutual_knn": lambda x, y: float(similarity.mutual_knn(x, y, k).mean()),
        "cknna": lambda x, y: similarity.cknna(x, y, k),
        "svcca": lambda x, y: similarity.svcca(x, y),
        "rsa": lambda x, y: similarity.rsa(x, y, len(x)),
        "procrustes": lambda x, y: 1.0 - disparity(x, y),
    }


def _turned(x: Tensor) -> Tensor:
    """The same points in at most as many dimensions as there are points: a rotation, which no measure here sees."""
    x = x.detach().double()
    if x.shape[1] <= len(x):
        return x
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    return u * s
