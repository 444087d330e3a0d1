"""Partial transport: only a part of the mass moves, the rest goes to one more row and one more column."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...errors import ModalignError
from . import entropic
from .coupling import Held
from .problem import pose
from .result import Plan
from .solver import Solver
from .source import CostSource, dense_cost, held


def transport(source: CostSource, a: Tensor | None, b: Tensor | None, solver: Solver, mass: float) -> Plan:
    """min <P, C> + epsilon KL(Q | q_a q_b^T) with P 1 <= a, P^T 1 <= b, sum P = mass.

    Q is P with a slack row and column of cost 0 and weights q_a = (a, sum b - mass), q_b = (b, sum a - mass);
    the pair (slack, slack) is forbidden. P is Q without the slack; as epsilon falls it becomes the exact
    partial plan.

    Reference:
        Caffarelli and McCann, 2010, "Free boundaries in optimal transport", section 2;
        Chapel, Alaya and Gasso, 2020, arXiv 2002.08276, section 3.1.
    """
    dense = held(source, solver.rows)
    with torch.no_grad():
        problem = pose(dense, a, b, 1.0, rho=1.0)  # masses may differ
        room = torch.minimum(problem.a.sum(-1), problem.b.sum(-1))
    least = float(room.min())
    if not 0 < mass <= least * (1 + 1e-6):
        raise ModalignError(f"partial transport needs a mass in (0, {least:.6g}], got {mass}: set mass=")
    a = problem.a if a is None else a.to(problem.a).expand_as(problem.a)
    b = problem.b if b is None else b.to(problem.b).expand_as(problem.b)
    spare_a = (b.sum(-1, keepdim=True) - mass).clamp(min=0.0)
    spare_b = (a.sum(-1, keepdim=True) - mass).clamp(min=0.0)
    tiny = 1e-6 * mass  # a slack that is only rounding would need an extreme potential
    spare_a, spare_b = (torch.where(spare > tiny, spare, torch.zeros_like(spare)) for spare in (spare_a, spare_b))
    extended = pad(dense.given, (0, 1, 0, 1))
    corner = torch.zeros_like(extended, dtype=torch.bool)
    corner[..., -1, -1] = True
    weights = torch.cat([a, spare_a], -1), torch.cat([b, spare_b], -1)
    found = entropic.transport(dense_cost(extended.masked_fill(corner, torch.inf)), *weights, solver)
    plan = Held(found.plan[..., :-1, :-1].contiguous(), found.value, found.marginal_error)
    return replace(found, f=found.f[..., :-1], g=found.g[..., :-1], coupling=plan)
