"""Canonical correlations and correlated distances."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Count, Seed, checked
from ..cost import unit
from .common import check


@checked
def svcca(x: Tensor, y: Tensor, variance: float = 0.99) -> float:
    """Mean canonical correlation after keeping the leading singular directions of each set.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item.
        variance: share of the variance that the kept directions explain, in (0, 1].

    Returns:
        in [0, 1]; near 1 for any two sets when n is not much larger than the number of kept directions.

    Raises:
        ModalignError: as in ``cka``.

    Reference: Raghu et al. 2017, arXiv 1706.05806.

    Example:
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> round(svcca(x, x @ torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 3.0, 1.0]])), 6)
        1.0
    """
    left, right = _leading(x, y, variance)
    correlations = torch.linalg.svdvals(left.T @ right).clamp(max=1.0)
    return float(correlations.mean())


@checked
def pwcca(x: Tensor, y: Tensor, variance: float = 0.99) -> float:
    """Canonical correlations weighted by how much of x each direction accounts for. Not symmetric.

    sum_c w_c rho_c / sum_c w_c, w_c = sum_j |<h_c, x_j>|, h_c the canonical variables of x, x_j its columns.

    Args, Raises: as in ``svcca``.

    Returns:
        in [0, 1].

    Reference: Morcos et al. 2018, arXiv 1806.05759, equation 5.

    Example:
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> round(pwcca(x, 2 * x), 6)
        1.0
    """
    left, right = _leading(x, y, variance)
    u, correlations, _ = torch.linalg.svd(left.T @ right, full_matrices=False)
    centred = x.detach().double() - x.detach().double().mean(0)
    weight = ((left @ u).T @ centred).abs().sum(1)
    return float((weight * correlations.clamp(max=1.0)).sum() / weight.sum())


@checked
def rsa(x: Tensor, y: Tensor, rows: Count = 2000, seed: Seed = 0) -> float:
    """Representational similarity: Spearman correlation of all pairwise cosine distances.

    Args:
        x: (n, d1), y: (n, d2): row i of both is the same item.
        rows: at most so many items, drawn at random, enter (their pairs are rows^2 / 2).
        seed: of that draw.

    Returns:
        in [-1, 1].

    Raises:
        ModalignError: fewer than three items, or distances that are all equal.

    Reference: Kriegeskorte et al. 2008, "Representational similarity analysis".

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.3, 0.9]])
        >>> round(rsa(x, 2 * x), 6)
        1.0
    """
    from scipy.stats import rankdata

    check(x, y, 3, "RSA")
    if len(x) > rows:
        chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:rows].to(x.device)
        x, y = x[chosen], y[chosen]
    i, j = torch.triu_indices(len(x), len(x), 1)
    ranks = []
    for v in (x, y):
        v = unit(v.detach().double())
        r = torch.as_tensor(rankdata((v @ v.T)[i, j].cpu().numpy().round(12)))
        ranks.append(r - r.mean())
    norms = ranks[0].norm() * ranks[1].norm()
    if norms == 0:
        raise ModalignError("all pairwise distances of a set are equal: RSA is undefined")
    return float(ranks[0] @ ranks[1] / norms)


def _leading(x: Tensor, y: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """Orthonormal leading left singular vectors of both centred sets."""
    check(x, y, 3, "SVCCA")
    if not 0.0 < variance <= 1.0:
        raise ModalignError(f"the share of variance must lie in (0, 1], got {variance}")
    out = []
    for name, v in (("first", x), ("second", y)):
        v = v.detach().double()
        u, s, _ = torch.linalg.svd(v - v.mean(0), full_matrices=False)
        if s[0] <= 1e-12 * v.norm():
            raise ModalignError(f"all points of the {name} set are equal: its SVCCA is undefined")
        share = s.square().cumsum(0) / s.square().sum()
        count = int((share < variance - 1e-12).sum()) + 1
        out.append(u[:, : min(count, int((s > 1e-10 * s[0]).sum()))])
    return out[0], out[1]
