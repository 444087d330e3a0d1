"""Entropic transport, balanced or unbalanced: from a cost and weights, through falling epsilons, to a `Plan`."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ...errors import ModalignError
from . import exact
from .anderson import MEMORY
from .coupling import Padded, Solved, stack
from .dual import Envelope, dual_value, weight_gradient, weight_gradients
from .kernel import Base, sharpen
from .parted import Joined, PartedCost, parted
from .problem import EntropicProblem, one_mass, pose, require_allowed
from .result import Coupling, Plan, Potentials, warn_unless
from .sinkhorn import Scaled, sinkhorn
from .solver import Solver
from .source import CostSource, DenseCost, dense_cost, row_blocks

STAGES = 0.25  # factor between the epsilons of an annealed solve
COARSE = 0.005  # an epsilon above this share of the cost's spread needs no annealing
WIDEST = 0.1  # the first epsilon of an annealed solve, as a share of the spread, is at most this
LOOSE = 0.03  # marginal error (of the mass) at which an intermediate epsilon is left


def transport(
    source: CostSource,
    a: Tensor | None,
    b: Tensor | None,
    solver: Solver,
    start: Potentials | None = None,
    rho: float | tuple[float, float] = math.inf,
) -> Plan:
    """min_P <P, C> + epsilon KL(P | a b^T), marginals hard or of price ``rho``: see `solve`."""
    hard = rho in (math.inf, (math.inf, math.inf))
    if solver.epsilon == 0:
        if not hard:
            raise ModalignError("unbalanced transport needs epsilon > 0")
        return exact.linear_program_plan(source, a, b, solver)
    if hard:
        a, b = one_mass(source, a, b)
    problem = pose(source, a, b, solver.epsilon, rho)
    if bool((problem.a == 0).any() | (problem.b == 0).any()):
        return _without_idle(source, problem.a if a is None else a, problem.b if b is None else b, solver, start, rho)
    if isinstance(source, DenseCost) and source.forbidden and hard:
        require_allowed(source.costs, problem.a, problem.b)
    if a is None or not a.requires_grad:
        problem = parted(problem)
    found = iterate(problem, solver, start)
    if (
        isinstance(source, DenseCost)
        and source.forbidden
        and hard
        and not bool((found.error <= solver.tolerance).all())
    ):
        exact.require_feasible(source.costs, problem.a, problem.b)
    return finish(found, solver, a, b)


def iterate(problem: EntropicProblem, solver: Solver, start: Potentials | None = None) -> Scaled:
    """Solve at the problem's epsilon, passing through larger ones first where that helps.

    Reference:
        Schmitzer, 2019, arXiv 1610.06519, section 3.2 (epsilon scaling).
    """
    g = None if start is None or start.g.shape != problem.b.shape else start.g
    mass = float(problem.b.sum(-1).min())
    tolerance = solver.tolerance * mass
    memory = MEMORY if solver.accelerate else 0
    used, base = 0, None
    with torch.no_grad(), torch.autocast(device_type=problem.source.device.type, enabled=False):
        stages = ladder(problem, solver.anneal) if g is None else []
        # 1. Larger epsilons, in falling order, each solved roughly: its g is where the next one starts.
        for epsilon, smaller in pairwise([*stages, problem.epsilon]):
            budget = (solver.max_iterations - used) // 4
            if not budget:
                break
            stage = replace(problem, epsilon=epsilon)
            found = sinkhorn(stage, max(LOOSE * mass, tolerance), budget, g, solver.rows, memory, base)
            g, used = found.g, used + found.iterations
            base = _sharper(found, smaller)
            del found  # its kernel, where the next one is another
        # 2. The epsilon that was asked for, to the tolerance.
        found = sinkhorn(problem, tolerance, max(1, solver.max_iterations - used), g, solver.rows, memory, base)
    return _centred(replace(found, iterations=used + found.iterations))


def _sharper(found: Scaled, epsilon: float) -> Base | None:
    """The base at a smaller epsilon from the kernel of a larger one; None where it must be made from the costs."""
    if found.base.kernel is None:
        return None
    return sharpen(found.base, found.log_v, found.problem.epsilon, epsilon, found.problem.source.sharing)


def _centred(found: Scaled) -> Scaled:
    """The same plan with <a, f> = <b, g>: hard marginals leave a constant open, which would tell of the way here."""
    problem, base = found.problem, found.base
    if not problem.balanced:
        return found
    a, b = problem.a.double(), problem.b.double()
    of_f, mass = problem.source.sharing.total(torch.stack([(a * found.f).sum(-1), a.sum(-1)]))
    gap = (((b * found.g).sum(-1) - of_f) / (2 * mass)).unsqueeze(-1)
    return replace(found, base=replace(base, f=base.f + gap, g=base.g - gap))


def ladder(problem: EntropicProblem, factor: float | None) -> list[float]:
    """The larger epsilons to pass through first, in falling order."""
    if factor is None:
        factor = STAGES if problem.epsilon < COARSE * problem.source.spread else 1.0
    steps: list[float] = []
    epsilon = problem.epsilon / factor
    while factor < 1.0 and epsilon < WIDEST * problem.source.spread:
        steps.insert(0, epsilon)
        epsilon /= factor
    return steps


def finish(found: Scaled, solver: Solver, a: Tensor | None, b: Tensor | None) -> Plan:
    """The `Plan` of what the iteration found, its objective differentiable in the cost's inputs and the weights."""
    problem, source = found.problem, found.problem.source
    coupling: Coupling = Solved(found)
    mass = float(problem.b.sum(-1).min())
    if source.stored:  # the error of the plan itself
        error = coupling.marginal_error
        converged = error <= solver.tolerance * mass * 1.01 + 8 * torch.finfo(source.dtype).eps
    else:  # the iteration's, of the columns: rows are exact after a pass
        error = float(found.error)
        converged = error <= solver.tolerance * mass
    warn_unless(converged, error, solver.tolerance, found.iterations)
    given = zip((a, b), weight_gradients(found), strict=True)  # rows of a that others hold have no gradient to give
    weights = [(w.expand_as(d), d) for w, d in given if w is not None and w.requires_grad]
    inputs = (*source.inputs, *(w for w, _ in weights))
    objective = dual_value(found)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        with torch.no_grad():
            gradients = source.gradients(coupling)
        objective = Envelope.apply(objective, (*gradients, *(d for _, d in weights)), *inputs)
    f, g = found.f.to(source.dtype), found.g.to(source.dtype)
    if isinstance(source, PartedCost):
        f, coupling = source.joined(f), Joined(coupling, source)
    return Plan(objective, f, g, found.iterations, converged, found.log_domain, coupling)


def _without_idle(
    source: CostSource, a: Tensor, b: Tensor, solver: Solver, start: Potentials | None, rho: float | tuple[float, float]
) -> Plan:
    """Solve among the items of positive weight; the others get no mass and the potential of their cost."""
    if len(source.shape) == 3:
        matrix, (count, n, m) = source.matrix(), source.shape
        problems = zip(matrix, a.expand(count, n), b.expand(count, m), strict=True)
        return stack([transport(dense_cost(c), u, v, solver, start, rho) for c, u, v in problems])
    rows, columns = ((w > 0).nonzero().squeeze(-1) for w in (a, b))
    idle_rows, idle_columns = ((w == 0).nonzero().squeeze(-1) for w in (a, b))
    if start is not None and start.g.shape == b.shape:
        start = Potentials(None, start.g[columns])
    small = transport(source.part(rows, columns), a[rows], b[columns], solver, start, rho)
    rho_a, rho_b = rho if isinstance(rho, tuple) else (rho, rho)
    f = small.f.new_empty(len(a)).index_put((rows,), small.f)
    g = small.g.new_empty(len(b)).index_put((columns,), small.g)
    for part in row_blocks(len(idle_rows), solver.rows or len(a)):
        costs = source.part(idle_rows[part], columns).block(slice(None))
        f[idle_rows[part]] = potential(costs, b[columns], small.g, solver.epsilon, rho_a)
    for part in row_blocks(len(idle_columns), solver.rows or len(b)):
        costs = source.part(rows, idle_columns[part]).block(slice(None)).mT
        g[idle_columns[part]] = potential(costs, a[rows], small.f, solver.epsilon, rho_b)
    objective = small.objective + gains(f, a, rho_a, solver.epsilon, b) + gains(g, b, rho_b, solver.epsilon, a)
    return replace(small, objective=objective, f=f, g=g, coupling=Padded(small.coupling, rows, columns, len(a), len(b)))


def gains(answers: Tensor, weights: Tensor, rho: float, epsilon: float, others: Tensor) -> Tensor:
    """Nothing, with the gradient in the weights that are 0; none where all pairs of such an item are forbidden."""
    slope = weight_gradient(answers, rho, epsilon, others.detach().sum())
    slope = torch.where((weights == 0) & torch.isfinite(slope), slope, 0.0)
    return Envelope.apply(answers.new_zeros(()), (slope,), weights)


def potential(cost: Tensor, weights: Tensor, other: Tensor, epsilon: float, rho: float) -> Tensor:
    """The potential that answers another one: -epsilon log sum_j b_j exp((g_j - C_ij) / epsilon), damped."""
    logits = (other - cost.to(other)) / epsilon + weights.detach().to(other).log()
    return -epsilon * torch.logsumexp(logits, -1) * (1.0 if math.isinf(rho) else rho / (rho + epsilon))
