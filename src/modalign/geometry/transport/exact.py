"""The linear program of transport, solved by POT's network simplex."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ModalignError
from .coupling import Held, stack
from .dual import Envelope
from .problem import one_mass, pose, require_allowed
from .result import Plan, warn_unless
from .solver import Solver
from .source import CostSource, dense_cost, held

PIVOTS = 10_000_000
FORBIDDEN = 1e6  # price of a forbidden pair, in spreads of the finite costs


def linear_program_plan(source: CostSource, a: Tensor | None, b: Tensor | None, solver: Solver) -> Plan:
    """min <P, C> with P 1 = a, P^T 1 = b: `solve` at epsilon 0.

    Reference:
        Bonneel et al., 2011, "Displacement interpolation using Lagrangian mass transport" (POT's solver).
    """
    dense = held(source, solver.rows)
    cost = dense.given
    a, b = one_mass(dense, a, b)
    problem = pose(dense, a, b, 1.0)
    if dense.forbidden:
        require_allowed(dense.costs, problem.a, problem.b)
    if cost.dim() == 3:
        batch_a, batch_b = ([None] * len(cost) if w is None else w.expand(len(cost), -1) for w in (a, b))
        problems = zip(cost, batch_a, batch_b, strict=True)
        return stack([linear_program_plan(dense_cost(c), rows, columns, solver) for c, rows, columns in problems])
    plan, f, g, finished = linear_program(dense.costs, problem.a, problem.b, dense.spread)
    error = float((plan.sum(-1) - problem.a).abs().sum() + (plan.sum(-2) - problem.b).abs().sum())
    converged = finished and error <= max(solver.tolerance, 1e-6) * float(problem.b.sum())
    warn_unless(converged, error, solver.tolerance, PIVOTS)
    value = (plan * torch.where(plan > 0, dense.costs, 0.0)).sum()
    inputs = [(cost, plan)] + [(w, d) for w, d in ((a, f), (b, g)) if w is not None]
    objective = Envelope.apply(value, tuple(d for _, d in inputs), *(w for w, _ in inputs))
    return Plan(objective, f, g, 0, converged, False, Held(plan, value, error))


def linear_program(cost: Tensor, a: Tensor, b: Tensor, spread: float) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Plan, potentials and whether the simplex finished.

    Among items that have a weight f + g <= C, equal where P > 0; the others answer these.

    Raises:
        ModalignError: the forbidden pairs leave no way to meet the weights.
    """
    import ot

    matrix = cost.double().cpu().numpy()
    allowed = np.isfinite(matrix)
    if not allowed.all():
        matrix = np.where(allowed, matrix, matrix[allowed].max() + FORBIDDEN * (spread or 1.0))
    rows, columns = a.double().cpu().numpy(), b.double().cpu().numpy()
    columns = columns * (rows.sum() / columns.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT's warning is returned in the log as well
        plan, log = ot.emd(rows, columns, matrix, numItermax=PIVOTS, log=True)
    if float(plan[~allowed].sum()) > 1e-9 * rows.sum():
        raise _infeasible()
    plan = np.where(allowed, plan, 0.0)
    f, g = _answered(matrix, rows, columns, log["u"], log["v"]), _answered(matrix.T, columns, rows, log["v"], log["u"])
    plan_tensor, f, g = (torch.as_tensor(t).to(cost) for t in (plan, f, g))
    return plan_tensor, f, g, log["warning"] is None


def _answered(cost: np.ndarray, weights: np.ndarray, others: np.ndarray, own: np.ndarray, theirs: np.ndarray) -> Any:
    """Potentials of one side; an item of weight 0 has that of its cheapest partner, which POT only bounds."""
    idle = weights == 0
    return np.where(idle, (cost - theirs)[:, others > 0].min(1), own) if idle.any() else own


def require_feasible(cost: Tensor, a: Tensor, b: Tensor) -> None:
    """Refuse a problem whose allowed pairs cannot meet the weights, found by moving mass over them at no cost.

    Raises:
        ModalignError: infeasible.
    """
    forbidden = torch.isinf(cost)
    free = torch.zeros_like(cost).masked_fill(forbidden, torch.inf)
    for matrix, rows, columns in zip(
        *(t.reshape(-1, *t.shape[cost.dim() - 2 :]) for t in (free, a.unsqueeze(-1), b.unsqueeze(-1))), strict=True
    ):
        linear_program(matrix, rows.squeeze(-1), columns.squeeze(-1), 1.0)


def _infeasible() -> ModalignError:
    return ModalignError(
        "transport is infeasible: the allowed pairs (finite cost) cannot carry the weights of all items: "
        "allow more pairs, change the weights, or take an Unbalanced or Partial problem"
    )
