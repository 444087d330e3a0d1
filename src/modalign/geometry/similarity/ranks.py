"""Whether near neighbours stay near: trustworthiness and continuity."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import checked
from ..neighbours import Scorer, knn
from .common import CELLS, check


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
