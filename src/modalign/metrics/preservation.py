"""What of one modality's inner geometry another one keeps: ranks, geodesics, distances; as metrics over views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..geometry import neighbours, similarity
from ..geometry.cost import unit
from ..geometry.procrustes import spread
from ..geometry.transport import distortion, gromov
from ..parameters import Count, Number
from ..registry import register
from ..views import Views
from .key import Key
from .paired import SameItems, few_rows, item_sets, same_items, shuffled
from .score import Measure, Score

TRUSTWORTHINESS = Measure(
    "Trustworthiness", "index", "Whether neighbours in the second modality are near in the first; 1 is best."
)
CONTINUITY = Measure(
    "Continuity", "index", "Whether neighbours in the first modality are near in the second; 1 is best."
)
STRESS = Measure(
    "Geodesic stress", "distance", "How far distances in one modality are from shortest paths in the other; 0 is best.",
    higher_is_better=False,
)  # fmt: skip
FREE = Measure(
    "Gromov-Wasserstein", "distance", "Least difference of the two modalities' inner distances over all matchings.",
    higher_is_better=False,
)  # fmt: skip
PAIRED = Measure(
    "Gromov-Wasserstein, true pairs", "distance", "Difference of the two modalities' inner distances, item by item.",
    higher_is_better=False,
)  # fmt: skip


@register("metric", "trustworthiness")
@dataclass(frozen=True)
class Trustworthiness:
    """Trustworthiness and continuity between modalities: are neighbours in one near in the other? Higher is better.

    The first modality in alphabetical order is the original, the second its image; continuity is the reverse.

    Use when: a map should keep neighbourhoods, as from features to a shared space. Related: ``MutualKnn`` (common
    neighbours), ``Geodesic`` (paths).

    Args:
        k: neighbours, lowered below half the number of groups. rows: at most so many groups enter.
        pick: one row per group. null: random pairings for the chance value; 0: none.
    """

    gives: ClassVar = ("continuity",)

    k: Count = 10
    rows: Count = 2000
    pick: str = "first"
    null: Number = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """``trustworthiness/a~b/@k`` and ``continuity/a~b/@k`` of pairs with at least three common groups."""
        out: dict[str, Score] = {}
        for a, b, items in item_sets(z, self.pick, least=3, rows=self.rows):
            n = len(items.group)
            k = min(self.k, (n - 1) // 2)

            def mean(u: Tensor, v: Tensor, k: int = k) -> float:
                return float(similarity.trustworthiness(u, v, k).mean())

            note = f"of {n} groups, k is {k}" if k < self.k else ""
            for name, what, x, y in (
                ("trustworthiness", TRUSTWORTHINESS, items.x, items.y),
                ("continuity", CONTINUITY, items.y, items.x),
            ):
                values, chance = similarity.trustworthiness(x, y, k).cpu(), shuffled(mean, x, y, self.null)
                score = what.mean(values, group=items.group.cpu(), chance=chance, note=note)
                out[str(Key(name, a, b, k=self.k, mutual=True))] = score
        return out


@register("metric", "geodesic")
@dataclass(frozen=True)
class Geodesic:
    """Geodesic stress: how far one modality's distances are from the other's shortest paths; 0 is best, 1 collapse.

    Use when: a curved manifold should keep its shape. Related: ``Trustworthiness``, ``Gromov`` (straight distances).

    Args:
        k: neighbours in the graph. landmarks: points from which paths are measured.
        rows: at most so many groups enter.
        pick: one row per group. null: random pairings for the chance value; 0: none.
        directions: (paths in, distances in) modalities; None: both ways of every pair.
    """

    k: Count = 10
    landmarks: Count = 100
    rows: Count = 5000
    pick: str = "first"
    null: Number = 1
    directions: tuple[tuple[str, str], ...] | None = None

    def __call__(self, z: Views) -> dict[str, Score]:
        """``geodesic/a->b``: paths in a against distances in b, for both directions."""
        out: dict[str, Score] = {}
        for a, b in self.directions or tuple(d for pair in z.pairs() for d in (pair, pair[::-1])):
            items = few_rows(same_items(z, a, b, self.pick), self.rows)
            if len(items.group) < 3 or 0.0 in (spread(unit(items.x)), spread(unit(items.y))):
                continue
            rows, lengths = neighbours.geodesics(items.x, self.k, self.landmarks)

            def stress(_: Tensor, y: Tensor, rows: Tensor = rows, lengths: Tensor = lengths) -> float:
                return float(neighbours.stress(y.double(), rows, lengths))

            chance = shuffled(stress, items.x, items.y, self.null)
            out[str(Key("geodesic", a, b))] = STRESS.score(stress(items.x, items.y), chance=chance)
        return out


@register("metric", "gromov")
@dataclass(frozen=True)
class Gromov:
    """Gromov-Wasserstein distance of two modalities' inner distances, free and with the true pairs; 0 is best.

    ``gromov/a~b``: square root of the least mean squared difference of distances over all couplings: a local optimum,
    the best from three starts (no knowledge, true pairs, items in the order of their mean distances). Pairs play no
    part in it, so nothing is to be shuffled: it has no chance value. ``/paired``: the same with the true pairs as the
    coupling, with the chance of random ones.

    Use when: inner distances should agree, with or without knowing the pairs. Related: ``Rsa``, ``Procrustes``.

    Args:
        rows: at most so many groups enter: the time grows with their cube.
        pick: one row per group. null: random pairings for the chance value; 0: none.
    """

    rows: Count = 100
    pick: str = "first"
    null: Number = 3

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        out: dict[str, Score] = {}
        for a, b, items in item_sets(z, self.pick, least=3, rows=self.rows):
            chance = shuffled(_paired, items.x, items.y, self.null)
            out[str(Key("gromov", a, b, mutual=True))] = FREE.score(_free(items))
            out[str(Key("gromov", a, b, "paired", mutual=True))] = PAIRED.score(
                _paired(items.x, items.y), chance=chance
            )
        return out


def _inner(x: Tensor) -> Tensor:
    """(n, n) distances of unit rows."""
    rows = unit(x.detach().double())
    return (2.0 - 2.0 * (rows @ rows.T)).clamp(min=0.0).sqrt().fill_diagonal_(0.0)


def _paired(x: Tensor, y: Tensor) -> float:
    return float((_inner(x) - _inner(y)).square().mean().sqrt())


def _free(items: SameItems) -> float:
    cx, cy = _inner(items.x), _inner(items.y)
    same = torch.eye(len(cx), dtype=cx.dtype, device=cx.device) / len(cx)
    by_mean = torch.zeros_like(same)
    by_mean[cx.mean(1).argsort(), cy.mean(1).argsort()] = 1.0 / len(cx)
    found = [gromov(cx, cy, start=start).plan for start in (None, same, by_mean)]
    return min(float(distortion(plan, cx, cy).clamp(min=0.0)) for plan in [same, by_mean, *found]) ** 0.5
