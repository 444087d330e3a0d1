"""Losses of one set of vectors that keep its rows, or its coordinates, from saying the same.

Everything is computed in at least float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .cost import inner, sqeuclidean, working


def uniformity(x: Tensor, t: float = 2.0, same: Tensor | None = None) -> Tensor:
    """How evenly vectors cover the sphere: the log of a mean gaussian potential between different rows.

    L = log mean_{i != j} exp(-t |x_i - x_j|^2). Itself is excluded by index.

    Args:
        x: (n, d), unit rows.
        t: > 0; published 2.
        same: (n, n) bool, rows that are the same thing and need not repel each other; default none but itself.

    Returns:
        Scalar <= 0 (0 when all rows are equal, -2t is near the best in high dimension); 0 without two different rows.

    Reference: Wang, Isola (2020), arXiv 2005.10242, section 4.1.

    Example:
        >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item()
        -8.0
    """
    (x,) = working(x)
    others = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    if same is not None:
        others &= ~same
    exponents = (-t * sqeuclidean(x, x)).masked_fill(~others, torch.finfo(x.dtype).min)
    if not len(x):
        return x.sum() * 0.0
    mean = torch.logsumexp(exponents.flatten(), 0) - others.sum().clamp(min=1).log()
    return torch.where(others.any(), mean, 0.0)


def variance(x: Tensor, target: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """Hinge that keeps every coordinate's standard deviation above a target.

    L = mean_d relu(target - sqrt(var_d + epsilon)), the variance over rows, unbiased.

    Args:
        x: (n, d).
        target: published 1, for vectors without normalisation; unit vectors of dimension d reach 1/sqrt(d).
        epsilon: keeps the root's gradient finite; published 1e-4.

    Returns:
        Scalar >= 0; 0 for fewer than two rows, whose variance is not defined.

    Reference: Bardes, Ponce, LeCun (2022), arXiv 2105.04906, eq. 1 and 2.

    Example:
        >>> round(variance(torch.zeros(3, 2), target=1.0).item(), 4)
        0.99
    """
    (x,) = working(x)
    if len(x) < 2:
        return x.sum() * 0.0
    return torch.relu(target - (x.var(0) + epsilon).sqrt()).mean()


def covariance(x: Tensor) -> Tensor:
    """Squared off-diagonal covariances: coordinates should not repeat each other.

    L = (1/d) sum_{a != b} Cov_ab^2, the covariance over rows, unbiased.

    Args:
        x: (n, d).

    Returns:
        Scalar >= 0; 0 for fewer than two rows.

    Reference: Bardes, Ponce, LeCun (2022), arXiv 2105.04906, eq. 3 and 4.

    Example:
        >>> covariance(torch.tensor([[1.0, 1.0], [-1.0, -1.0]])).item()
        4.0
    """
    (x,) = working(x)
    n, d = x.shape
    if n < 2:
        return x.sum() * 0.0
    centred = x - x.mean(0)
    matrix = inner(centred.mT, centred.mT) / (n - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / d
