"""Plans in memory, plans that follow from a solver's state, and plans among some of the items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .dual import kept
from .kernel import exp2_
from .problem import EntropicProblem
from .result import Coupling, Plan
from .sinkhorn import Scaled
from .source import cached_rows, row_blocks


@dataclass(frozen=True, eq=False)
class Held:
    """A plan in memory; see `Plan` for the fields."""

    matrix: Tensor
    value: Tensor
    marginal_error: float

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        yield slice(0, self.matrix.shape[-2]), self.matrix

    def products(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        return self.matrix @ right, self.matrix.mT @ left


class Solved:
    """The plan of a solved entropic problem, P = a b^T exp((f + g - C) / epsilon).

    A stored kernel is overwritten by the plan block by block when it is first read; without one, each block is
    computed whenever it is asked for.
    """

    def __init__(self, found: Scaled) -> None:
        self.found, self._read = found, 0

    @torch.no_grad()
    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        found, problem, kernel = self.found, self.found.problem, self.found.base.kernel
        left = found.log_u + problem.a.double().log()
        right = found.log_v + problem.b.double().log()
        if kernel is None:
            f, g = found.base.f + problem.epsilon * left, found.base.g + problem.epsilon * right
            exponents = problem.source.exponents(problem.scale, f, g)
        for block in row_blocks(problem.source.shape[-2], found.rows or cached_rows(problem.source)):
            row, column = left[..., block].unsqueeze(-1), right.unsqueeze(-2)
            if kernel is None:
                yield block, exp2_(exponents(block), exponents.least)
                continue
            part = kernel[..., block, :]
            if block.start >= self._read:
                part.mul_(row.exp().to(part.dtype)).mul_(column.exp().to(part.dtype))
                self._read = block.stop
            yield block, part

    @torch.no_grad()
    def products(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        found, kernel = self.found, self.found.base.kernel
        with torch.autocast(device_type=left.device.type, enabled=False):
            if kernel is None or self._read:
                return _products_of_blocks(self.blocks(), left, right)
            # The scalings go to the thin factors: nothing is written to the kernel.
            row = (found.log_u.exp() * found.problem.a).to(kernel.dtype).unsqueeze(-1)
            column = (found.log_v.exp() * found.problem.b).to(kernel.dtype).unsqueeze(-1)
            return (kernel @ (column * right)).mul_(row), (kernel.mT @ (row * left)).mul_(column)

    @cached_property
    def matrix(self) -> Tensor:
        kernel = self.found.base.kernel
        blocks = [block for _, block in self.blocks()]
        return kernel if kernel is not None else torch.cat(blocks, -2)

    @property
    def value(self) -> Tensor:
        return self._measured[0]

    @property
    def marginal_error(self) -> float:
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[Tensor, float]:
        """What is paid, and how wrong the marginals are, in one pass over the plan."""
        problem = self.found.problem
        tally = Tally(problem)
        with torch.no_grad():
            return problem.source.paid(tally.watch(self.blocks())), tally.error(self.found)


def _products_of_blocks(blocks: Iterable[tuple[slice, Tensor]], left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    forth, back = torch.empty_like(left), torch.zeros_like(right)
    for rows, block in blocks:
        torch.mm(block, right, out=forth[rows])
        back.addmm_(block.mT, left[rows])
    return forth, back


class Tally:
    """Row and column sums of a plan that goes by in blocks."""

    def __init__(self, problem: EntropicProblem) -> None:
        self.rows = torch.zeros_like(problem.a)
        self.columns = torch.zeros_like(problem.b)

    def watch(self, blocks: Iterable[tuple[slice, Tensor]]) -> Iterator[tuple[slice, Tensor]]:
        for rows, block in blocks:
            self.rows[..., rows] = block.sum(-1)
            self.columns += block.sum(-2)
            yield rows, block

    def error(self, found: Scaled) -> float:
        """L1 distance of the marginals from what they should be, the largest of a batch."""
        problem = found.problem
        a = problem.a * kept(found.f, problem.rho_a).to(problem.a)
        b = problem.b * kept(found.g, problem.rho_b).to(problem.b)
        sharing = problem.source.sharing
        rows = sharing.total((self.rows - a).abs().sum(-1))
        return float((rows + (sharing.total(self.columns) - b).abs().sum(-1)).max())


@dataclass(frozen=True)
class Within:
    """What a plan inside another one says of that one too."""

    inner: Coupling

    @property
    def value(self) -> Tensor:
        return self.inner.value

    @property
    def marginal_error(self) -> float:
        return self.inner.marginal_error


@dataclass(frozen=True, eq=False)
class Padded(Within):
    """A plan among some rows and columns (sorted), 0 elsewhere.

    Args:
        inner: the plan among them.
        rows: (r,) which rows. columns: (c,) which columns.
        n, m: size of the whole.
    """

    rows: Tensor
    columns: Tensor
    n: int
    m: int

    @cached_property
    def matrix(self) -> Tensor:
        small = self.inner.matrix
        return small.new_zeros(self.n, self.m).index_put((self.rows.unsqueeze(-1), self.columns), small)

    def products(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        forth, back = self.inner.products(left[self.rows], right[self.columns])
        whole = forth.new_zeros(self.n, forth.shape[1]), back.new_zeros(self.m, back.shape[1])
        return whole[0].index_copy_(0, self.rows, forth), whole[1].index_copy_(0, self.columns, back)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        start = 0
        for part, block in self.inner.blocks():
            stop = int(self.rows[part.stop]) if part.stop < len(self.rows) else self.n
            whole = block.new_zeros(stop - start, self.m)
            whole[(self.rows[part] - start).unsqueeze(-1), self.columns] = block
            yield slice(start, stop), whole
            start = stop


def stack(plans: list[Plan]) -> Plan:
    """One plan of a batch from the plans of its problems."""
    objective, f, g, matrix, value = (
        torch.stack([getattr(plan, name) for plan in plans]) for name in ("objective", "f", "g", "plan", "value")
    )
    return Plan(
        objective, f, g,
        max(plan.iterations for plan in plans),
        all(plan.converged for plan in plans),
        any(plan.log_domain for plan in plans),
        Held(matrix, value, max(plan.marginal_error for plan in plans)),
    )  # fmt: skip
