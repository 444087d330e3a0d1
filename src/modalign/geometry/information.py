"""How much of one representation the other tells: cross-validated explained variance against shuffled pairs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError
from .correlation import principal_axes

RIDGES = tuple(10.0**e for e in range(-4, 3))
"""Ridges to choose from, in units of the mean squared singular value."""


class Explained(NamedTuple):
    """Share of the variance of y that x predicts on held-out rows.

    value: <= 1; at or below 0 where nothing is predicted. null: (p,) the same with shuffled pairs.
    kind: "linear" or "rbf", whichever predicts better (the null chooses in the same way).
    """

    value: float
    null: Tensor
    kind: str

    @property
    def z(self) -> float:
        """Standard deviations above the mean of the null."""
        return float((self.value - self.null.mean()) / self.null.std().clamp(min=1e-4))


def principal(x: Tensor, most: int = 256, variance: float = 0.999) -> Tensor:
    """(n, d) rows as (n, r) float32 coordinates on their leading principal axes, mean square norm 1.

    Args:
        x: (n, d), n >= 2. most: axes at most. variance: share of the variance that is enough, in (0, 1].

    Raises:
        ModalignError: rows that are all equal.

    Example:
        >>> principal(torch.tensor([[1.0, 5.0], [-1.0, 5.0]])).abs().tolist()
        [[1.0], [1.0]]
    """
    axes = principal_axes(x, most=most)
    share = axes.values.cumsum(0) / (axes.total * x.shape[1])
    keep = int((share < variance).sum()) + 1
    z = axes.coordinates(x)[:, :keep]
    return (z / z.square().sum(1).mean().sqrt()).float()


def explained(
    x: Tensor, y: Tensor, folds: int = 5, permutations: int = 20, landmarks: int = 300, seed: int = 0
) -> Explained:
    """Cross-validated share of the variance of y that ridge regression on x predicts, and what shuffled pairs reach.

    R^2 = 1 - sum |y_i - f_(-i)(x_i)|^2 / sum |y_i - mean_(-i) y|^2, f fitted without the fold of i; its ridge by
    generalised cross-validation on the training folds. Two kinds of f: linear, and linear on Gaussian kernel features
    of some rows (Nystrom; width = median distance); the better one counts.

    Args:
        x, y: (n, a), (n, b): row i of both is the same item. Reduce wide ones with ``principal``.
        folds: 2 to n. permutations: shuffles for the null. landmarks: rows behind the kernel features.
        seed: of folds, shuffles and landmarks.

    Raises:
        ModalignError: different numbers of rows, or fewer than 10.

    Reference: generalised cross-validation: Golub, Heath & Wahba 1979; Nystrom features: Williams & Seeger 2001.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> x = torch.randn(100, 2, generator=g)
        >>> e = explained(x, torch.cat([x, torch.randn(100, 2, generator=g)], 1))
        >>> 0.4 < e.value < 0.6, bool(e.null.max() < 0.1)
        (True, True)
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 10:
        raise ModalignError(f"explained variance needs 10 or more paired rows, got {tuple(x.shape)}, {tuple(y.shape)}")
    n = len(x)
    g = torch.Generator().manual_seed(seed)
    fold = torch.randperm(n, generator=g) % folds
    orders = [torch.arange(n), *(torch.randperm(n, generator=g) for _ in range(permutations))]
    chosen = torch.randperm(n, generator=g)[: min(landmarks, n)]
    x, y = x.float(), y.float()
    table = torch.stack([_by_order(v, y, fold, orders) for v in (x, torch.cat([x, kernel_features(x, chosen)], 1))])
    best = table.max(0).values
    return Explained(float(best[0]), best[1:], ("linear", "rbf")[int(table[:, 0].argmax())])


def kernel_features(x: Tensor, landmarks: Tensor) -> Tensor:
    """(n, m) features whose inner products approximate a Gaussian kernel of median width; Nystrom.

    Args:
        x: (n, a). landmarks: (m,) rows of x.
    """
    points = x[landmarks]
    apart = torch.cdist(points, points)
    width = apart[apart > 0].median() if bool((apart > 0).any()) else apart.new_tensor(1.0)
    values, vectors = torch.linalg.eigh(torch.exp(-0.5 * (apart / width).square()).double())
    root = vectors * values.clamp(min=1e-6 * float(values[-1])).rsqrt()
    return torch.exp(-0.5 * (torch.cdist(x, points) / width).square()) @ root.float()


def _by_order(x: Tensor, y: Tensor, fold: Tensor, orders: list[Tensor]) -> Tensor:
    """(orders,) explained variance of y[order] by x."""
    wrong, total = y.new_zeros(2, len(orders))
    for k in range(int(fold.max()) + 1):
        train, test = (fold != k).nonzero().flatten(), (fold == k).nonzero().flatten()
        mean = x[train].mean(0)
        left, s, right = _svd(x[train] - mean)
        held = (x[test] - mean) @ right
        for i, order in enumerate(orders):
            known, asked = y[order[train]], y[order[test]]
            centre = known.mean(0)
            target = left.T @ (known - centre)
            shrink = _shrinkage(s, target.square().sum(1), float((known - centre).square().sum()), len(train))
            prediction = held @ (target * (shrink / s)[:, None]) + centre
            wrong[i] += (asked - prediction).square().sum()
            total[i] += (asked - centre).square().sum()
    return 1.0 - wrong / total.clamp(min=1e-30)


def _svd(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left vectors, singular values, right vectors, through the Gram matrix; null directions left out.

    In float64: the squares of single precision have null directions at 1e-7 of the largest, as those that count.
    """
    wide = x.double()
    values, right = torch.linalg.eigh(wide.T @ wide)
    keep = values > 1e-7 * values[-1].clamp(min=1e-30)
    s, right = values[keep].sqrt().float(), right[:, keep].float()
    return (x @ right) / s, s, right


def _shrinkage(s: Tensor, energy: Tensor, total: float, n: int) -> Tensor:
    """Ridge factors s^2 / (s^2 + r) of the ridge with the least generalised cross-validation error.

    Of what each ridge loses, not of what is left of the whole: where there are as many directions as rows, nearly
    nothing stands over nearly nothing, and differences of float32 would choose.
    """
    power, energy = s.double().square(), energy.double()
    beyond = max(0.0, total - float(energy.sum())) if len(s) < n - 1 else 0.0  # what lies in no direction
    best, chosen = float("inf"), torch.zeros_like(power)
    for ridge in RIDGES:
        lost = ridge * power.mean() / (power + ridge * power.mean())
        free = n - 1 - len(s) + float(lost.sum())
        error = (beyond + float((lost.square() * energy).sum())) / free**2
        if error < best:
            best, chosen = error, 1.0 - lost
    return chosen.to(s.dtype)
