"""What losses on two modalities share: which pairs of modalities to look at, the mean over them, the temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import ModalignError
from ..views import Batch, Pair
from .base import Objective, nothing

MAX_SCALE = 100.0


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
        self.modalities = chosen(modalities, at_least)

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


class Scale(nn.Module):
    """A logit scale s = 1 / temperature, learned through its logarithm and always within bounds.

    The value is clamped when it is used as well as after each step, so a parameter set to 1e3 or -1e3 (a bad
    checkpoint, a bad step) still gives finite losses and gradients.

    Args:
        start: s at the start.
        low: least s.
        high: greatest s; CLIP uses 100.
        learn: False keeps it fixed (a buffer).

    Raises:
        ModalignError: the start is outside the bounds.

    Example:
        >>> round(Scale(1 / 0.07).log_scale.item(), 6)
        2.65926
    """

    log_scale: Tensor

    def __init__(self, start: float, low: float = 1.0, high: float = MAX_SCALE, learn: bool = True) -> None:
        super().__init__()
        if not 0 < low <= start <= high:
            raise ModalignError(f"the scale (1 / temperature) is {start:g}: it must be within [{low:g}, {high:g}]")
        self.bounds = (math.log(low), math.log(high))
        value = torch.tensor(math.log(start))
        if learn:
            self.log_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_scale", value)

    def forward(self) -> Tensor:
        """s, a scalar within the bounds."""
        return self.log_scale.clamp(*self.bounds).exp()

    def clamp(self) -> None:
        """Bring the parameter back within its bounds; for ``after_step``."""
        with torch.no_grad():
            self.log_scale.nan_to_num_(nan=self.bounds[0]).clamp_(*self.bounds)

    def value(self) -> float:
        """s as used, for logs."""
        return float(self().detach())


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
