"""Where the true match of each query lands among all candidates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics.ranking import rank
from ..views import Views


@dataclass(frozen=True)
class Placing:
    """One direction, query modality -> candidate modality.

    Args:
        query: (q,) rows of the query modality that have a true match; several items of a group all count.
        rank: (q,) rank of the best true match, from 1; candidates that tie with it count as ahead of it.
        truth: (q,) row of that match in the candidate modality.
        candidates: how many there are.
    """

    source: str
    target: str
    query: Tensor
    rank: Tensor
    truth: Tensor
    candidates: int

    def share_within(self, k: int) -> float:
        """Share of the queries whose true match is among the first k."""
        return float((self.rank <= k).double().mean())


def place_all(z: Views) -> list[Placing]:
    """All directions between modalities that share a group, in the order of the modalities."""
    directions = [(a, b) for a in z.modalities for b in z.modalities if a != b]
    return [p for a, b in directions if len((p := place(z, a, b)).query)]


def place(z: Views, a: str, b: str) -> Placing:
    """Rank the items of b for each item of a that has a positive there, by cosine.

    Example:
        >>> z = Views.from_arrays(a=torch.eye(3), b=torch.eye(3)[[0, 2, 1]])
        >>> place(z, "a", "b").rank.tolist()
        [1, 3, 3]
    """
    r = rank(z[a], z[b], z.paired(a, b))
    best = r.first  # entries run from the best score down, so no positive stands above this one
    return Placing(a, b, r.asked, 1 + r.above[best] + r.tied[best] - r.tied_positive[best], r.item[best], len(z[b]))


def first_results(z: Views, a: str, b: str, row: int, k: int) -> list[int]:
    """Rows of the k items of b nearest to one item of a by cosine, best first, ties by row."""
    similarity = torch.nn.functional.normalize(z[b], dim=1) @ z[a][row]
    return torch.sort(similarity, descending=True, stable=True).indices[:k].tolist()
