"""Sinkhorn's iteration with absorbed potentials, accelerated; the log domain where that is needed.

Write P = a b^T exp((f + g - C) / epsilon), that is diag(a u) K diag(b v) (Peyré and Cuturi 2019, eq. 4.12, with the
weights kept apart from the scalings). The steps:

1. Absorb base potentials f0, g0 in the kernel K = exp((f0 + g0 - C) / epsilon); what is left of f and g is scaled:
   u = exp((f - f0) / epsilon), v likewise (Schmitzer 2019, section 3.1). The base is a pair of c-transforms, so that
   K <= 1 with a 1 in every row and every column: while log v stays in a fixed range nothing overflows, and what
   underflows does not matter.
2. Scale the rows: u = 1 / K(b v), and the columns: v = 1 / K^T(a u) (Peyré and Cuturi 2019, eq. 4.15); to a power
   below 1 where marginals are soft (Chizat et al. 2018, section 3). One pass over K serves both.
3. Measure: after a pass the rows are exact, so the L1 error is that of the columns.
4. Extrapolate the passes (`anderson`), and go to 2 until the error is small enough.
5. When log v leaves its range, absorb it (go to 1); when that does not help, pass in the log domain, where no range is
   left: K is computed block by block about the largest exponent of each row (Peyré and Cuturi 2019, section 4.4).

`entropic.iterate` wraps this in falling epsilons (Schmitzer 2019, section 3.2).

Reference:
    Cuturi, 2013, arXiv 1306.0895, algorithm 1; Peyré and Cuturi, 2019, arXiv 1803.00567, sections 4.2 and 4.4;
    Schmitzer, 2019, arXiv 1610.06519, section 3; Chizat et al., 2018, arXiv 1607.05816, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .anderson import FAR, MEMORY, accelerate
from .kernel import Base, absorb, exp2_, kernel_step, log_step, room, symmetric_step, within_range
from .problem import EntropicProblem
from .source import cached_rows, row_blocks

RANGE = 30.0  # |log v| beside a stored kernel: exp(2 * 30) is far from the ends of float32
RENEWALS = 4  # renewals of the base before the log domain takes over


@dataclass(frozen=True, eq=False)
class Scaled:
    """A point of the iteration: scalings beside a base, from which potentials and plan follow.

    Args:
        problem: the problem it belongs to.
        base: absorbed potentials and kernel.
        log_u: (..., n), float64.
        log_v: (..., m), float64.
        error: (...), L1 error of the column marginal (rows are exact).
        iterations: passes over the kernel.
        rows: rows per block where the kernel is not stored.
    """

    problem: EntropicProblem
    base: Base
    log_u: Tensor
    log_v: Tensor
    error: Tensor
    iterations: int
    rows: int | None

    @property
    def f(self) -> Tensor:
        return self.base.f + self.problem.epsilon * self.log_u

    @property
    def g(self) -> Tensor:
        return self.base.g + self.problem.epsilon * self.log_v

    @property
    def log_domain(self) -> bool:
        return self.base.kernel is None


def sinkhorn(
    problem: EntropicProblem,
    tolerance: float,
    max_iterations: int,
    g: Tensor | None = None,
    rows: int | None = None,
    memory: int = MEMORY,
    base: Base | None = None,
) -> Scaled:
    """Solve a balanced or unbalanced problem at its epsilon.

    Args:
        problem: the problem; weights positive.
        tolerance: L1 error of the marginals.
        max_iterations: passes over the kernel.
        g: (..., m), a column potential to start from.
        rows: never hold more than so many rows of the cost; None stores a kernel of the cost's size.
        memory: see `anderson.accelerate`.
        base: a base with a kernel to begin with; None: it is made.
    """
    used, renewals = 0, 0
    while True:
        # 1. Absorb.
        if base is None and rows is None and renewals <= RENEWALS:
            base = absorb(problem, g)
            assert base.kernel is not None
            if not problem.balanced and not within_range(base.kernel, RANGE, problem.source.sharing):
                base = None
        # Steps 2 to 4 beside one base.
        found, settled = _attempt(
            problem, tolerance, max_iterations - used, g, rows, base or unabsorbed(problem), memory
        )
        used, renewals = used + found.iterations, renewals + 1
        if settled or used >= max_iterations:
            return replace(found, iterations=used)
        # Step 5: absorb what was found, and go on from there.
        g = found.g
        del found, base  # the kernel, before the next one is made
        base = None


def _attempt(
    problem: EntropicProblem,
    tolerance: float,
    max_iterations: int,
    g: Tensor | None,
    rows: int | None,
    base: Base,
    memory: int,
) -> tuple[Scaled, bool]:
    """Iterate beside one base, and whether the scalings stayed in its range to the end."""
    stored = base.kernel is not None
    log_v = torch.zeros_like(base.g)
    if g is not None:
        log_v = (g.double() - base.g) / problem.epsilon
        log_v = log_v.clamp(-0.9 * RANGE, 0.9 * RANGE) if stored else log_v
    # 2. and 3. are a step; 4. repeats it.
    step = kernel_step(problem, base) if stored else log_step(problem, base, rows)
    limit, far = (RANGE, FAR) if stored else (math.inf, _widest(problem))
    found = accelerate(step, log_v, tolerance, max_iterations, limit, memory, far, problem.source.dtype)
    scaled = Scaled(problem, base, found.extra, found.x, found.error, found.iterations, rows)
    return scaled, found.in_range


def _widest(problem: EntropicProblem) -> float:
    """What no two log scalings of the columns differ by: a potential answers another one, so that costs bound it.

    Where pairs are forbidden, one may answer another by way of the other columns, each of them once.
    """
    if not problem.balanced:
        return FAR
    ways = 2 * problem.source.shape[-1] if getattr(problem.source, "forbidden", False) else 2
    return min(FAR, ways * problem.source.spread / problem.epsilon + RANGE)


def unabsorbed(problem: EntropicProblem) -> Base:
    """Nothing absorbed and no kernel: for passes in the log domain."""
    return Base(
        torch.zeros_like(problem.a, dtype=torch.float64), torch.zeros_like(problem.b, dtype=torch.float64), None
    )


def sinkhorn_symmetric(
    problem: EntropicProblem, tolerance: float, max_iterations: int, rows: int | None = None
) -> Scaled:
    """Solve the balanced problem of a set with itself: C symmetric, C_ii = 0 <= C_ij, a = b.

    1. f = g then, and K = exp(-C / epsilon) needs no absorbed potential: 1 on the diagonal bounds |log u| by
       log(1 / min a) / 2, at any epsilon.
    2. u <- sqrt(u / K(a u)), the mean of f and its answer; it converges in a few passes.

    Reference:
        Feydy et al., 2019, arXiv 1810.08278, section 3.1 (symmetric updates).
    """
    base = unabsorbed(problem)
    if rows is None:
        source = problem.source
        kernel = room(source)
        exponents = source.exponents(problem.scale)
        exponents(into=kernel)
        for block in row_blocks(source.shape[-2], cached_rows(source)):
            exp2_(kernel[..., block, :], exponents.least)
        base = Base(base.f, base.g, kernel)
    step = symmetric_step(problem, base, rows)
    found = accelerate(step, base.f, tolerance, max_iterations, math.inf, dtype=problem.source.dtype)
    return Scaled(problem, base, found.extra, found.x, found.error, found.iterations, rows)
