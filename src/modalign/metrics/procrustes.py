"""Procrustes distances between modalities."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..geometry.cost import unit
from ..geometry.procrustes import Distances, distances, spread
from ..registry import register
from ..views import Views
from .paired import pair_key, same_items, shuffled
from .score import Score

LEAST = 3  # groups from which on a shape says anything


@register("metric", "procrustes")
@dataclass(frozen=True)
class Procrustes:
    """Procrustes disparity, size-and-shape and Riemannian shape distance between modalities; 0 is best.

    Rows are scaled to length 1 first. ``procrustes/a~b`` is scipy's disparity in [0, 1]; ``/size_and_shape`` is divided
    by the square root of the number of groups, so that it does not grow with them; ``/angle`` is in radians. A modality
    that has collapsed to one point has disparity 1.

    Args:
        pick: one row per group: its "first" item or the "mean" of its items.
        reflection: allow mirror images.
        null: random pairings whose mean is the chance value; 0: none.
    """

    pick: str = "first"
    reflection: bool = True
    null: int = 3

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        out: dict[str, Score] = {}
        for a, b in z.pairs():
            items = same_items(z, a, b, self.pick)
            if len(items.group) < LEAST:
                continue
            x, y = unit(items.x), unit(items.y)
            found = self._distances(x, y)
            chance = shuffled(lambda u, v: self._distances(u, v).disparity, x, y, self.null)
            size = found.size_and_shape / len(x) ** 0.5
            out[pair_key("procrustes", a, b)] = Score(found.disparity, False, chance=chance)
            out[pair_key("procrustes", a, b, "size_and_shape")] = Score(size, False)
            out[pair_key("procrustes", a, b, "angle")] = Score(found.angle, False)
        return out

    def _distances(self, x: Tensor, y: Tensor) -> Distances:
        sizes = spread(x), spread(y)
        if 0.0 in sizes:  # one point fits nothing: what any rotation and scale of it leaves of the other is all
            return Distances(1.0, math.pi / 2, math.hypot(*sizes))
        return distances(x, y, reflection=self.reflection)
