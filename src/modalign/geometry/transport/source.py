"""Where a cost comes from: a matrix that exists, or embeddings from which rows are computed on demand.

Solvers know a cost only as a `CostSource` and read it a few rows at a time, so the same code serves a cost that fits
in memory and one that does not, and gives gradients in the matrix or in the embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ...errors import ModalignError, unknown
from ..cost import KINDS, checked_pair, cosine_of_units, inner, sqeuclidean, unit
from .result import Coupling
from .sharing import ALONE, Sharing

Blocks = Iterable[tuple[slice, Tensor]]

CACHED_BYTES = 2**21  # a block of this size is read from cache when it is used again


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

    def block(self, rows: slice, into: Tensor | None = None) -> Tensor:
        """Rows of the cost, (..., r, m), detached; the caller must not write into it.

        Where they have to be computed, and ``into`` is given, they are written there.
        """
        ...

    def keep(self) -> CostSource:
        """The same cost, computed once and kept, for a solver that will read it several times."""
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


@dataclass(frozen=True)
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

    def block(self, rows: slice, into: Tensor | None = None) -> Tensor:
        return self.costs[..., rows, :]

    def keep(self) -> DenseCost:
        return self

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


@dataclass(frozen=True)
class PointCost:
    """The cost between two sets of points, not held whole unless it is kept, made by `between`.

    Args:
        x: (n, d), at least float32; unit rows for the cosine cost.
        y: (m, d).
        kind: ``"cosine"`` or ``"sqeuclidean"``.
        kept: (n, m) the costs; None: computed whenever they are asked for.
    """

    x: Tensor
    y: Tensor
    kind: str
    kept: Tensor | None = None
    forbidden = False
    stored = False
    sharing = ALONE

    @cached_property
    def points(self) -> tuple[Tensor, Tensor]:
        """Both sets without gradient, for squares about the mean of y: distances ignore it, rounding does not."""
        x, y = self.x.detach(), self.y.detach()
        if self.kind == "cosine":
            return x, y
        centre = y.mean(dim=0)
        return x - centre, y - centre

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.x), len(self.y))

    @property
    def dtype(self) -> torch.dtype:
        return self.x.dtype

    @property
    def device(self) -> torch.device:
        return self.x.device

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.x, self.y)

    @property
    def spread(self) -> float:
        if self.kind == "cosine":
            return 2.0
        x, y = self.points
        return float(x.norm(dim=-1).max() + y.norm(dim=-1).max()) ** 2

    def block(self, rows: slice, into: Tensor | None = None) -> Tensor:
        if self.kept is not None:
            return self.kept[rows]
        x, y = self.points[0][rows], self.points[1]
        product = inner(x, y) if into is None else torch.mm(x, y.mT, out=into)
        if self.kind == "cosine":
            return product.neg_().add_(1.0).clamp_(0.0, 2.0)
        squares = (y * y).sum(-1) + (x * x).sum(-1).unsqueeze(-1)
        return torch.sub(squares, product, alpha=2.0, out=product).clamp_(min=0.0)

    def keep(self) -> PointCost:
        costs = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        for rows in row_blocks(len(self.x), cached_rows(self)):
            self.block(rows, costs[rows])
        return replace(self, kept=costs)

    def matrix(self) -> Tensor:
        return cosine_of_units(self.x, self.y) if self.kind == "cosine" else sqeuclidean(self.x, self.y)

    def part(self, rows: Tensor, columns: Tensor) -> PointCost:
        return PointCost(self.x[rows], self.y[columns], self.kind)

    def gradients(self, plan: Coupling) -> tuple[Tensor, ...]:
        """-P y and -P^T x (cosine, in the unit rows); 2 (P 1) x - 2 P y and the like (squares)."""
        return self._gradients(plan.blocks())[0]

    def paid(self, plan: Blocks) -> Tensor:
        x, y = self.points
        (toward_y, toward_x), row_mass = self._gradients(plan, masses=True)
        if self.kind == "cosine":
            return row_mass.sum() + (toward_y * x).sum()
        return 0.5 * ((toward_y * x).sum() + (toward_x * y).sum())

    def _gradients(self, plan: Blocks, masses: bool = False) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The gradients, and the plan's row sums where asked for or needed."""
        x, y = self.points
        toward_y, toward_x = torch.empty_like(x), torch.zeros_like(y)
        row_mass, column_mass = torch.zeros_like(x[:, 0]), torch.zeros_like(y[:, 0])
        squares = self.kind == "sqeuclidean"
        with torch.autocast(device_type=self.device.type, enabled=False):
            for rows, block in plan:
                torch.mm(block, y, out=toward_y[rows])
                toward_x.addmm_(block.mT, x[rows])
                if squares or masses:
                    row_mass[rows] = block.sum(-1)
                if squares:
                    column_mass += block.sum(-2)
        if squares:
            gradients = 2 * (row_mass[:, None] * x - toward_y), 2 * (column_mass[:, None] * y - toward_x)
        else:
            gradients = toward_y.neg_(), toward_x.neg_()
        return gradients, row_mass


def between(x: Tensor, y: Tensor, cost: str = "cosine") -> PointCost:
    """The cost between two sets of embeddings, for any transport problem, without ever building its matrix.

    Args:
        x: (n, d), n > 0, any float dtype; half precision is summed in float32.
        y: (m, d).
        cost: ``"cosine"`` in [0, 2] or ``"sqeuclidean"``.

    Returns:
        `PointCost`, differentiable in x and y.

    Raises:
        ModalignError: unknown cost, rows that cannot be compared.

    Example:
        >>> between(torch.eye(2), torch.eye(3)[:, :2]).block(slice(0, 1))
        tensor([[0., 1., 1.]])
    """
    if cost not in KINDS:
        raise unknown("cost", cost, KINDS)
    for z in (x, y):
        if z.dim() != 2 or not len(z) or not z.is_floating_point():
            raise ModalignError(f"transport needs float embeddings (n, d), n > 0, got {tuple(z.shape)} {z.dtype}")
    x, y = checked_pair(x, y)
    return PointCost(unit(x), unit(y), cost) if cost == "cosine" else PointCost(x, y, cost)


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
