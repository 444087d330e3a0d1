"""Agreement of nearest neighbours, and whether near ones stay near: trustworthiness and continuity."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import checked
from ..cost import unit
from ..neighbours import Scorer, knn
from .common import CELLS, LEAST_UNBIASED, check


@checked
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
    a, b = _neighbours(x, y, k)
    step = max(1, CELLS // a.shape[1] ** 2)
    parts = [(p[:, :, None] == q[:, None, :]).sum((1, 2)) for p, q in zip(a.split(step), b.split(step), strict=True)]
    return torch.cat(parts).double() / a.shape[1]


@checked
def cycle_knn(x: Tensor, y: Tensor, k: int = 10) -> Tensor:
    """Whether an item is among the x-neighbours of its own y-neighbours.

    c_i = 1 if i is in N_x(j) for some j in N_y(i), else 0. Not symmetric in x and y.

    Args, Raises: as in ``mutual_knn``.

    Returns:
        (n,) float64, 0 or 1.

    Reference: Huh et al. 2024, arXiv 2405.07987 (their program's cycle_knn).

    Example:
        >>> cycle_knn(torch.eye(3), torch.eye(3), k=2).tolist()
        [1.0, 1.0, 1.0]
    """
    a, b = _neighbours(x, y, k)
    rows = torch.arange(len(a), device=a.device)
    step = max(1, CELLS // a.shape[1] ** 2)
    parts = [(a[j] == i[:, None, None]).flatten(1).any(1) for i, j in zip(rows.split(step), b.split(step), strict=True)]
    return torch.cat(parts).double()


@checked
def lcs_knn(x: Tensor, y: Tensor, k: int = 10) -> Tensor:
    """Longest common subsequence of the two ordered neighbour lists, as a share of k: agreement in order too.

    Args, Raises: as in ``mutual_knn``.

    Returns:
        (n,) float64 in [0, 1]; times k it is the length that the original program averages.

    Reference: Huh et al. 2024, arXiv 2405.07987 (their program's lcs_knn).

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> lcs_knn(x, x, k=3).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    a, b = _neighbours(x, y, k)
    k = a.shape[1]
    length = torch.zeros(len(a), k + 1, dtype=torch.long, device=a.device)  # of prefixes: all of b, so far of a
    for i in range(k):
        before = length.clone()
        for j in range(k):
            extended = before[:, j] + (a[:, i] == b[:, j]).long()
            length[:, j + 1] = torch.maximum(torch.maximum(before[:, j + 1], length[:, j]), extended)
    return length[:, k].double() / k


@checked
def cknna(x: Tensor, y: Tensor, k: int = 10, *, constant: float = 0.0) -> float:
    """Centred kernel nearest-neighbour alignment: unbiased CKA of the entries that are neighbours in both sets.

    CKNNA = A(K, L) / sqrt(A(K, K) A(L, L)), A the unbiased HSIC of linear kernels of the unit rows, with entries (i, j)
    kept where j is among the k nearest of i in both arguments. Not quite symmetric in x and y, as in the original.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item; rows are scaled to length 1.
        k: neighbours; n - 1 at most.
        constant: added to the denominator; the original program adds 1e-6.

    Returns:
        <= 1; NaN if no entry is left in one of the sets.

    Raises:
        ModalignError: different numbers of rows, or fewer than four.

    Reference: Huh et al. 2024, arXiv 2405.07987, appendix A.

    Example:
        >>> x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
        >>> round(cknna(x, -x, k=5), 6)
        1.0
    """
    check(x, y, LEAST_UNBIASED, "CKNNA")
    x, y = unit(x.detach().double()), unit(y.detach().double())
    a, b = _neighbours(x, y, k)
    both = (a[:, :, None] == b[:, None, :]).any(2)
    cross = _sparse_hsic(x, y, a, both)
    own_x = _sparse_hsic(x, x, a, torch.ones_like(both))
    own_y = _sparse_hsic(y, y, b, torch.ones_like(both))
    return cross / ((own_x * own_y) ** 0.5 + constant) if own_x > 0 and own_y > 0 else float("nan")


@checked
def trustworthiness(x: Tensor, y: Tensor, k: int = 10) -> Tensor:
    """How little each item's neighbours in y are strangers in x; 1 is best.

    t_i = 1 - 2 / (k (2n - 3k - 1)) sum over j in N_y(i) of max(0, r_x(i, j) - k), r_x the rank of j among the
    neighbours of i in x, from 1. The metric is the mean of t_i.

    Neighbours by cosine, self left out by index; items equally near have their mean rank. Continuity is the same with
    the sets exchanged: ``trustworthiness(y, x)``.

    Args:
        x: (n, d1) the original. y: (n, d2) its image: row i of both is the same item.
        k: neighbours, below n / 2.

    Returns:
        (n,) float64. Two unrelated sets reach about 1/2 for k much below n.

    Raises:
        ModalignError: different numbers of rows, or k not below n / 2.

    Reference: Venna & Kaski 2001, "Neighborhood preservation in nonlinear projection methods", equation 1.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> trustworthiness(x, 3 * x, k=1).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    check(x, y, 3, "trustworthiness")
    n = len(x)
    if not 1 <= k < n / 2:
        raise ModalignError(f"trustworthiness needs 1 <= k < n / 2, got k = {k} for {n} items")
    near = knn(y.detach(), k=k)[1]
    scorer = Scorer(x.detach(), x.detach())
    slack, excess = scorer.tolerance(), []
    for rows in torch.arange(n, device=x.device).split(max(1, CELLS // n)):
        scores = scorer.rows(rows)
        scores[torch.arange(len(rows), device=x.device), rows] = -torch.inf
        level = scores.gather(1, near[rows])
        ordered = scores.sort(dim=1).values
        above = n - torch.searchsorted(ordered, level + slack, right=True)
        least = n - torch.searchsorted(ordered, level - slack, right=False)
        rank = above + (least - above + 1) / 2.0
        excess.append((rank.double() - k).clamp(min=0.0).sum(1))
    return 1.0 - 2.0 / (k * (2 * n - 3 * k - 1)) * torch.cat(excess)


def _neighbours(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    check(x, y, 2, "a comparison of neighbours")
    return knn(x, k=k)[1], knn(y, k=k)[1]


def _sparse_hsic(x: Tensor, y: Tensor, near: Tensor, keep: Tensor) -> float:
    """Unbiased HSIC of linear kernels that are zero outside the kept entries (i, near[i])."""
    from scipy.sparse import csr_array

    n = len(x)
    i = torch.arange(n, device=x.device)[:, None].expand_as(near)[keep]
    j = near[keep]
    place = (i.cpu().numpy(), j.cpu().numpy())
    left, right = (csr_array(((v[i] * v[j]).sum(1).cpu().numpy(), place), shape=(n, n)) for v in (x, y))
    product = float(left.multiply(right.T).sum())
    middle = float(left.sum(0) @ right.sum(1))
    total = product + float(left.sum()) * float(right.sum()) / ((n - 1) * (n - 2)) - 2.0 * middle / (n - 2)
    return total / (n * (n - 3))
