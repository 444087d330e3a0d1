"""Entropic and unbalanced transport for a cost in memory, to a `Plan`."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .entropic import Envelope, Settings, Tally, dual_value, iterate, weight_gradients
from .exact import require_feasible
from .problem import dense_cost, pose, require_allowed
from .result import Plan, Potentials, stack, warn_unless
from .sinkhorn import Scaled
from .source import DenseCost


def entropic(cost: Tensor, a: Tensor | None, b: Tensor | None, epsilon: float, settings: Settings) -> Plan:
    """Hard marginals: see `solve`."""
    return unbalanced(cost, a, b, epsilon, settings, rho=math.inf)


def unbalanced(
    cost: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    epsilon: float,
    settings: Settings,
    rho: float | tuple[float, float] = 1.0,
) -> Plan:
    """Marginals of price rho: see `solve`."""
    source = dense_cost(cost)
    problem = pose(source, a, b, epsilon, rho)
    if bool((problem.a == 0).any() | (problem.b == 0).any()):
        return _without_idle(cost, problem.a if a is None else a, problem.b if b is None else b, epsilon, settings, rho)
    if source.forbidden and problem.balanced:
        require_allowed(source.matrix, problem.a, problem.b)
    found = iterate(problem, settings)
    if source.forbidden and problem.balanced and bool((found.error > settings.tolerance).any()):
        require_feasible(source.matrix, problem.a, problem.b)
    return finish(found, settings, cost, a, b)


def _without_idle(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: float, settings: Settings, rho: float | tuple[float, float]
) -> Plan:
    """Solve among the items of positive weight; the others get no mass and the potential of their cost."""
    if cost.dim() == 3:
        a, b = a.expand(cost.shape[:-1]), b.expand(cost.shape[0], cost.shape[-1])
        return stack([unbalanced(*one, epsilon, settings, rho) for one in zip(cost, a, b, strict=True)])
    rows, columns = (a > 0).nonzero().squeeze(-1), (b > 0).nonzero().squeeze(-1)
    if settings.start is not None and settings.start.g is not None and settings.start.g.shape == b.shape:
        settings = replace(settings, start=Potentials(None, settings.start.g[columns]))
    small = unbalanced(cost[rows][:, columns], a[rows], b[columns], epsilon, settings, rho)
    corner = (rows.unsqueeze(-1), columns)
    plan = small.plan.new_zeros(cost.shape).index_put(corner, small.plan)
    rho_a, rho_b = rho if isinstance(rho, tuple) else (rho, rho)
    f = _potential(cost[:, columns], b[columns], small.g, epsilon, rho_a)
    g = _potential(cost[rows].mT, a[rows], small.f, epsilon, rho_b)
    f, g = f.index_put((rows,), small.f), g.index_put((columns,), small.g)
    return replace(small, plan=plan, f=f, g=g)


def _potential(cost: Tensor, weights: Tensor, other: Tensor, epsilon: float, rho: float) -> Tensor:
    """The potential that answers another one: -epsilon log sum_j b_j exp((g_j - C_ij) / epsilon), damped."""
    logits = (other - cost.detach().to(other)) / epsilon + weights.detach().to(other).log()
    return -epsilon * torch.logsumexp(logits, -1) * (1.0 if math.isinf(rho) else rho / (rho + epsilon))


def finish(found: Scaled, settings: Settings, cost: Tensor, a: Tensor | None, b: Tensor | None) -> Plan:
    """The `Plan` of a solved dense problem; the plan takes the place of the kernel."""
    problem, source = found.problem, found.problem.source
    assert isinstance(source, DenseCost)
    tally, pieces = Tally(problem), []
    value = problem.a.new_zeros(problem.a.shape[:-1], dtype=torch.float64)
    for rows, block in tally.watch(found.blocks()):
        paid = source.block(rows)
        paid = torch.where(block > 0, paid, 0.0) if source.forbidden else paid
        value += (block * paid).sum((-1, -2))
        pieces.append(block)
    plan = found.base.kernel if found.base.kernel is not None else torch.cat(pieces, -2)
    error, mass = tally.error(found), float(problem.b.sum(-1).min())
    converged = error <= settings.tolerance * mass * 1.01 + 8 * torch.finfo(plan.dtype).eps
    warn_unless(converged, error, settings.tolerance, found.iterations)
    grad_a, grad_b = weight_gradients(found)
    inputs = [(cost, plan)] + [(w, d) for w, d in ((a, grad_a), (b, grad_b)) if w is not None and w.shape == d.shape]
    objective = Envelope.apply(dual_value(found), tuple(d for _, d in inputs), *(w for w, _ in inputs))
    return Plan(
        value.to(plan.dtype), objective, plan, found.f.to(plan.dtype), found.g.to(plan.dtype),
        error, found.iterations, converged, found.log_domain,
    )  # fmt: skip
