"""Procrustes distances between modalities, as they are and free of the spectrum of the embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ..geometry.cost import unit
from ..geometry.procrustes import Distances, distances, free_of_spectrum, spread
from ..parameters import Number
from ..registry import register
from ..views import Views
from .key import Key
from .paired import item_sets, shuffled
from .score import Measure, Score

LEAST = 3  # groups from which on a shape says anything
DISPARITY = Measure(
    "Procrustes distance", "index", "What remains between paired items after the best rotation and scaling; 0 fits.",
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
WHITENED = Measure(
    "Whitened Procrustes distance", "index",
    "What remains between paired items after the best rotation of their leading axes, each of length 1; 0 fits.",
    higher_is_better=False, importance="detail",
)  # fmt: skip
GIVEN_SPECTRA = Measure(
    "Procrustes distance given spectra", "distance",
    "Agreement that is missing, of what sets of the same spectra can have beyond random pairs; 0 fits, 1 is chance.",
    higher_is_better=False, importance="detail",
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


@register("metric", "whitened_procrustes")
@dataclass(frozen=True)
class WhitenedProcrustes:
    """Procrustes distance between modalities with all their leading axes scaled to one length; 0 is best.

    The plain disparity follows the spectrum: a space whose variance lies in few axes looks tighter at equal recall, and
    scaling canonical directions by another power moves it more than any training does. Here each modality is cut to its
    ``rank`` leading axes. ``whitened_procrustes/a~b`` has all of them at length 1; ``/given_spectra`` keeps the spectra
    and compares with the best and with random pairs of the same spectra (`geometry.procrustes.free_of_spectrum`).

    Use when: spaces of different methods are compared by geometry. Related: ``Procrustes``, the plain one;
    ``MutualKnn``, neighbours alone.

    Args:
        rank: axes, at most; no more than a quarter of the common groups, since whitened axes of few items fit anything.
        pick: one row per group: its "first" item or the "mean" of its items.
        null: random pairings, for the value by chance and in ``given_spectra``.

    Example:
        >>> import torch
        >>> x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
        >>> round(WhitenedProcrustes()(Views.from_arrays(a=x, b=x.flip(1)))["whitened_procrustes/a~b"].value, 6)
        0.0
    """

    rank: int = 64
    pick: str = "first"
    null: int = 3

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        out: dict[str, Score] = {}
        for a, b, x, y in shapes(z, self.pick):
            whitened, given = self._distances(x, y, self.null)
            chance = shuffled(lambda u, v: self._distances(u, v, 0)[0], x, y, self.null)
            name = "whitened_procrustes"
            out[str(Key(name, a, b, mutual=True))] = WHITENED.score(whitened, chance=chance)
            out[str(Key(name, a, b, "given_spectra", mutual=True))] = GIVEN_SPECTRA.score(given)
        return out

    def _distances(self, x: Tensor, y: Tensor, null: int) -> tuple[float, float]:
        if 0.0 in (spread(x), spread(y)):
            return 1.0, 1.0  # one point agrees with nothing
        return free_of_spectrum(x, y, max(1, min(self.rank, len(x) // 4)), null)
