"""Procrustes distances between modalities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ..geometry.cost import unit
from ..geometry.procrustes import Distances, distances, spread
from ..parameters import Number
from ..registry import register
from ..views import Views
from .key import Key
from .paired import item_sets, shuffled
from .score import Measure, Score

LEAST = 3  # groups from which on a shape says anything
DISPARITY = Measure(
    "Procrustes distance", "distance", "What remains between paired items after the best rotation and scaling; 0 fits.",
    higher_is_better=False, importance="main",
)  # fmt: skip
SIZE_AND_SHAPE = Measure(
    "Size-and-shape distance", "distance", "Root mean squared distance of paired items after the best rotation alone.",
    higher_is_better=False, importance="detail",
)  # fmt: skip
ANGLE = Measure(
    "Shape angle", "radians", "Riemannian distance of the two shapes, an angle; 0 fits.", higher_is_better=False,
    importance="detail",
)  # fmt: skip


def shapes(z: Views, pick: str) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Every pair of modalities with three common groups or more: names, and (g, d) rows of length 1 in one order."""
    for a, b, items in item_sets(z, pick, least=LEAST):
        yield a, b, unit(items.x), unit(items.y)


@register("metric", "procrustes")
@dataclass(frozen=True)
class Procrustes:
    """Procrustes disparity, size-and-shape and Riemannian shape distance between modalities; 0 is best.

    Rows are scaled to length 1 first. ``procrustes/a~b`` is scipy's disparity in [0, 1]; ``/size_and_shape`` is divided
    by the square root of the number of groups, so that it does not grow with them; ``/angle`` is in radians. A modality
    that has collapsed to one point has disparity 1.

    Use when: pairs should lie at one place up to a rotation. Related: ``Gap`` (centroids alone), ``Cka`` (kernels, any
    widths), ``Gromov`` (distances, without pairs).

    Args:
        pick: one row per group: its "first" item or the "mean" of its items.
        reflection: allow mirror images.
        null: random pairings whose mean is the chance value; 0: none.

    Example:
        >>> import torch
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> round(Procrustes()(Views.from_arrays(a=x, b=x.flip(1)))["procrustes/a~b"].value, 6)
        0.0
    """

    pick: str = "first"
    reflection: bool = True
    null: Number = 3

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        out: dict[str, Score] = {}
        for a, b, x, y in shapes(z, self.pick):
            found = self._distances(x, y)
            chance = shuffled(lambda u, v: self._distances(u, v).disparity, x, y, self.null)
            size = found.size_and_shape / len(x) ** 0.5
            for form, score in (
                ("", DISPARITY.score(found.disparity, chance=chance)),
                ("size_and_shape", SIZE_AND_SHAPE.score(size)),
                ("angle", ANGLE.score(found.angle)),
            ):
                out[str(Key("procrustes", a, b, form, mutual=True))] = score
        return out

    def _distances(self, x: Tensor, y: Tensor) -> Distances:
        sizes = spread(x), spread(y)
        if 0.0 in sizes:  # one point fits nothing: what any rotation and scale of it leaves of the other is all
            return Distances(1.0, math.pi / 2, math.hypot(*sizes))
        return distances(x, y, reflection=self.reflection)
