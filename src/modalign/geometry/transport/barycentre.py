"""The mean of several sets of points in the sense of transport."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...errors import ModalignError
from ...parameters import checked
from ..cost import cost as cost_matrix
from .divergence import barycentric
from .front import Problem, solve
from .solver import DEFAULT, Solver


@checked
@torch.no_grad()
def barycentre(
    sets: Sequence[Tensor],
    *,
    start: Tensor | None = None,
    cost: str = "cosine",
    rounds: int = 10,
    solver: Solver = DEFAULT,
) -> Tensor:
    """Points y that minimise the mean over sets of min_P <P, C(y, x_m)> + epsilon KL(P | a b^T), y free to move.

    Alternates between the plans from y to each set and y = mean over sets of the barycentric projections of the
    plans, normalised for the cosine cost. Each round lowers the objective; it is a local minimum that depends on the
    start. With one set and a small epsilon it is that set; for sets on a line it averages their quantiles.

    Args:
        sets: (n_m, d) embeddings of each modality, any float dtype.
        start: (n, d) points to start from; None: the first set.
        cost: ``"cosine"`` or ``"sqeuclidean"``.
        rounds: at most; stops when no point moves by more than 1e-4 of the points' size.
        solver: of the plans, see `Solver`.

    Returns:
        (n, d), detached, at least float32.

    Raises:
        ModalignError: no sets, unequal widths, an unknown cost.

    Use when: three or more modalities should meet in one place instead of pair by pair.
    Related: `solve` for two sets.

    Reference:
        Cuturi and Doucet, 2014, arXiv 1310.4375, algorithm 2.

    Example:
        >>> line = torch.tensor([[0.0], [1.0], [2.0]])
        >>> y = barycentre([line, line + 4.0], cost="sqeuclidean", rounds=50, solver=Solver(epsilon=1e-3))
        >>> [round(v, 2) for v in y.flatten().tolist()]
        [2.0, 3.0, 4.0]
    """
    if not sets or len({x.shape[1] for x in sets if x.dim() == 2}) != 1 or any(x.dim() != 2 for x in sets):
        raise ModalignError(f"a barycentre needs sets (n, d) of one width, got {[tuple(x.shape) for x in sets]}")
    y = (sets[0] if start is None else start).detach()
    y = y.to(torch.promote_types(y.dtype, torch.float32))
    if cost == "cosine":
        y = normalize(y, dim=1)
    for _ in range(rounds):
        images = []
        for x in sets:
            points = normalize(x.to(y), dim=1) if cost == "cosine" else x.to(y)
            plan = solve(Problem(cost_matrix(y, points, cost)), solver).plan
            images.append(barycentric(plan, points))
        moved = torch.stack(images).mean(0)
        if cost == "cosine":
            moved = normalize(moved, dim=1)
        still = bool((moved - y).norm(dim=1).max() <= 1e-4 * y.norm(dim=1).mean())
        y = moved
        if still:
            break
    return y
