"""What losses on two modalities share: which pairs of modalities to look at, the mean over them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Batch, Pair
from .base import Objective, nothing


class Pairwise(Objective):
    """The mean of a loss over those pairs of modalities that have something to learn from in this batch.

    A subclass defines ``pair_loss``; it returns None where a pair adds nothing. Because it is a mean, the loss
    keeps its size whichever modalities a batch holds.

    Args:
        modalities: look only at pairs of these; default all in the batch.
        at_least: how many of them the loss needs; 1 for losses that also look at each modality alone.
    """

    def __init__(self, modalities: Sequence[str] | None = None, at_least: int = 2) -> None:
        super().__init__()
        self.modalities, self.least = chosen(modalities, at_least), at_least

    def forward(self, batch: Batch) -> Tensor:
        """Mean of ``pair_loss`` over pairs of modalities."""
        losses = {(a, b): self.pair_loss(batch, a, b) for a, b in self.pairs(batch)}
        known = {pair: loss for pair, loss in losses.items() if loss is not None}
        if not known:
            return nothing(batch)
        each = torch.stack(list(known.values()))
        if not torch.compiler.is_compiling():
            return each.mean()
        there = torch.stack(
            [batch.z.positives(a, b).any() for a, b in known]
        )  # what ``learnable`` leaves to this place
        return (each * there).sum() / there.sum().clamp(min=1)

    def pairs(self, batch: Batch) -> list[Pair]:
        """The pairs of modalities to compare, both non-empty."""
        present = [m for m in self.modalities or batch.z.modalities if m in batch.z and len(batch.z[m])]
        return [(a, b) for i, a in enumerate(present) for b in present[i + 1 :]]

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        """Loss of modalities a and b, or None when there is nothing to learn from."""
        raise TypeError(f"{type(self).__name__} must define pair_loss(batch, a, b)")


def chosen(modalities: Sequence[str] | None, at_least: int) -> list[str] | None:
    """A checked list of modalities.

    Raises:
        ModalignError: too few, or one twice.
    """
    if modalities is None:
        return None
    names = list(modalities)
    if isinstance(modalities, str) or len(names) < at_least or len(set(names)) < len(names):
        raise ModalignError(f"modalities is {modalities!r}: give at least {at_least} different names")
    return names


def learnable(positives: Tensor) -> bool:
    """Whether there is a positive pair to learn from; always while a graph is compiled, which looks at no value."""
    return torch.compiler.is_compiling() or bool(positives.any())


def matched(batch: Batch, a: str, b: str) -> tuple[Tensor, Tensor] | None:
    """Rows of a and b side by side, one for each positive pair; None when there is none.

    Items with several partners appear once for each.
    """
    rows = batch.z.paired(a, b)
    if not len(rows):
        return None
    return batch.z[a][rows[:, 0]], batch.z[b][rows[:, 1]]
