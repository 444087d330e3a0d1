"""The front door: a transport problem and a solver make a plan."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...parameters import checked
from . import entropic, partial, semipaired
from .result import Plan, Potentials
from .solver import DEFAULT, Solver
from .source import CostSource, dense_cost


@dataclass(frozen=True, eq=False)
class Problem:
    """Move all of the mass: min over P >= 0 of <P, C> + epsilon KL(P | a b^T) with P 1 = a, P^T 1 = b.

    Args:
        cost: C, (n, m) or (batch, n, m), tensor or array of any float dtype, +inf forbids a pair; or `between` two sets
            of embeddings.
        a: weights of the rows, (n,) or (batch, n), non-negative; None: uniform with mass 1. Arrays of numpy will do.
        b: weights of the columns, with the mass of a where marginals are hard; a gap of rounding (at most 1e-4) is
            taken from them by scaling b.

    Use when: every item has a counterpart somewhere on the other side.
    Related: `Unbalanced` and `Partial` where some have none, `SemiPaired` where some counterparts are known.
    """

    HOW: ClassVar[str] = "Problem(cost) makes one of an (n, m) cost, Problem(between(x, y)) of embeddings"

    cost: Tensor | CostSource
    a: Tensor | None = None
    b: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("cost", "a", "b"):
            if isinstance(given := getattr(self, name), np.ndarray):
                object.__setattr__(self, name, torch.from_numpy(np.require(given, requirements=["C", "W"])))

    def solved(self, solver: Solver, start: Potentials | None = None) -> Plan:
        """Its plan: what `solve` calls."""
        return entropic.transport(self.source(), self.a, self.b, solver, start)

    def source(self) -> CostSource:
        """The cost as solvers read it."""
        return dense_cost(self.cost) if isinstance(self.cost, Tensor) else self.cost


@dataclass(frozen=True, eq=False)
class Unbalanced(Problem):
    """Move mass at a price for every wrong marginal: ... + rho KL(P 1 | a) + rho KL(P^T 1 | b).

    Args:
        cost, a, b: see `Problem`; the masses may differ.
        rho: price of a wrong marginal, in units of the cost; a pair gives one for rows and one for columns,
            ``math.inf`` makes that side hard.

    Use when: some items have no counterpart, and it is not known how many; rho is the cost above which it is cheaper
        to leave an item out.
    Related: `Partial`, where the share that moves is known.

    Reference: Chizat et al., 2018, arXiv 1607.05816.
    """

    _: KW_ONLY
    rho: float | tuple[float, float] = 1.0

    def solved(self, solver: Solver, start: Potentials | None = None) -> Plan:
        return entropic.transport(self.source(), self.a, self.b, solver, start, self.rho)


@dataclass(frozen=True, eq=False)
class Partial(Problem):
    """Move a part of the mass, the cheapest: P 1 <= a, P^T 1 <= b, sum P = mass.

    Args:
        cost, a, b: see `Problem`; the masses may differ.
        mass: what is transported, in (0, min(sum a, sum b)].

    Use when: a known share of the items has a counterpart.
    Related: `Unbalanced`, where only a price of leaving items out is known. It holds the cost in memory.
    """

    _: KW_ONLY
    mass: float

    def solved(self, solver: Solver, start: Potentials | None = None) -> Plan:
        return partial.transport(self.source(), self.a, self.b, solver, self.mass)


@dataclass(frozen=True, eq=False)
class SemiPaired(Problem):
    """Known pairs held in P, or their cost lowered by ``strength``; the other items are matched freely.

    Args:
        cost, a, b: see `Problem`; not a batch.
        pairs: (p, 2) known pairs, row and column numbers.
        strength: None holds the pairs; a number lowers their cost by so much instead.

    Use when: some counterparts are known for sure (held), or probably (a strength).
    Related: `Problem`, which knows none. It holds the cost in memory.
    """

    _: KW_ONLY
    pairs: Tensor
    strength: float | None = None

    def solved(self, solver: Solver, start: Potentials | None = None) -> Plan:
        return semipaired.transport(self.source(), self.a, self.b, solver, start, self.pairs, self.strength)


@checked
def solve(problem: Problem, solver: Solver = DEFAULT, start: Potentials | None = None) -> Plan:
    """Solve an optimal transport problem between n and m weighted items.

    Args:
        problem: what is minimised: `Problem`, `Unbalanced`, `Partial` or `SemiPaired`.
        solver: how, see `Solver`: ``epsilon`` (0 for the exact plan), tolerance, memory.
        start: potentials of a similar problem of the same size (`Plan.potentials`) to start from; others are
            ignored, and so are all of them by exact and partial transport.

    Returns:
        `Plan`: plan, value <P, C>, objective (differentiable), potentials and how well it converged.

    Raises:
        ModalignError: no problem at all, an infeasible one, misfitting shapes, NaN, negative weights, unequal masses.

    Warns:
        ConvergenceWarning: the tolerance was not reached; the message carries the marginal error.

    Use when: you need a plan, or its cost as a loss; from embeddings: ``solve(Problem(between(x, y))).objective``.
    Related: `sinkhorn_divergence` for a loss that is 0 where two sets agree; `gromov` where the sets cannot be
        compared; `barycentre` for the mean of several.

    Reference:
        Peyré and Cuturi, 2019, arXiv 1803.00567, eq. 4.2; gradients: Feydy et al., 2019, arXiv 1810.08278, section 3.2.

    Example:
        >>> import torch
        >>> found = solve(Problem(torch.tensor([[0.0, 1.0], [1.0, 0.0]])), Solver(epsilon=1.0))
        >>> round(float(found.value), 6), round(float(found.objective), 6), found.converged
        (0.268941, 0.379886, True)
        >>> from modalign.geometry.transport import between
        >>> x = torch.eye(3, requires_grad=True)
        >>> solve(Problem(between(x, torch.eye(3))), Solver(epsilon=0)).objective.item()
        0.0
    """
    return problem.solved(solver, start)
