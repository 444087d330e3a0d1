"""Transport that knows some of the pairs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...errors import ModalignError
from ..pairs import known_pairs
from . import entropic
from .coupling import Held
from .problem import one_mass, pose
from .result import Plan, Potentials
from .solver import Solver
from .source import CostSource, DenseCost, dense_cost, held


def transport(
    source: CostSource,
    a: Tensor | None,
    b: Tensor | None,
    solver: Solver,
    start: Potentials | None,
    pairs: Tensor,
    strength: float | None = None,
) -> Plan:
    """Known pairs held in the coupling (``strength=None``), or favoured by a lower cost.

    Held: P = H + r P', where pair (i, j) gets H_ij = min(a_i / deg_i, b_j / deg_j), deg being the number of
    pairs of an item, and P' is the entropic plan of the weights that are left, (a - H 1) / r and
    (b - H^T 1) / r, r their mass: objective <H, C> + r (<P', C> + epsilon KL(P' | a' b'^T)).
    Favoured: the entropic plan of C - strength on the pairs and C elsewhere; the objective is that problem's.
    In both, ``value`` is <P, C> with C as given, and the gradient of the objective in C is P.
    """
    dense = held(source, solver.rows)
    cost = dense.given
    if cost.dim() != 2:
        raise ModalignError(f"semi-paired transport takes one cost (n, m), got shape {tuple(cost.shape)}")
    rows, columns = torch.unique(known_pairs(torch.as_tensor(pairs, device=cost.device), *cost.shape), dim=0).unbind(-1)
    if strength is not None:
        return _favoured(dense, a, b, solver, start, (rows, columns), strength)
    a, b = one_mass(dense, a, b)
    with torch.no_grad():
        problem = pose(dense, a, b, 1.0)
    a = problem.a if a is None else a.to(problem.a)
    b = problem.b if b is None else b.to(problem.b)
    share_a = a[rows] / torch.bincount(rows, minlength=len(a))[rows]
    share_b = b[columns] / torch.bincount(columns, minlength=len(b))[columns]
    fixed = torch.minimum(share_a, share_b)
    costs = cost[rows, columns].to(fixed.dtype)
    if not bool(torch.isfinite(costs).all()):
        raise ModalignError("a known pair has cost +inf: a pair cannot be both held and forbidden")
    left_a = _remainder(a, a.index_add(0, rows, -fixed))
    left_b = _remainder(b, b.index_add(0, columns, -fixed))
    rest = left_a.sum()
    plan = torch.zeros_like(cost, dtype=fixed.dtype, requires_grad=False)
    plan = plan.index_put((rows, columns), fixed.detach(), accumulate=True)
    paid = (fixed * costs).sum()
    if float(rest) <= 1e-6 * float(a.sum()):
        zeros = (torch.zeros_like(problem.a), torch.zeros_like(problem.b))
        return Plan(paid, *zeros, 0, True, False, Held(plan, paid.detach(), float(rest)))
    free = entropic.transport(dense, left_a / rest, left_b / left_b.sum(), solver, start)
    scale = rest.detach()
    whole = Held(
        plan.add_(free.plan, alpha=float(scale)), paid.detach() + scale * free.value, float(scale) * free.marginal_error
    )
    return replace(free, objective=paid + rest * free.objective, coupling=whole)


def _favoured(
    dense: DenseCost,
    a: Tensor | None,
    b: Tensor | None,
    solver: Solver,
    start: Potentials | None,
    pairs: tuple[Tensor, Tensor],
    strength: float,
) -> Plan:
    if not strength >= 0:
        raise ModalignError(f"strength is {strength}: it lowers the cost of known pairs and must be at least 0")
    cost = dense.given
    discount = torch.zeros_like(cost).index_put(pairs, cost.new_tensor(float(strength)))
    found = entropic.transport(dense_cost(cost - discount), a, b, solver, start)
    paid = (found.plan * discount).sum()  # the discount is no part of the value
    return replace(found, coupling=Held(found.plan, found.value + paid, found.marginal_error))


def _remainder(weights: Tensor, left: Tensor) -> Tensor:
    """What is left of weights, with rounding dust set to 0."""
    return torch.where(left > 1e-6 * weights, left, torch.zeros_like(left))
