"""The leading eigenvectors and singular vectors of dense matrices, without the others where that is quicker."""

from __future__ import annotations

import torch
from torch import Tensor

FEW, LARGE = 1 / 3, 1024  # share of the eigenvectors up to which, and width from which on, they are computed alone
EVEN = 1e-4  # of the largest singular value: squares tell those above it from noise to 1e-8


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


def singular(matrix: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(m, k), (k,), (n, k) leading singular vectors and values U, s, V of a double matrix = U diag(s) V^T.

    From the eigenvectors of the smaller one of A A^T and A^T A in half the time, where all the values asked for are
    large enough to be told by their squares; otherwise by a singular value decomposition.

    Args:
        count: k, at most; of a smaller matrix as many as there are.

    Example:
        >>> singular(torch.diag(torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)), 2)[1]
        tensor([3., 2.], dtype=torch.float64)
    """
    if len(matrix) > matrix.shape[1]:
        right, s, left = singular(matrix.T, count)
        return left, s, right
    squares, vectors = torch.linalg.eigh(matrix @ matrix.T)
    s = squares.flip(0)[:count].clamp(min=0.0).sqrt()
    if not s[-1] > EVEN * s[0]:
        left, s, right = torch.linalg.svd(matrix, full_matrices=False)
        return left[:, :count], s[:count], right[:count].T
    left = vectors.flip(1)[:, :count]
    return left, s, matrix.T @ left / s
