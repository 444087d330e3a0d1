"""Procrustes distances between modalities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..geometry.cost import unit
from ..geometry.procrustes import disparity, distances
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
    by the square root of the number of groups, so that it does not grow with them; ``/angle`` is in radians.

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
            found = distances(x, y, reflection=self.reflection)
            chance = shuffled(partial(disparity, reflection=self.reflection), x, y, self.null)
            size = found.size_and_shape / len(x) ** 0.5
            out[pair_key("procrustes", a, b)] = Score(found.disparity, False, chance=chance)
            out[pair_key("procrustes", a, b, "size_and_shape")] = Score(size, False)
            out[pair_key("procrustes", a, b, "angle")] = Score(found.angle, False)
        return out
