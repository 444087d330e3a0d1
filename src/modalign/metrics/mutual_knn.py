"""Shared neighbours of modalities: mutual, cyclic and ordered, as metrics over views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..geometry import similarity
from ..parameters import Count, Number
from ..registry import register
from ..views import Views
from .key import Key
from .paired import item_sets, shuffled
from .score import Measure, Score

MUTUAL = Measure(
    "Mutual kNN", "share", "Share of an item's nearest neighbours that agree between two modalities.", importance="main"
)
CYCLE = Measure(
    "Cycle kNN", "share", "Share of items that are neighbours, in one modality, of their neighbours in the other."
)
ORDERED = Measure("LCS kNN", "share", "Longest common subsequence of two ordered lists of neighbours, as a share of k.")


@register("metric", "mutual_knn")
@dataclass(frozen=True)
class MutualKnn:
    """Mutual k-nearest-neighbour overlap between modalities, in [0, 1]; higher is better.

    Intervals resample groups with their neighbourhoods held fixed.

    Use when: two modalities should agree on what is near what, whatever their widths. Related: ``CycleKnn``,
        ``LcsKnn``
    (the order of neighbours too), ``Cknna`` (weighted by likeness), ``Trustworthiness`` (ranks).

    Args:
        k: neighbours, at most the number of common groups less one.
        pick: one row per group: its "first" item or the "mean" of its items.
    """

    k: Count = 10
    pick: str = "first"

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least two common groups."""
        return _scores(z, "mutual_knn", MUTUAL, similarity.mutual_knn, self.k, self.pick, chance=_share)


@register("metric", "cycle_knn")
@dataclass(frozen=True)
class CycleKnn:
    """Share of items that are neighbours, in the first modality, of their neighbours in the second; higher is better.

    Use when: a walk to the other modality and back should return. Related: ``MutualKnn``.

    Args:
        k: neighbours. rows: at most so many groups enter. pick: one row per group.
        null: random pairings for the chance value; 0: none.
    """

    k: Count = 10
    rows: Count = 5000
    pick: str = "first"
    null: Number = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities, in alphabetical order, with at least two common groups."""
        return _scores(z, "cycle_knn", CYCLE, similarity.cycle_knn, self.k, self.pick, null=self.null, rows=self.rows)


@register("metric", "lcs_knn")
@dataclass(frozen=True)
class LcsKnn:
    """Longest common subsequence of ordered neighbour lists, as a share of k; higher is better.

    Use when: the order of neighbours matters too. Related: ``MutualKnn``.

    Args:
        k: neighbours. rows: at most so many groups enter. pick: one row per group.
        null: random pairings for the chance value; 0: none.
    """

    k: Count = 10
    rows: Count = 5000
    pick: str = "first"
    null: Number = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least two common groups."""
        return _scores(z, "lcs_knn", ORDERED, similarity.lcs_knn, self.k, self.pick, null=self.null, rows=self.rows)


def _share(k: int, n: int) -> float:
    """Expected overlap of two unrelated neighbour lists."""
    return min(k, n - 1) / (n - 1)


def _scores(
    z: Views,
    name: str,
    what: Measure,
    measure: Callable[[Tensor, Tensor, int], Tensor],
    k: int,
    pick: str,
    chance: Callable[[int, int], float] | None = None,
    null: int = 0,
    rows: int | None = None,
) -> dict[str, Score]:
    out = {}
    for a, b, items in item_sets(z, pick, least=2, rows=rows):
        n = len(items.group)
        values = measure(items.x, items.y, k).cpu()
        random = (
            chance(k, n) if chance else shuffled(lambda x, y: float(measure(x, y, k).mean()), items.x, items.y, null)
        )
        note = f"{n} groups have {n - 1} neighbours, not {k}" if k >= n else ""
        out[str(Key(name, a, b, k=k, mutual=True))] = what.mean(
            values, group=items.group.cpu(), chance=random, note=note
        )
    return out
