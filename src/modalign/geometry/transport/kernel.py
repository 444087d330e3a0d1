"""The kernel exp((f0 + g0 - C) / epsilon): how it is built, and one pass of Sinkhorn's iteration over it.

The numbers of the steps are those of ``sinkhorn``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from .anderson import Step
from .problem import EntropicProblem
from .sharing import Sharing, log_total, most
from .source import cached_rows, row_blocks

Relax = Callable[[Tensor, slice], Tensor]

FUSED_BYTES = 3 * 2**23  # a kernel above this falls out of cache between the two halves of a pass
FUSED_BLOCK = 2**22  # bytes of a block that is read twice in a row
FLOOR = 1e-30  # column sums below this are recomputed with their own maximum


@dataclass(frozen=True)
class Base:
    """Potentials that are absorbed in the kernel, and the kernel if it is stored.

    Args:
        f: (..., n), float64, in units of the cost.
        g: (..., m).
        kernel: (..., n, m), entries at most about 1, or None where its rows are computed on demand.
    """

    f: Tensor
    g: Tensor
    kernel: Tensor | None


def absorb(problem: EntropicProblem, g: Tensor | None, rows: int | None, store: bool) -> Base:
    """Step 1. Base potentials: the c-transform f of g and the c-transform of f (damped where marginals are soft).

    f_i = min_j C_ij - g_j, g_j <- min_i C_ij - f_i: then (f + g - C) <= 0 with a 0 in each row and column.
    """
    source = problem.source
    damp_a, damp_b = problem.damping(problem.rho_a), problem.damping(problem.rho_b)
    f = torch.empty_like(problem.a)
    lowest = torch.full_like(problem.b, math.inf)
    kernel = torch.empty(source.shape, dtype=source.dtype, device=source.device) if store else None
    shift = None if g is None else g.to(source.dtype).unsqueeze(-2)
    blocks = row_blocks(source.shape[-2], rows or cached_rows(source))
    for block in blocks:
        room = None if kernel is None else kernel[..., block, :]
        cost = source.block(block, room)
        f[..., block] = damp_a * (cost if shift is None else cost - shift).amin(-1)
        reduced = torch.sub(cost, f[..., block].unsqueeze(-1), out=room)
        lowest = torch.minimum(lowest, reduced.amin(-2))
    g = damp_b * source.sharing.least(lowest)
    if kernel is not None:
        for block in blocks:
            exp_(kernel[..., block, :].sub_(g.unsqueeze(-2)).mul_(-1.0 / problem.epsilon))
    return Base(f.double(), g.double(), kernel)


def within_range(kernel: Tensor, limit: float, sharing: Sharing) -> bool:
    """Whether each row and column of a kernel has an entry that scalings of that range can use."""
    rows, columns = sharing.least(kernel.amax(-1).amin()), most(sharing, kernel.amax(-2)).amin()
    return float(torch.minimum(rows, columns)) > math.exp(-limit)


def kernel_step(problem: EntropicProblem, base: Base) -> Step:
    """One pass over a stored kernel: log v -> (T(log v) - log v, error, log u)."""
    kernel = base.kernel
    assert kernel is not None
    relax_rows = _relaxation(problem, problem.rho_a, base.f)
    relax_columns = _relaxation(problem, problem.rho_b, base.g)
    n, m = kernel.shape[-2:]
    fused = kernel.nbytes > FUSED_BYTES and kernel.dim() == 2
    blocks = row_blocks(n, max(32, FUSED_BLOCK // (m * kernel.itemsize)) if fused else n)
    parts = [(block, kernel[..., block, :], kernel[..., block, :].mT) for block in blocks]

    def step(log_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v = (log_v.exp() * problem.b).to(kernel.dtype)
        log_u = torch.empty_like(base.f)
        back = torch.zeros_like(problem.b)
        for block, part, transposed in parts:
            # 2. Rows: u = 1 / K(b v); and at once, while the block is in cache, its share of K^T(a u).
            log_u[..., block] = relax_rows(-_times(part, v).double().log(), block)
            back += _times(transposed, (log_u[..., block].exp() * problem.a[..., block]).to(kernel.dtype))
        # Columns: v = 1 / K^T(a u). 3. What it changes tells the columns' error.
        residual = relax_columns(-problem.source.sharing.total(back).double().log(), slice(None)) - log_v
        return residual, _error(problem, log_v, residual), log_u

    return step


def log_step(problem: EntropicProblem, base: Base, rows: int | None) -> Step:
    """The same pass with each row block's kernel computed on demand about the maximum of each row."""
    source = problem.source
    relax_rows = _relaxation(problem, problem.rho_a, base.f)
    relax_columns = _relaxation(problem, problem.rho_b, base.g)
    blocks = row_blocks(source.shape[-2], rows or cached_rows(source))

    def step(log_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_u = torch.empty_like(base.f)
        back = torch.zeros_like(problem.b)
        column = log_v.to(source.dtype).unsqueeze(-2)
        for block in blocks:
            # 5. K v about the largest exponent of each row, so that nothing leaves the range of the dtype.
            entries = exponents(problem, base, block).add_(column)
            top = entries.amax(-1, keepdim=True)
            exp_(entries.sub_(top))
            top = top.squeeze(-1).double()
            log_u[..., block] = relax_rows(-(_times(entries, problem.b).double().log() + top), block)
            # The same entries serve K^T(a u): their row maxima go into the scale.
            scale = ((log_u[..., block] + top).exp() * problem.a[..., block]).to(source.dtype)
            back += _times(entries.mT, scale)
        back = source.sharing.total(back)
        log_back = back.double().log() - log_v  # the entries carried v
        lost = back <= FLOOR
        if bool(lost.any()):
            log_back = torch.where(lost, _log_columns(problem, base, log_u, blocks), log_back)
        residual = relax_columns(-log_back, slice(None)) - log_v
        return residual, _error(problem, log_v, residual), log_u

    return step


def symmetric_step(problem: EntropicProblem, base: Base, rows: int | None) -> Step:
    """One averaged pass for a set and itself, f = g: log u <- (log u - log K(a u)) / 2, one product each."""
    blocks = row_blocks(problem.source.shape[-2], rows or problem.source.shape[-2])

    def step(log_u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = (log_u.exp() * problem.a).to(problem.source.dtype)
        log_answer = torch.empty_like(base.f)
        for block in blocks:
            if base.kernel is None:
                part = exp_(exponents(problem, base, block))
            else:
                part = base.kernel[..., block, :]
            log_answer[..., block] = -_times(part, u).double().log()
        gap = log_answer - log_u
        error = (problem.a * torch.expm1(-gap).abs()).sum(-1)
        return 0.5 * gap, error, log_answer

    return step


def exp_(exponents: Tensor) -> Tensor:
    """In-place exp that gives 0 where the result would underflow, without the slow path that CPUs take there."""
    floor = -85.0 if exponents.dtype == torch.float32 else -700.0
    return threshold(exponents.clamp_(min=floor).exp_(), 2 * math.exp(floor), 0.0, inplace=True)


def exponents(problem: EntropicProblem, base: Base, block: slice) -> Tensor:
    """(f0 + g0 - C) / epsilon for a block of rows: a new tensor; the difference is taken before the division."""
    cost = problem.source.block(block)
    reduced = cost - base.f[..., block].to(cost.dtype).unsqueeze(-1)
    return reduced.sub_(base.g.to(cost.dtype).unsqueeze(-2)).mul_(-1.0 / problem.epsilon)


def _log_columns(problem: EntropicProblem, base: Base, log_u: Tensor, blocks: list[slice]) -> Tensor:
    """log sum_i a_i u_i K_ij, with a running maximum: for columns that underflow otherwise."""
    weight = (log_u + problem.a.double().log()).to(problem.source.dtype)
    total = torch.full_like(base.g, -math.inf)
    for block in blocks:
        entries = exponents(problem, base, block).add_(weight[..., block].unsqueeze(-1))
        total = torch.logaddexp(total, torch.logsumexp(entries, -2).double())
    return log_total(problem.source.sharing, total)


def _relaxation(problem: EntropicProblem, rho: float, base: Tensor) -> Relax:
    """x -> damping * x - (1 - damping) base / epsilon: the update of a log scaling beside its base."""
    damping = problem.damping(rho)
    if damping == 1.0:
        return lambda update, block: update
    offset = (1.0 - damping) / problem.epsilon * base
    return lambda update, block: damping * update - offset[..., block]


def _error(problem: EntropicProblem, log_v: Tensor, residual: Tensor) -> Tensor:
    """L1 error of the column marginal; with soft marginals, the mass by which the next pass changes it."""
    return (problem.b * torch.expm1(-residual).abs()).sum(-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.mv(matrix, vector) if matrix.dim() == 2 else (matrix @ vector.unsqueeze(-1)).squeeze(-1)
