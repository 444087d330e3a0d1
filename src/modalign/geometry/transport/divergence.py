"""The Sinkhorn divergence, and the map that a plan stands for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import checked
from ..cost import working
from .entropic import finish, gains, potential, transport
from .points import between
from .problem import one_mass, pose
from .result import Plan
from .sinkhorn import sinkhorn_symmetric
from .solver import DEFAULT, Solver
from .source import ALL


@checked
def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    cost: str = "cosine",
    solver: Solver = DEFAULT,
) -> Tensor:
    """Debiased entropic transport: at least 0, and 0 only where the two weighted sets agree.

    S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2, OT the objective of `solve` between two sets.

    Args:
        x: (n, d), any float dtype; half precision is summed in float32.
        y: (m, d).
        a: (n,) weights of x, non-negative, mass 1; None: uniform.
        b: (m,) weights of y, of the same mass.
        cost: ``"cosine"`` in [0, 2] or ``"sqeuclidean"``.
        solver: see `Solver`; epsilon > 0.

    Returns:
        Scalar, in units of the cost, at least float32, differentiable in x, y, a and b. Rounding and the tolerance may
        leave it a little below 0 near equality.

    Raises:
        ModalignError: unknown cost, misfitting shapes or weights, epsilon 0.

    Use when: a loss or a distance between two clouds must vanish where they agree.
    Related: `solve`, three times as quick, whose objective does not vanish.

    Reference:
        Genevay, Peyré and Cuturi, 2018, arXiv 1706.00292, eq. 8; Feydy et al., 2019, arXiv 1810.08278, eq. 3.

    Example:
        >>> x, y = torch.tensor([[0.0]]), torch.tensor([[1.0]])
        >>> float(sinkhorn_divergence(x, y, cost="sqeuclidean"))
        1.0
    """
    if solver.epsilon == 0:
        raise ModalignError("the Sinkhorn divergence needs epsilon > 0: exact transport has no bias")
    source = between(x, y, cost)
    a, b = one_mass(source, a, b)
    across = transport(source, a, b, solver).objective
    return across - 0.5 * (_within(x, a, cost, solver) + _within(y, b, cost, solver))


def _within(x: Tensor, a: Tensor | None, cost: str, solver: Solver) -> Tensor:
    """The objective between a set and itself."""
    if a is not None and bool((a == 0).any()):
        return _among(x, a, cost, solver)
    return _alone(x, a, cost, solver).objective


def _among(x: Tensor, a: Tensor, cost: str, solver: Solver) -> Tensor:
    """The same of the items that have a weight; the others answer their potential from either side."""
    some, idle = (a != 0).nonzero().squeeze(-1), (a == 0).nonzero().squeeze(-1)
    found = _alone(x[some], a[some], cost, solver)
    answers = potential(between(x, x, cost).part(idle, some).block(ALL), a[some], found.f, solver.epsilon, math.inf)
    f = found.f.new_zeros(len(a)).index_put((idle,), answers)
    return found.objective + 2 * gains(f, a, math.inf, solver.epsilon, a)


def _alone(x: Tensor, a: Tensor | None, cost: str, solver: Solver) -> Plan:
    problem = pose(between(x, x, cost), a, a, solver.epsilon)
    with torch.no_grad(), torch.autocast(device_type=x.device.type, enabled=False):
        tolerance = solver.tolerance * float(problem.a.sum())
        found = sinkhorn_symmetric(problem, tolerance, solver.max_iterations, solver.rows)
    return finish(found, solver, a, a)


@checked
def barycentric(plan: Tensor, y: Tensor) -> Tensor:
    """Where a plan sends each row: the mean of its targets.

    T(x_i) = sum_j P_ij y_j / sum_j P_ij; a row without mass goes to 0.

    Args:
        plan: (n, m) or (batch, n, m), non-negative.
        y: (m, d) or (batch, m, d), any float dtype.

    Returns:
        (n, d) or (batch, n, d), at least float32, differentiable in y.

    Raises:
        ModalignError: shapes do not fit together.

    Related: `Plan.barycentric`, which does not hold the plan.

    Reference:
        Ferradans et al., 2014, arXiv 1307.5551, section 2.

    Example:
        >>> barycentric(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([[0.0], [4.0]]))
        tensor([[2.],
                [4.]])
    """
    if min(plan.dim(), y.dim()) < 2 or plan.shape[-1] != y.shape[-2]:
        raise ModalignError(f"a plan {tuple(plan.shape)} cannot send rows to targets {tuple(y.shape)}")
    plan, y = working(plan, y)
    mass = plan.sum(-1, keepdim=True)
    share = torch.where(mass > 0, plan / mass.clamp_min(torch.finfo(plan.dtype).tiny), 0.0)
    with torch.autocast(device_type=plan.device.type, enabled=False):
        return share @ y
