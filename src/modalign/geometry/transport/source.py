"""Where a cost comes from: a matrix that exists, or embeddings (`points`) from which rows are computed on demand.

Solvers know a cost only as a `CostSource` and read it a few rows at a time, so the same code serves a cost that fits
in memory and one that does not, and gives gradients in the matrix or in the embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...errors import ModalignError
from .result import Coupling
from .sharing import ALONE, Sharing

Blocks = Iterable[tuple[slice, Tensor]]

ALL = slice(None)
CACHED_BYTES = 2**21  # a block of this size is read from cache when it is used again


class Exponents(Protocol):
    """What a kernel's entries are powers of, computed for the rows and columns that are asked for."""

    @property
    def least(self) -> float:
        """A bound below all of them; -inf where none is known."""
        ...

    def __call__(self, rows: slice = ALL, columns: slice = ALL, into: Tensor | None = None) -> Tensor:
        """Those of some rows and columns, (..., r, c): a new tensor, or ``into``."""
        ...


class CostSource(Protocol):
    """A cost C, (..., n, m), with all that a solver asks of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def sharing(self) -> Sharing:
        """Who has the other rows, where these are not all."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """At least float32."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the cost is a function of, in which the objective is differentiable."""
        ...

    @property
    def spread(self) -> float:
        """Largest minus least finite cost, or a bound of it."""
        ...

    @property
    def forbidden(self) -> bool:
        """Whether some pairs cost +inf."""
        ...

    @property
    def stored(self) -> bool:
        """Whether a block is there already: then what is reported of a plan is measured on it at once."""
        ...

    def block(self, rows: slice) -> Tensor:
        """Rows of the cost, (..., r, m), detached; the caller must not write into it."""
        ...

    def exponents(self, scale: float, f: Tensor | None = None, g: Tensor | None = None) -> Exponents:
        """scale (f_i + g_j - C_ij), (..., n, m), detached, to be read in parts.

        f (..., n) and g (..., m) are potentials; None counts as 0.
        """
        ...

    def matrix(self) -> Tensor:
        """The whole cost, differentiable in ``inputs``."""
        ...

    def part(self, rows: Tensor, columns: Tensor) -> CostSource:
        """The cost between some rows and some columns (two dimensions only)."""
        ...

    def gradients(self, plan: Coupling) -> tuple[Tensor, ...]:
        """d<P, C> / d ``inputs`` with P held."""
        ...

    def paid(self, plan: Blocks) -> Tensor:
        """<P, C>, a scalar or (batch,); forbidden pairs count 0."""
        ...


@dataclass(frozen=True, eq=False)
class DenseExponents:
    """Exponents of a cost in memory; see `CostSource.exponents`."""

    costs: Tensor
    scale: float
    f: Tensor | None
    g: Tensor | None
    least = -math.inf

    def __call__(self, rows: slice = ALL, columns: slice = ALL, into: Tensor | None = None) -> Tensor:
        costs = self.costs[..., rows, columns]
        if self.f is None and self.g is None:
            return torch.mul(costs, -self.scale, out=into)
        # Differences first, whose rounding is that of the costs, not that of the potentials.
        potentials = [] if self.f is None else [self.f[..., rows].unsqueeze(-1)]
        potentials += [] if self.g is None else [self.g[..., columns].unsqueeze(-2)]
        first, *rest = (p.to(costs.dtype) for p in potentials)
        out = torch.sub(first, costs, out=into)
        for potential in rest:
            out.add_(potential)
        return out.mul_(self.scale)


@dataclass(frozen=True, eq=False)
class DenseCost:
    """A cost matrix in memory, made by `dense_cost`.

    Args:
        given: (..., n, m), as the caller gave it.
        costs: the same, detached and at least float32.
        spread: largest minus least finite cost.
        forbidden: whether it has +inf entries.
    """

    given: Tensor
    costs: Tensor
    spread: float
    forbidden: bool = False
    stored = True
    sharing = ALONE

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.costs.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.costs.dtype

    @property
    def device(self) -> torch.device:
        return self.costs.device

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.given,)

    def block(self, rows: slice) -> Tensor:
        return self.costs[..., rows, :]

    def exponents(self, scale: float, f: Tensor | None = None, g: Tensor | None = None) -> Exponents:
        return DenseExponents(self.costs, scale, f, g)

    def matrix(self) -> Tensor:
        return self.given

    def part(self, rows: Tensor, columns: Tensor) -> DenseCost:
        return dense_cost(self.given[rows][:, columns])

    def gradients(self, plan: Coupling) -> tuple[Tensor, ...]:
        return (plan.matrix,)

    def paid(self, plan: Blocks) -> Tensor:
        value = torch.zeros(self.shape[:-2], dtype=torch.float64, device=self.device)
        for rows, block in plan:
            costs = self.block(rows)
            value += (block * (torch.where(block > 0, costs, 0.0) if self.forbidden else costs)).sum((-1, -2))
        return value.to(self.dtype)


def dense_cost(cost: Tensor) -> DenseCost:
    """A cost matrix as a source.

    Raises:
        ModalignError: wrong shape, NaN or -inf.
    """
    if cost.dim() not in (2, 3) or 0 in cost.shape:
        raise ModalignError(f"transport needs a non-empty cost (n, m) or (batch, n, m), got shape {tuple(cost.shape)}")
    if not cost.is_floating_point():
        raise ModalignError(f"transport needs a floating-point cost, got {cost.dtype}: convert it first")
    matrix = cost.detach().to(torch.promote_types(cost.dtype, torch.float32))
    lowest, highest = torch.aminmax(matrix)
    if torch.isnan(lowest) or lowest == -math.inf:
        raise ModalignError("the cost has NaN or -inf entries: only +inf (a forbidden pair) may be non-finite")
    forbidden = bool(highest == math.inf)
    if forbidden:
        highest = matrix.masked_fill(torch.isinf(matrix), -math.inf).amax()
    return DenseCost(cost, matrix, float(highest - lowest), forbidden)


def held(source: CostSource, rows: int | None) -> DenseCost:
    """The cost as a matrix, for problems that are built from one.

    Raises:
        ModalignError: only so many ``rows`` may be held.
    """
    if rows is not None:
        raise ModalignError("rows works with balanced and unbalanced entropic transport; this problem holds the cost")
    return source if isinstance(source, DenseCost) else dense_cost(source.matrix())


def row_blocks(n: int, rows: int) -> list[slice]:
    """Slices that cut n rows into blocks of at most ``rows``.

    Example:
        >>> row_blocks(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]


def cached_rows(source: CostSource) -> int:
    """How many rows of a source stay in a processor's cache while they are used twice."""
    elements = source.shape[-1] * (source.shape[0] if len(source.shape) == 3 else 1)
    return max(32, CACHED_BYTES // (elements * source.dtype.itemsize))
