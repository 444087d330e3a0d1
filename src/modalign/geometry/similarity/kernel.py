"""Centred kernel alignment, in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import ModalignError, check_known
from ...parameters import checked
from .common import CELLS, LEAST_UNBIASED, check

FEW = 1000  # rows of which the median distance is taken
Kernel = Callable[[slice], Tensor]  # rows -> (rows, n) block


@checked
def cka(
    x: Tensor, y: Tensor, *, kernel: str = "linear", unbiased: bool = False, bandwidth: float | None = None
) -> float:
    """Centred kernel alignment.

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), biased: HSIC = tr(K H L H); unbiased: the U-statistic of Song et
    al., which removes the growth with width. No constant stands in the denominator: scaling x or y changes nothing.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item.
        kernel: "linear" or "rbf" (exp(-|x_i - x_j|^2 / (2 s^2))).
        unbiased: needs n >= 4; the value may be slightly negative.
        bandwidth: s of the rbf kernel, as a multiple of the median distance; default 1.

    Returns:
        in [0, 1] (biased), <= 1 (unbiased).

    Raises:
        ModalignError: too few rows, different numbers of rows, or a set of equal points (its CKA is undefined).

    Reference: Kornblith et al. 2019, arXiv 1905.00414; unbiased HSIC: Song et al. 2012, equation 5.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 0.0]])
        >>> round(cka(x, 3 * x), 6), round(cka(x, 3 * x, unbiased=True), 6)
        (1.0, 1.0)
    """
    check_known("kernel", kernel, ("linear", "rbf"))
    check(x, y, LEAST_UNBIASED if unbiased else 2, "unbiased CKA" if unbiased else "CKA")
    x, y = _centred("first", x), _centred("second", y)
    if kernel == "linear" and max(x.shape[1], y.shape[1]) <= 2 * len(x):
        sums = _linear_sums(x, y)
    else:
        make = _rbf if kernel == "rbf" else _linear
        sums = _kernel_sums(make(x, bandwidth), make(y, bandwidth), len(x), x.device)
    hsic = _unbiased_hsic if unbiased else _biased_hsic
    cross, own_x, own_y = (hsic(s, len(x)) for s in sums)
    if own_x <= 0 or own_y <= 0:
        raise ModalignError("the kernels have no spread left after centring: CKA is undefined")
    return cross / (own_x * own_y) ** 0.5


def _centred(name: str, x: Tensor) -> Tensor:
    x = x.detach().double()
    centred = x - x.mean(0)
    if centred.norm() <= 1e-12 * x.norm():
        raise ModalignError(f"all points of the {name} set are equal: its CKA is undefined")
    return centred


class _Sums(NamedTuple):
    """What HSIC needs of two kernels: sum K_ij L_ij, row sums of both, and the same without the diagonals."""

    product: float
    rows_k: Tensor
    rows_l: Tensor
    diagonal_k: Tensor
    diagonal_l: Tensor


def _biased_hsic(s: _Sums, n: int) -> float:
    """tr(K H L H)."""
    return float(s.product - 2.0 * (s.rows_k @ s.rows_l) / n + s.rows_k.sum() * s.rows_l.sum() / n**2)


def _unbiased_hsic(s: _Sums, n: int) -> float:
    """Song et al. 2012, equation 5, on kernels without their diagonals."""
    product = s.product - s.diagonal_k @ s.diagonal_l
    rows_k, rows_l = s.rows_k - s.diagonal_k, s.rows_l - s.diagonal_l
    total = product + rows_k.sum() * rows_l.sum() / ((n - 1) * (n - 2)) - 2.0 * (rows_k @ rows_l) / (n - 2)
    return float(total / (n * (n - 3)))


def _linear_sums(x: Tensor, y: Tensor) -> tuple[_Sums, _Sums, _Sums]:
    """Sums of linear kernels (x, y), (x, x), (y, y), through covariances."""

    def of(a: Tensor, b: Tensor) -> _Sums:
        rows = [v @ v.sum(0) for v in (a, b)]
        squares = [v.square().sum(1) for v in (a, b)]
        return _Sums(float((a.T @ b).square().sum()), rows[0], rows[1], squares[0], squares[1])

    return of(x, y), of(x, x), of(y, y)


def _kernel_sums(left: Kernel, right: Kernel, n: int, device: torch.device) -> tuple[_Sums, _Sums, _Sums]:
    """The same for any kernels given by blocks of rows."""
    rows = torch.zeros(2, n, dtype=torch.float64, device=device)
    diagonal = torch.zeros_like(rows)
    product = [0.0, 0.0, 0.0]
    step = max(1, CELLS // n)
    for start in range(0, n, step):
        here = slice(start, min(start + step, n))
        a, b = left(here), right(here)
        for side, block in enumerate((a, b)):
            rows[side, here] = block.sum(1)
            diagonal[side, here] = block.diagonal(start)
        for which, (p, q) in enumerate(((a, b), (a, a), (b, b))):
            product[which] += float((p * q).sum())
    sides = ((0, 1), (0, 0), (1, 1))
    out = [_Sums(product[w], rows[i], rows[j], diagonal[i], diagonal[j]) for w, (i, j) in enumerate(sides)]
    return out[0], out[1], out[2]


def _linear(x: Tensor, bandwidth: float | None) -> Kernel:
    return lambda here: x[here] @ x.T


def _rbf(x: Tensor, bandwidth: float | None) -> Kernel:
    scale = (bandwidth or 1.0) * _typical_distance(x)
    squares = x.square().sum(1)

    def rows(here: slice) -> Tensor:
        distance = (squares[here, None] + squares[None, :] - 2 * x[here] @ x.T).clamp_(min=0.0)
        kernel = distance.div_(-2.0 * scale**2).exp_()
        kernel.diagonal(here.start).fill_(1.0)
        return kernel

    return rows


def _typical_distance(x: Tensor) -> float:
    """Median distance of rows taken at even steps; of the different ones among all where most of those are equal."""
    step = max(1, len(x) // FEW)
    middle = float(torch.pdist(x[::step]).median())
    if middle > 0:
        return middle
    distinct = torch.unique(x, dim=0)
    return float(torch.pdist(distinct[:: max(1, len(distinct) // FEW)]).median())
