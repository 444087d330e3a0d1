"""The kernel exp((f0 + g0 - C) / epsilon): how it is built, and one pass of Sinkhorn's iteration over it.

The numbers of the steps are those of ``sinkhorn``.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from .anderson import Step
from .problem import LOG2E, EntropicProblem
from .sharing import Sharing, log_total, most
from .source import ALL, CACHED_BYTES, CostSource, Exponents, cached_rows, row_blocks

Relax = Callable[[Tensor, slice], Tensor]

LARGE_BYTES = 2**25  # a kernel from here on always comes in memory that was never touched
FUSED_BYTES = 3 * 2**23  # a kernel above this falls out of cache between the two halves of a pass
FUSED_BLOCK = 2**22  # bytes of a block that is read twice in a row
TILE_BYTES = 2**23  # of entries computed at once: smaller products take longer, larger ones leave the cache
_BITS = {torch.float32: 120.0, torch.float64: 1000.0}  # an entry below 2 to the minus that counts as 0
FLOOR = 1e-30  # column sums below this are recomputed with their own maximum


@dataclass(frozen=True, eq=False)
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


def room(source: CostSource) -> Tensor:
    """Memory for a kernel of the cost's size, not yet filled.

    A large one in pages of 2 MB where Linux has them: to touch a page of 4 KB for the first time takes as long as a
    third of the product that fills it.
    """
    size = math.prod(source.shape) * source.dtype.itemsize
    if sys.platform != "linux" or source.device.type != "cpu" or size < LARGE_BYTES:
        return torch.empty(source.shape, dtype=source.dtype, device=source.device)
    held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a system without such pages
        held.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(held, dtype=source.dtype).view(source.shape)


def absorb(problem: EntropicProblem, g: Tensor | None) -> Base:
    """Step 1. Base potentials: the c-transform f of g and the c-transform of f (damped where marginals are soft).

    f_i = min_j C_ij - g_j, g_j <- min_i C_ij - f_i: then (f + g - C) <= 0 with a 0 in each row and column.
    """
    source, scale = problem.source, problem.scale
    kernel = room(source)
    source.exponents(scale, None, g)(into=kernel)
    f = torch.empty_like(problem.a, dtype=torch.float64)
    highest = torch.full_like(problem.b, -math.inf)
    blocks = row_blocks(source.shape[-2], cached_rows(source))
    for block in blocks:
        part = kernel[..., block, :]
        f[..., block] = part.amax(-1).double() * (-problem.damping(problem.rho_a) / scale)
        part.add_((f[..., block] * scale).to(part.dtype).unsqueeze(-1))
        highest = torch.maximum(highest, part.amax(-2))
    highest = most(source.sharing, highest)
    given = 0.0 if g is None else g.double()
    answer = (given - highest.double() / scale) * problem.damping(problem.rho_b)
    change = ((answer - given) * scale).to(kernel.dtype).unsqueeze(-2)
    for block in blocks:
        exp2_(kernel[..., block, :].add_(change))
    return Base(f, answer, kernel)


def sharpen(base: Base, log_v: Tensor, epsilon: float, smaller: float, sharing: Sharing) -> Base | None:
    """Step 1 from the kernel of a larger epsilon, in its place: exp(x / e') is exp(x / e) to the power e / e'.

    Its rows and columns are scaled to a largest entry of 1 first, so that the power stays in range. None where a row
    or column has nothing left: then the kernel must come from the costs again.
    """
    kernel = base.kernel
    assert kernel is not None
    power, v = epsilon / smaller, log_v.exp().to(kernel.dtype)
    least = 2.0 ** (-_BITS[kernel.dtype] / power)
    row = torch.empty_like(base.f, dtype=kernel.dtype)
    highest = torch.zeros_like(v)
    blocks = row_blocks(kernel.shape[-2], max(32, CACHED_BYTES // (kernel[..., :1, :].numel() * kernel.itemsize)))
    for block in blocks:
        part = kernel[..., block, :].mul_(v.unsqueeze(-2))
        row[..., block] = part.amax(-1).reciprocal_()
        highest = torch.maximum(highest, part.mul_(row[..., block].unsqueeze(-1)).amax(-2))
    column = most(sharing, highest).reciprocal_()
    if not float(most(sharing, torch.maximum(row.amax(), column.amax()))) < math.inf:
        return None
    for block in blocks:
        part = threshold(kernel[..., block, :].mul_(column.unsqueeze(-2)), least, 0.0, inplace=True)
        for _ in range(round(math.log2(power))) if math.log2(power).is_integer() else ():
            part.square_()
        if not math.log2(power).is_integer():
            part.pow_(power)
    f = base.f + epsilon * row.double().log()
    g = base.g + epsilon * (v.double() * column.double()).log()
    return Base(f, g, kernel)


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
        residual = relax_columns(-problem.source.sharing.total(back).double().log(), ALL) - log_v
        return residual, _error(problem, residual), log_u

    return step


def log_step(problem: EntropicProblem, base: Base, rows: int | None) -> Step:
    """The same pass with the kernel's entries computed on demand, tile by tile, and never more than ``rows`` held.

    They are computed about the scalings of the pass before, beside which they are near the plan's; where that leaves
    the range of the dtype (and in the first pass), about the largest exponent of each row.
    """
    source = problem.source
    relax_rows = _relaxation(problem, problem.rho_a, base.f)
    relax_columns = _relaxation(problem, problem.rho_b, base.g)
    n, m = source.shape[-2:]
    blocks = row_blocks(n, rows or cached_rows(source))
    row_bytes = math.prod(source.shape[:-2]) * blocks[0].stop * source.dtype.itemsize
    tiles = row_blocks(m, max(256, TILE_BYTES // row_bytes))
    shape = (*source.shape[:-2], blocks[0].stop)
    room = [torch.empty((*shape, t.stop - t.start), dtype=source.dtype, device=source.device) for t in tiles]
    about: Tensor | None = None

    def entries(block: slice, exponents: Exponents) -> tuple[Tensor, Tensor | float]:
        """K v b of a block's rows, in ``room``, as two factors: sums of what is held, and the log of its scale."""
        held = [(part[..., : block.stop - block.start, :], tile) for part, tile in zip(room, tiles, strict=True)]
        if about is not None:
            total = sum_of(exp2_(exponents(block, tile, part), exponents.least) for part, tile in held)
            if bool((torch.isfinite(total) & (total > FLOOR)).all()):
                return total, 0.0
        highest = torch.stack([exponents(block, tile, part).amax(-1) for part, tile in held]).amax(0)
        total = sum_of(exp2_(part.sub_(highest.unsqueeze(-1))) for part, _ in held)
        return total, highest.double() / LOG2E

    def sum_of(parts: Iterable[Tensor]) -> Tensor:
        """The sums of some rows, weighted by b, from their tiles."""
        return torch.stack([_times(part, problem.b[..., tile]) for part, tile in zip(parts, tiles, strict=True)]).sum(0)

    def step(log_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal about
        log_u = torch.zeros_like(base.f) if about is None else about.clone()
        back = torch.zeros_like(problem.b)
        f, g = base.f + problem.epsilon * log_u, base.g + problem.epsilon * log_v
        exponents = source.exponents(problem.scale, f, g)
        for block in blocks:
            # 5. K v, and from the same entries K^T(a u): what they are scaled by goes into the factor.
            total, top = entries(block, exponents)
            top = top - log_u[..., block]
            log_u[..., block] = relax_rows(-(total.double().log() + top), block)
            factor = ((log_u[..., block] + top).exp() * problem.a[..., block]).to(source.dtype)
            for part, tile in zip(room, tiles, strict=True):
                back[..., tile] += _times(part[..., : block.stop - block.start, :].mT, factor)
        about = log_u
        back = source.sharing.total(back)
        log_back = back.double().log() - log_v  # the entries carried v
        lost = back <= FLOOR
        if bool(lost.any()):
            log_back = torch.where(lost, _log_columns(problem, base, log_u, blocks), log_back)
        residual = relax_columns(-log_back, ALL) - log_v
        return residual, _error(problem, residual), log_u

    return step


def symmetric_step(problem: EntropicProblem, base: Base, rows: int | None) -> Step:
    """One averaged pass for a set and itself, f = g: log u <- (log u - log K(a u)) / 2, one product each."""
    source = problem.source
    blocks = row_blocks(source.shape[-2], rows or source.shape[-2])
    if (kernel := base.kernel) is None:
        exponents = source.exponents(problem.scale)

    def step(log_u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = (log_u.exp() * problem.a).to(source.dtype)
        log_answer = torch.empty_like(base.f)
        for block in blocks:
            part = exp2_(exponents(block), exponents.least) if kernel is None else kernel[..., block, :]
            log_answer[..., block] = -_times(part, u).double().log()
        gap = log_answer - log_u
        error = (problem.a * torch.expm1(-gap).abs()).sum(-1)
        return 0.5 * gap, error, log_answer

    return step


def exp2_(exponents: Tensor, least: float = -math.inf) -> Tensor:
    """In-place 2^x that gives 0 where the result would underflow, without the slow path that CPUs take there.

    ``least``: a bound below all exponents; where that is in range they need not be looked at.
    """
    bits = _BITS[exponents.dtype]
    return (exponents if least > -bits else threshold(exponents, -bits, -math.inf, inplace=True)).exp2_()


def _log_columns(problem: EntropicProblem, base: Base, log_u: Tensor, blocks: list[slice]) -> Tensor:
    """log sum_i a_i u_i K_ij, with a running maximum: for columns that underflow otherwise."""
    f = base.f + problem.epsilon * (log_u + problem.a.double().log())
    total = torch.full_like(base.g, -math.inf)
    exponents = problem.source.exponents(problem.scale, f, base.g)
    for block in blocks:
        entries = exponents(block).mul_(1 / LOG2E)
        total = torch.logaddexp(total, torch.logsumexp(entries, -2).double())
    return log_total(problem.source.sharing, total)


def _relaxation(problem: EntropicProblem, rho: float, base: Tensor) -> Relax:
    """x -> damping * x - (1 - damping) base / epsilon: the update of a log scaling beside its base."""
    damping = problem.damping(rho)
    if damping == 1.0:
        return lambda update, block: update
    offset = (1.0 - damping) / problem.epsilon * base
    return lambda update, block: damping * update - offset[..., block]


def _error(problem: EntropicProblem, residual: Tensor) -> Tensor:
    """L1 error of the column marginal; with soft marginals, the mass by which the next pass changes it."""
    return (problem.b * torch.expm1(-residual).abs()).sum(-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.mv(matrix, vector) if matrix.dim() == 2 else (matrix @ vector.unsqueeze(-1)).squeeze(-1)
