"""A cost between embeddings of which this process holds some rows, and the plan that all holders make together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from torch import Tensor

from .coupling import Within
from .points import PointCost
from .problem import EntropicProblem
from .result import Coupling
from .sharing import current
from .source import Blocks


@dataclass(frozen=True, eq=False)
class PartedCost(PointCost):
    """Some rows of a cost between two sets of points that every holder has.

    Args:
        x: (r, d) the points of the rows that are held here, without gradients. y, kind: as of the whole.
        sharing: who holds the other rows.
        whole: the cost between all points; what it is a function of keeps its gradients.
        place: which rows are held here.
    """

    whole: PointCost = field(kw_only=True)
    place: slice = field(kw_only=True)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.whole.inputs

    @property
    def spread(self) -> float:
        return self.whole.spread

    def matrix(self) -> Tensor:
        return self.whole.matrix()

    def part(self, rows: Tensor, columns: Tensor) -> PointCost:
        return self.whole.part(rows, columns)

    def gradients(self, plan: Coupling) -> tuple[Tensor, ...]:
        x, y = super().gradients(plan)
        return self.joined(x), self.sharing.total(y)

    def paid(self, plan: Blocks) -> Tensor:
        return self.sharing.total(super().paid(plan))

    def joined(self, rows: Tensor) -> Tensor:
        """What belongs to the rows, from those of every holder."""
        whole = rows.new_zeros(self.whole.shape[0], *rows.shape[1:])
        whole[self.place] = rows
        return self.sharing.total(whole)


@dataclass(frozen=True)
class Joined(Within):
    """The plan of all holders, from the rows that are held here. What is asked of it, all must ask."""

    source: PartedCost

    @property
    def matrix(self) -> Tensor:
        return self.source.joined(self.inner.matrix)

    def products(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        forth, back = self.inner.products(left[self.source.place], right)
        return self.source.joined(forth), self.source.sharing.total(back)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        yield slice(0, self.source.whole.shape[0]), self.matrix


def parted(problem: EntropicProblem) -> EntropicProblem:
    """The part of a problem that this process holds, or all of it."""
    source, sharing = problem.source, current()
    if not isinstance(source, PointCost) or (place := sharing.rows(*source.shape)) is None:
        return problem
    x, y = (points.detach() for points in source.inputs)
    own = PartedCost(x[place], y, source.kind, sharing, whole=source, place=place)
    return replace(problem, source=own, a=problem.a[place])
