"""The leading eigenvectors of dense matrices, without the others where that is quicker."""

from __future__ import annotations

import torch
from torch import Tensor

FEW, LARGE = 1 / 3, 1024  # share of the eigenvectors up to which, and width from which on, they are computed alone


def eigenvectors(matrix: Tensor, count: int) -> Tensor:
    """(d, count) eigenvectors of the largest eigenvalues of a symmetric matrix, the first one first.

    Example:
        >>> eigenvectors(torch.diag(torch.tensor([1.0, 3.0, 2.0])), 2).abs()
        tensor([[0., 0.],
                [1., 0.],
                [0., 1.]])
    """
    width = len(matrix)
    if width < LARGE or count > FEW * width or matrix.device.type != "cpu":
        return torch.linalg.eigh(matrix).eigenvectors[:, -count:].flip(1)
    from scipy.linalg import eigh

    found = eigh(matrix.numpy(), subset_by_index=[width - count, width - 1], driver="evr")[1]
    return torch.from_numpy(found).flip(1)
