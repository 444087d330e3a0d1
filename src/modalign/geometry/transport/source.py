"""Where cost rows come from: a matrix that exists, or embeddings from which rows are computed on demand.

Solvers read a cost only through `CostSource.block`, a few rows at a time, so the same code serves a cost
that fits in memory and one that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..cost import checked_pair, inner, unit

CACHED_BYTES = 2**21  # a block of this size is read from cache when it is used again


class CostSource(Protocol):
    """A cost matrix (..., n, m) that is read by blocks of rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def spread(self) -> float:
        """Largest minus least finite cost, or a bound of it."""
        ...

    def block(self, rows: slice) -> Tensor:
        """Rows of the cost, (..., r, m); the caller must not write into it."""
        ...


@dataclass(frozen=True)
class DenseCost:
    """A cost matrix in memory.

    Args:
        matrix: (..., n, m).
        spread: largest minus least finite cost.
        forbidden: whether it has +inf entries.
    """

    matrix: Tensor
    spread: float
    forbidden: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.matrix.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.matrix.dtype

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    def block(self, rows: slice) -> Tensor:
        return self.matrix[..., rows, :]


@dataclass(frozen=True)
class EmbeddingCost:
    """The cost between two sets of vectors, never held whole.

    Args:
        x: (n, d), detached; unit rows for the cosine cost, else about the mean of y.
        y: (m, d).
        kind: ``"cosine"`` or ``"sqeuclidean"``.
    """

    x: Tensor
    y: Tensor
    kind: str

    @classmethod
    def of(cls, x: Tensor, y: Tensor, kind: str) -> EmbeddingCost:
        """From the `points` of two sets."""
        x, y = x.detach(), y.detach()
        if kind == "sqeuclidean":
            centre = y.mean(dim=0)  # distances ignore it, rounding does not
            x, y = x - centre, y - centre
        return cls(x, y, kind)

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
    def spread(self) -> float:
        if self.kind == "cosine":
            return 2.0
        return float(self.x.norm(dim=-1).max() + self.y.norm(dim=-1).max()) ** 2

    def block(self, rows: slice) -> Tensor:
        x = self.x[rows]
        product = inner(x, self.y)
        if self.kind == "cosine":
            return product.neg_().add_(1.0).clamp_(0.0, 2.0)
        squares = (self.y * self.y).sum(-1) + (x * x).sum(-1).unsqueeze(-1)
        return squares.sub_(product, alpha=2.0).clamp_(min=0.0)

    def gradients(self, blocks: Iterator[tuple[slice, Tensor]]) -> tuple[Tensor, ...]:
        """With P: -P y and -P^T x (cosine, in the unit rows); 2 (P 1) x - 2 P y and the like (squares)."""
        toward_y, toward_x = torch.empty_like(self.x), torch.zeros_like(self.y)
        row_mass, column_mass = torch.zeros_like(self.x[:, :1]), torch.zeros_like(self.y[:, :1])
        with torch.autocast(device_type=self.device.type, enabled=False):
            for rows, block in blocks:
                torch.mm(block, self.y, out=toward_y[rows])
                toward_x.addmm_(block.mT, self.x[rows])
                if self.kind == "sqeuclidean":
                    row_mass[rows] = block.sum(-1, keepdim=True)
                    column_mass += block.sum(-2).unsqueeze(-1)
        if self.kind == "cosine":
            return toward_y.neg_(), toward_x.neg_()
        return 2 * (row_mass * self.x - toward_y), 2 * (column_mass * self.y - toward_x)

    def paid(self, gradients: tuple[Tensor, ...], rows_mass: Tensor) -> Tensor:
        """<P, C> from the gradients of P and its row sums."""
        if self.kind == "cosine":
            return rows_mass.sum() + (gradients[0] * self.x).sum()
        return 0.5 * ((gradients[0] * self.x).sum() + (gradients[1] * self.y).sum())


def points(x: Tensor, y: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """What the cost is a simple function of: unit rows for the cosine cost, else the rows, at least float32."""
    x, y = checked_pair(x, y)
    return (unit(x), unit(y)) if kind == "cosine" else (x, y)


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
