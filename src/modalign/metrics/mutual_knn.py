"""Shared neighbours of modalities."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModalignError
from ..geometry.similarity import mutual_knn
from ..registry import register
from ..views import Views
from .paired import pair_key, same_items
from .score import Score


@register("metric", "mutual_knn")
@dataclass(frozen=True)
class MutualKnn:
    """Mutual k-nearest-neighbour overlap between modalities, in [0, 1]; higher is better.

    Intervals resample groups with their neighbourhoods held fixed.

    Args:
        k: neighbours, at most the number of common groups less one.
        pick: one row per group: its "first" item or the "mean" of its items.
    """

    k: int = 10
    pick: str = "first"

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least two common groups."""
        if self.k < 1:
            raise ModalignError(f"mutual_knn needs k >= 1, got {self.k}")
        out: dict[str, Score] = {}
        for a, b in z.pairs():
            items = same_items(z, a, b, self.pick)
            n = len(items.group)
            if n < 2:
                continue
            overlap = mutual_knn(items.x, items.y, self.k).cpu()
            chance = min(self.k, n - 1) / (n - 1)
            out[pair_key("mutual_knn", a, b, f"@{self.k}")] = Score(
                float(overlap.mean()), True, per_item=overlap, group=items.group.cpu(), chance=chance
            )
        return out
