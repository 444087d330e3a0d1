"""What the similarities share."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError

CELLS = 1 << 24  # numbers held at once
LEAST_UNBIASED = 4  # the unbiased estimate divides by n (n - 3)


def check(x: Tensor, y: Tensor, least: int, what: str) -> None:
    """Refuse sets whose rows cannot be the same items, or that have fewer than ``least`` rows."""
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or not x.shape[1] * y.shape[1]:
        raise ModalignError(
            f"two sets with one row per shared item are needed, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if len(x) < least:
        raise ModalignError(f"{what} needs at least {least} items, got {len(x)}")
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ModalignError("the sets have NaN or infinite values: remove these rows first")
