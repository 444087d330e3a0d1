"""Sinkhorn's iteration with absorbed potentials, accelerated; the log domain where that is needed.

Write P = a b^T exp((f + g - C) / epsilon). Base potentials f0, g0 are absorbed in the kernel
K = exp((f0 + g0 - C) / epsilon), the rest is scaled: u = exp((f - f0) / epsilon), v likewise. One pass reads
each row block of K once: u = 1 / K(b v), then its share of K^T(a u), from which the next v follows.
The base is a pair of c-transforms, so that K <= 1 with a 1 in every row and every column: while log v stays
in a fixed range nothing overflows, and what underflows does not matter. When log v leaves that range the base
is renewed; when that does not help, passes run in the log domain, where no range is left.

Reference:
    Cuturi, 2013, arXiv 1306.0895, algorithm 1; Schmitzer, 2019, arXiv 1610.06519, section 3 (absorption,
    epsilon scaling); Chizat et al., 2018, arXiv 1607.05816, section 3 (unbalanced).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .anderson import MEMORY, accelerate
from .kernel import Base, absorb, exp_, exponents, kernel_step, log_step, symmetric_step, within_range
from .problem import Problem
from .source import cached_rows, row_blocks

RANGE = 30.0  # |log v| beside a stored kernel: exp(2 * 30) is far from the ends of float32
RENEWALS = 4  # renewals of the base before the log domain takes over


@dataclass(frozen=True)
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

    problem: Problem
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

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """The plan by blocks of rows; a stored kernel is overwritten by it, so this can be read once."""
        problem, kernel = self.problem, self.base.kernel
        left = self.log_u + problem.a.double().log()
        right = self.log_v + problem.b.double().log()
        for block in row_blocks(problem.source.shape[-2], self.rows or cached_rows(problem.source)):
            row, column = left[..., block].unsqueeze(-1), right.unsqueeze(-2)
            if kernel is None:
                entries = exponents(problem, self.base, block)
                yield block, exp_(entries.add_(row.to(entries.dtype)).add_(column.to(entries.dtype)))
            else:
                part = kernel[..., block, :]
                yield block, part.mul_(row.exp().to(part.dtype)).mul_(column.exp().to(part.dtype))


def sinkhorn(
    problem: Problem,
    tolerance: float,
    max_iterations: int,
    g: Tensor | None = None,
    rows: int | None = None,
    memory: int = MEMORY,
) -> Scaled:
    """Solve a balanced or unbalanced problem at its epsilon.

    Args:
        problem: the problem; weights positive.
        tolerance: L1 error of the marginals.
        max_iterations: passes over the kernel.
        g: (..., m), a column potential to start from.
        rows: never hold more than so many rows of the cost; None stores a kernel of the cost's size.
        memory: see `anderson.accelerate`.
    """
    used, renewals = 0, 0
    while True:
        store = rows is None and renewals <= RENEWALS
        found, settled = _attempt(problem, tolerance, max_iterations - used, g, rows, store, memory)
        used, renewals = used + found.iterations, renewals + 1
        if settled or used >= max_iterations:
            return replace(found, iterations=used)
        g = found.g
        del found  # its kernel, before the next one is made


def _attempt(
    problem: Problem,
    tolerance: float,
    max_iterations: int,
    g: Tensor | None,
    rows: int | None,
    store: bool,
    memory: int,
) -> tuple[Scaled, bool]:
    """Iterate beside one base, and whether the scalings stayed in its range to the end."""
    base = absorb(problem, g, rows, store)
    if base.kernel is not None and not problem.balanced and not within_range(base.kernel, RANGE):
        base = Base(base.f, base.g, None)
    stored = base.kernel is not None
    log_v = torch.zeros_like(base.g)
    if g is not None:
        log_v = (g.double() - base.g) / problem.epsilon
        log_v = log_v.clamp(-0.9 * RANGE, 0.9 * RANGE) if stored else log_v
    step = kernel_step(problem, base) if stored else log_step(problem, base, rows)
    found = accelerate(step, log_v, tolerance, max_iterations, RANGE if stored else math.inf, memory)
    scaled = Scaled(problem, base, found.extra, found.x, found.error, found.iterations, rows)
    return scaled, found.in_range


def sinkhorn_symmetric(problem: Problem, tolerance: float, max_iterations: int, rows: int | None = None) -> Scaled:
    """Solve the balanced problem of a set with itself: C symmetric, C_ii = 0 <= C_ij, a = b.

    f = g then, and K = exp(-C / epsilon) needs no absorbed potential: 1 on the diagonal bounds |log u| by
    log(1 / min a) / 2, at any epsilon. The averaged iteration converges in a few passes.

    Reference:
        Feydy et al., 2019, arXiv 1810.08278, section 3.1 (symmetric updates).
    """
    zero = torch.zeros_like(problem.a, dtype=torch.float64)
    base = Base(zero, zero, None)
    if rows is None:
        source, kernel = problem.source, torch.empty(problem.source.shape, dtype=problem.source.dtype)
        kernel = kernel.to(source.device)
        for block in row_blocks(source.shape[-2], cached_rows(source)):
            exp_(torch.mul(source.block(block), -1.0 / problem.epsilon, out=kernel[..., block, :]))
        base = Base(zero, zero, kernel)
    step = symmetric_step(problem, base, rows)
    found = accelerate(step, zero, tolerance, max_iterations, math.inf)
    return Scaled(problem, base, found.extra, found.x, found.error, found.iterations, rows)
