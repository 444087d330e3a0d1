"""Gromov-Wasserstein transport: sets whose vectors cannot be compared, only their inner distances. Through POT."""

from __future__ import annotations

import math
import warnings
from typing import Annotated

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Fraction, Shape, checked
from ..cost import working
from .coupling import Held
from .dual import Envelope
from .problem import one_mass, pose
from .result import Plan, warn_unless
from .solver import Solver
from .source import dense_cost

DESCENT = Solver(epsilon=0.0, tolerance=1e-7, max_iterations=1000)  # conditional gradients


@checked
def gromov(
    cx: Tensor,
    cy: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    solver: Solver = DESCENT,
    start: Tensor | None = None,
) -> Plan:
    """Couple two sets so that distances within them are preserved.

    min_P sum_ijkl (cx_ik - cy_jl)^2 P_ij P_kl over couplings of a and b: not convex, a local optimum from
    ``start`` (default a b^T). With an epsilon an entropy term is added while solving.

    Args:
        cx: (n, n) symmetric distances or similarities within the first set.
        cy: (m, m) the same within the second.
        a: (n,) weights, non-negative, with the mass of b; None: uniform.
        b: (m,) weights.
        solver: epsilon 0 for conditional gradients, > 0 for the entropic solver, in units of cx squared; tolerance:
            relative change (conditional gradients) or plan error (entropic) at which to stop; max_iterations: outer
            ones. Its other settings play no part.
        start: (n, m) plan to start from.

    Returns:
        `Plan`: ``value`` and ``objective`` are both the distortion above, the latter differentiable in cx
        and cy with P held (envelope theorem); the potentials are 0.

    Raises:
        ModalignError: matrices that are not square, misfitting weights.

    Use when: the vectors of the two sets live in different spaces and no pair is known.
    Related: `fused_gromov` with a cost between the sets as well, `solve` with that cost alone.

    Reference:
        Mémoli, 2011, "Gromov-Wasserstein distances"; Peyré, Cuturi and Solomon, 2016 (entropic).

    Example:
        >>> c = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
        >>> order = torch.tensor([2, 0, 1])
        >>> found = gromov(c, c[order][:, order])
        >>> found.plan.argmax(1).tolist(), round(abs(float(found.value)), 4)
        ([1, 2, 0], 0.0)
    """
    return _solve(None, cx, cy, a, b, 1.0, solver, start)


@checked
def fused_gromov(
    cost: Tensor,
    cx: Tensor,
    cy: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    alpha: Fraction = 0.5,
    solver: Solver = DESCENT,
    start: Tensor | None = None,
) -> Plan:
    """Couple two sets by a cost between them and by the distances within them.

    min_P (1 - alpha) <P, C> + alpha sum_ijkl (cx_ik - cy_jl)^2 P_ij P_kl.

    Args:
        cost: C, (n, m), finite.
        cx, cy, a, b, solver, start: see `gromov`.
        alpha: weight of the inner distances, in [0, 1].

    Returns:
        `Plan`: ``value`` and ``objective`` are both the sum above; differentiable in cost, cx and cy.

    Raises:
        ModalignError: misfitting shapes or weights, alpha outside [0, 1].

    Reference:
        Vayer et al., 2019, arXiv 1805.09114, eq. 3.

    Example:
        >>> c = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> fused_gromov(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), c, c).plan
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    wanted = (*cx.shape[:1], *cy.shape[:1])
    if cost.shape != wanted or not bool(torch.isfinite(cost).all()):
        raise ModalignError(f"fused Gromov needs a finite cost {wanted}, got shape {tuple(cost.shape)}")
    return _solve(cost, cx, cy, a, b, alpha, solver, start)


@checked
def distortion(
    plan: Annotated[Tensor, Shape("n m")], cx: Annotated[Tensor, Shape("n n")], cy: Annotated[Tensor, Shape("m m")]
) -> Tensor:
    """sum_ijkl (cx_ik - cy_jl)^2 P_ij P_kl in O(n^2 m): the squares need only the marginals of P."""
    rows, columns = plan.sum(1), plan.sum(0)
    squares = rows @ (cx * cx) @ rows + columns @ (cy * cy) @ columns
    return squares - 2 * ((cx @ plan @ cy.mT) * plan).sum()


def _solve(
    cost: Tensor | None,
    cx: Tensor,
    cy: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    alpha: float,
    solver: Solver,
    start: Tensor | None,
) -> Plan:
    for name, matrix in (("cx", cx), ("cy", cy)):
        if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1] or not bool(torch.isfinite(matrix).all()):
            raise ModalignError(f"Gromov needs finite square matrices, {name} has shape {tuple(matrix.shape)}")
    cx, cy = working(cx, cy)
    inputs = (cx, cy) if cost is None else (cx, cy, cost)
    between = torch.zeros(len(cx), len(cy), dtype=cx.dtype, device=cx.device) if cost is None else cost
    source = dense_cost(between)
    problem = pose(source, *one_mass(source, a, b), 1.0)
    plan = _plan(between, cx, cy, problem.a, problem.b, alpha, solver, start)
    error = float((plan.sum(1) - problem.a).abs().sum() + (plan.sum(0) - problem.b).abs().sum())
    converged = error <= 1e-4 * float(problem.b.sum())
    warn_unless(converged, error, 1e-4, solver.max_iterations)
    with torch.enable_grad():
        parts = [t.detach().to(plan.dtype).requires_grad_() for t in inputs]
        total = alpha * distortion(plan, parts[0], parts[1])
        if cost is not None:
            total = total + (1 - alpha) * (plan * parts[2]).sum()
        gradients = torch.autograd.grad(total, parts)
    value = total.detach()
    objective = Envelope.apply(value, gradients, *inputs)
    zeros = (torch.zeros_like(problem.a), torch.zeros_like(problem.b))
    return Plan(objective, *zeros, 0, converged, False, Held(plan, value, error))


def _plan(
    cost: Tensor, cx: Tensor, cy: Tensor, a: Tensor, b: Tensor, alpha: float, solver: Solver, start: Tensor | None
) -> Tensor:
    """The plan of the items that have a weight; of others POT's entropic solver makes a plan that misses its mass."""
    rows, columns = (w.detach().nonzero().squeeze(-1) for w in (a, b))
    if len(rows) == len(a) and len(columns) == len(b):
        return _through_pot(cost, cx, cy, a, b, alpha, solver, start)
    start = None if start is None else start[rows][:, columns]
    found = _through_pot(
        cost[rows][:, columns], cx[rows][:, rows], cy[columns][:, columns], a[rows], b[columns], alpha, solver, start
    )
    return found.new_zeros(len(a), len(b)).index_put((rows.unsqueeze(-1), columns), found)


def _through_pot(
    cost: Tensor, cx: Tensor, cy: Tensor, a: Tensor, b: Tensor, alpha: float, solver: Solver, start: Tensor | None
) -> Tensor:
    import ot

    m, c1, c2, p, q = (t.detach().double().cpu().numpy() for t in (cost, cx, cy, a, b))
    q = q * (p.sum() / q.sum())
    g0 = None if start is None else start.detach().double().cpu().numpy()
    common = {"p": p, "q": q, "loss_fun": "square_loss", "G0": g0, "alpha": alpha}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters, the marginals, is checked by the caller
        if solver.epsilon == 0:
            plan = ot.gromov.fused_gromov_wasserstein(
                m, c1, c2, **common, max_iter=solver.max_iterations, tol_rel=solver.tolerance, tol_abs=solver.tolerance
            )
        else:
            plan = ot.gromov.entropic_fused_gromov_wasserstein(
                m, c1, c2, **common, epsilon=solver.epsilon, max_iter=solver.max_iterations, tol=solver.tolerance
            )
    if not math.isfinite(float(plan.sum())):
        raise ModalignError(f"Gromov transport failed at epsilon {solver.epsilon}: raise it")
    return torch.as_tensor(plan).to(cx)
