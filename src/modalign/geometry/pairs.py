"""Pairs of rows: which row of one set goes with which row of another."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModalignError


def known_pairs(pairs: Tensor, n: int, m: int) -> Tensor:
    """(p, 2) int64 rows of two sets of n and m rows.

    Raises:
        ModalignError: another shape, fractions, or rows that there are not.

    Example:
        >>> known_pairs(torch.tensor([[0, 3]]), 2, 4).tolist()
        [[0, 3]]
    """
    if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point() or pairs.is_complex():
        raise ModalignError(f"pairs must be (p, 2) row numbers, got {pairs.dtype} of shape {tuple(pairs.shape)}")
    pairs = pairs.long()
    if torch.compiler.is_compiling() or not len(pairs):
        return pairs
    if int(pairs.min()) < 0 or bool((pairs.amax(0) >= pairs.new_tensor([n, m])).any()):
        raise ModalignError(f"pairs name rows outside the {n} and {m} that there are")
    return pairs
