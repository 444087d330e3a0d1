"""The temperature of losses that compare: a learned logit scale within bounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import ModalignError

MAX_SCALE = 100.0


class Scale(nn.Module):
    """A logit scale s = 1 / temperature, learned through its logarithm and always within bounds.

    The value is clamped when it is used as well as after each step, so a parameter set to 1e3 or -1e3 (a bad
    checkpoint, a bad step) still gives finite losses and gradients.

    Args:
        start: s at the start.
        high: greatest s; CLIP uses 100. The least is 1.
        learn: False keeps it fixed (a buffer).

    Raises:
        ModalignError: the start is outside the bounds.

    Example:
        >>> round(Scale(1 / 0.07).log_scale.item(), 6)
        2.65926
    """

    log_scale: Tensor

    def __init__(self, start: float, high: float = MAX_SCALE, learn: bool = True) -> None:
        super().__init__()
        if not 1.0 <= start <= high:
            raise ModalignError(f"the scale (1 / temperature) is {start:g}: it must be within [1, {high:g}]")
        self.bounds = (0.0, math.log(high))
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
