"""Similarity of two representations of the same items: shared neighbours, kernel alignment."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModalignError
from .neighbours import knn

CELLS = 1 << 24  # comparisons held at once


def mutual_knn(x: Tensor, y: Tensor, k: int = 10) -> Tensor:
    """Share of each item's k nearest neighbours that both representations agree on.

    m_i = |N_x(i) & N_y(i)| / k, neighbours by cosine, self left out by index, ties by index. The metric is the mean;
    two unrelated sets reach k / (n - 1).

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item.
        k: neighbours; n - 1 at most.

    Returns:
        (n,) float64 in [0, 1].

    Raises:
        ModalignError: different numbers of rows, or fewer than two.

    Reference: Huh et al. 2024, "The Platonic Representation Hypothesis", arXiv 2405.07987, appendix A.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> mutual_knn(x, x, k=1).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    check_same_items(x, y, least=2)
    a, b = knn(x, k=k)[1], knn(y, k=k)[1]
    return shared(a, b).double() / a.shape[1]


def shared(a: Tensor, b: Tensor) -> Tensor:
    """(n,) how many entries of row i of a occur in row i of b, for rows without repetition."""
    step = max(1, CELLS // max(1, a.shape[1] * b.shape[1]))
    parts = [(p[:, :, None] == q[:, None, :]).sum((1, 2)) for p, q in zip(a.split(step), b.split(step), strict=True)]
    return torch.cat(parts)


def check_same_items(x: Tensor, y: Tensor, least: int) -> None:
    """Refuse sets whose rows cannot be the same items, or that have fewer than ``least`` rows."""
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y):
        raise ModalignError(
            f"two sets with one row per shared item are needed, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if len(x) < least:
        raise ModalignError(f"at least {least} items are needed, got {len(x)}")
