"""Procrustes distances that the spectrum of the embedding cannot move."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..geometry.procrustes import free_of_spectrum, spread
from ..registry import register
from ..views import Views
from .key import Key
from .paired import shuffled
from .procrustes import shapes
from .score import Measure, Score

WHITENED = Measure(
    "Whitened Procrustes distance", "distance",
    "What remains between paired items after the best rotation of their leading axes, each of length 1; 0 fits.",
    higher_is_better=False, importance="detail",
)  # fmt: skip
GIVEN_SPECTRA = Measure(
    "Procrustes distance given spectra", "distance",
    "Agreement that is missing, of what sets of the same spectra can have beyond random pairs; 0 fits, 1 is chance.",
    higher_is_better=False, importance="detail",
)  # fmt: skip


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
