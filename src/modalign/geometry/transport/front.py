"""The front door: `solve` a transport problem, whatever its kind."""

from __future__ import annotations

import torch
from torch import Tensor

from .logdomain import log_sinkhorn
from .problem import prepare
from .result import Plan, Potentials, warn_unless


def solve(
    cost: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    method: str = "entropic",
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    start: Potentials | None = None,
) -> Plan:
    problem = prepare(cost, a, b, epsilon)
    f, g, iterations = log_sinkhorn(problem, tolerance, max_iterations, start)
    plan = ((f[..., :, None] + g[..., None, :] - problem.cost) / epsilon).exp()
    plan = plan * problem.a[..., :, None] * problem.b[..., None, :]
    rows, columns = plan.sum(-1), plan.sum(-2)
    error = float(((rows - problem.a).abs().sum(-1) + (columns - problem.b).abs().sum(-1)).max())
    value = torch.where(plan > 0, plan * problem.cost, 0.0).sum((-1, -2))
    objective = (problem.a * f).sum(-1) + (problem.b * g).sum(-1) - epsilon * (rows.sum(-1) - problem.b.sum(-1))
    objective = Envelope.apply(cost, objective, plan)
    warn_unless(error <= tolerance, error, tolerance, iterations)
    return Plan(value, objective, plan, f, g, error, iterations, error <= tolerance, True)


class Envelope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cost, objective, plan):  # type: ignore
        ctx.save_for_backward(plan)
        ctx.dtype = cost.dtype
        return objective.clone()

    @staticmethod
    def backward(ctx, grad):  # type: ignore
        (plan,) = ctx.saved_tensors
        return (grad[..., None, None] * plan).to(ctx.dtype), None, None
