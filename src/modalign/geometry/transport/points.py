"""The cost between two sets of points, read from the points and never built."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...errors import ModalignError, check_known
from ...parameters import checked
from ..cost import KINDS, beside, checked_pair, cosine_of_units, inner, sqeuclidean, unit
from .result import Coupling
from .sharing import ALONE, Sharing
from .source import ALL, Blocks


@dataclass(frozen=True, eq=False)
class PointExponents:
    """Exponents from one product of the points, with what depends on the row or the column alone as two coordinates."""

    left: Tensor
    right: Tensor
    least: float

    def __call__(self, rows: slice = ALL, columns: slice = ALL, into: Tensor | None = None) -> Tensor:
        return torch.mm(self.left[rows], self.right[columns].mT, out=into)


@dataclass(frozen=True, eq=False)
class PointCost:
    """The cost between two sets of points, never held, made by `between`.

    Args:
        x: (n, d), at least float32; unit rows for the cosine cost.
        y: (m, d).
        kind: ``"cosine"`` or ``"sqeuclidean"``.
        sharing: who holds the other rows of the cost, where not all of them are here.
    """

    x: Tensor
    y: Tensor
    kind: str
    sharing: Sharing = ALONE
    forbidden = False
    stored = False

    @cached_property
    def points(self) -> tuple[Tensor, Tensor]:
        """Both sets without gradient, for squares about the mean of y: distances ignore it, rounding does not."""
        x, y = self.x.detach(), self.y.detach()
        if self.kind == "cosine":
            return x, y
        centre = y.mean(dim=0)
        return x - centre, y - centre

    @cached_property
    def own(self) -> tuple[Tensor, Tensor]:
        """What each point adds to its costs whatever the other one is."""
        x, y = self.points
        if self.kind == "cosine":
            return torch.zeros_like(x[:, 0]), torch.ones_like(y[:, 0])
        return (x * x).sum(-1), (y * y).sum(-1)

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

    def block(self, rows: slice) -> Tensor:
        x, y = self.points[0][rows], self.points[1]
        product = inner(x, y)
        if self.kind == "cosine":
            return product.neg_().add_(1.0).clamp_(0.0, 2.0)
        squares = (y * y).sum(-1) + (x * x).sum(-1).unsqueeze(-1)
        return torch.sub(squares, product, alpha=2.0, out=product).clamp_(min=0.0)

    def exponents(self, scale: float, f: Tensor | None = None, g: Tensor | None = None) -> PointExponents:
        (x, y), (of_x, of_y) = self.points, self.own
        factor = scale if self.kind == "cosine" else 2.0 * scale
        row, column = _scaled(f, of_x, scale), _scaled(g, of_y, scale)
        least = row.amin() + column.amin() - factor * x.norm(dim=-1).amax() * y.norm(dim=-1).amax()
        row, column = row.unsqueeze(-1), column.unsqueeze(-1)
        left, right = beside(x * factor, row, torch.ones_like(row)), beside(y, torch.ones_like(column), column)
        return PointExponents(left, right, float(least))

    def matrix(self) -> Tensor:
        return cosine_of_units(self.x, self.y) if self.kind == "cosine" else sqeuclidean(self.x, self.y)

    def part(self, rows: Tensor, columns: Tensor) -> PointCost:
        return PointCost(self.x[rows], self.y[columns], self.kind)

    def gradients(self, plan: Coupling) -> tuple[Tensor, ...]:
        """-P y and -P^T x (cosine, in the unit rows); 2 (P 1) x - 2 P y and the like (squares)."""
        x, y = self.points
        if self.kind == "cosine":
            toward_y, toward_x = plan.products(x, y)
            return toward_y.neg_(), toward_x.neg_()
        toward_y, toward_x = plan.products(_with_ones(x), _with_ones(y))
        return 2 * (toward_y[:, -1:] * x - toward_y[:, :-1]), 2 * (toward_x[:, -1:] * y - toward_x[:, :-1])

    def paid(self, plan: Blocks) -> Tensor:
        (x, y), (of_x, of_y) = self.points, self.own
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        factor = 1.0 if self.kind == "cosine" else 2.0
        for rows, block in plan:
            toward = block @ y
            total += (block.sum(-1) * of_x[rows]).sum() + block.sum(-2) @ of_y - factor * (toward * x[rows]).sum()
        return total.to(self.dtype)


@checked
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
    check_known("cost", cost, KINDS)
    for z in (x, y):
        if z.dim() != 2 or not len(z) or not z.is_floating_point():
            raise ModalignError(f"transport needs float embeddings (n, d), n > 0, got {tuple(z.shape)} {z.dtype}")
    x, y = checked_pair(x, y)
    return PointCost(unit(x), unit(y), cost) if cost == "cosine" else PointCost(x, y, cost)


def _scaled(potential: Tensor | None, own: Tensor, scale: float) -> Tensor:
    """scale (potential - own) of the points of one side, of their dtype."""
    return own * -scale if potential is None else ((potential - own) * scale).to(own.dtype)


def _with_ones(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)
