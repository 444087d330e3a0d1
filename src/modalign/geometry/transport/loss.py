"""Transport between embeddings as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cost import cost as cost_matrix
from .front import solve
from .result import Potentials


def transport_loss(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    cost: str = "cosine",
    method: str = "entropic",
    pairs: Tensor | None = None,
    debias: bool = False,
    start: Potentials | None = None,
) -> Tensor:
    if debias:
        return sinkhorn_divergence(x, y, a, b, epsilon=epsilon, cost=cost)
    return solve(cost_matrix(x, y, cost), a, b, epsilon=epsilon, method=method, start=start).objective


def sinkhorn_divergence(
    x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None, *, epsilon: float = 0.05, cost: str = "cosine"
) -> Tensor:
    def term(u: Tensor, v: Tensor, w: Tensor | None, t: Tensor | None) -> Tensor:
        return solve(cost_matrix(u, v, cost), w, t, epsilon=epsilon).objective

    return term(x, y, a, b) - 0.5 * term(x, x, a, a) - 0.5 * term(y, y, b, b)


def barycentric(plan: Tensor, y: Tensor) -> Tensor:
    mass = plan.sum(-1, keepdim=True)
    return torch.where(mass > 0, plan @ y.to(plan.dtype) / mass.clamp_min(1e-30), 0.0)
