"""What follows from the plan between two sets of vectors, where the plan itself is not wanted: it is never held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from ...parameters import Shape, checked
from .coupling import Solved
from .entropic import iterate
from .points import PointCost
from .problem import pose
from .solver import Solver

LEAST = 1e-20  # smaller entries count as 0: products with denormal numbers are many times slower


@dataclass(frozen=True, eq=False)
class Matches:
    """Of a plan P of mass 1 between n and m vectors.

    Args:
        moment: (r, s), left^T P right.
        certainty: (n,), the largest entry of each row. partner: (n,), the first column that has it.
        mutual: (n,) bool, whether the row is the first with the largest entry of its partner's column, too.
    """

    moment: Tensor
    certainty: Tensor
    partner: Tensor
    mutual: Tensor

    def surest(self, most: int) -> Tensor:
        """Rows of the mutual best matches, the surest first, at most so many."""
        rows = self.mutual.nonzero().flatten()
        return rows[self.certainty[rows].argsort(descending=True, stable=True)[:most]]


@checked
@torch.no_grad()
def matches(
    x: Annotated[Tensor, Shape("n d")],
    y: Annotated[Tensor, Shape("m d")],
    left: Annotated[Tensor, Shape("n r")],
    right: Annotated[Tensor, Shape("m s")],
    solver: Solver,
) -> Matches:
    """Entropic transport between vectors at cost 1 - <x_i, y_j>, uniform weights, reduced to `Matches`.

    The kernel's rows come straight from the product of the vectors, no cost is built; the scaled kernel is read once,
    a few rows at a time, while they are in the cache.

    Args:
        x: (n, d), |x_i| <= 1. y: (m, d).
        left: (n, r), right: (m, s), whose second moment under the plan is wanted.
        solver: a plan that has not converged is taken as it is.

    Example:
        >>> x = torch.eye(3)
        >>> matches(x, x[[2, 0, 1]], x, x, Solver(0.05)).partner
        tensor([1, 2, 0])
    """
    problem = pose(PointCost(x, y, "cosine"), None, None, solver.epsilon)
    plan = Solved(iterate(problem, solver))
    carried = x.new_empty(len(x), right.shape[1])
    certainty, partner = x.new_empty(len(x)), torch.empty(len(x), dtype=torch.long, device=x.device)
    crest = x.new_zeros(len(y))
    for rows, block in plan.blocks():
        block.masked_fill_(block < LEAST, 0.0)
        torch.mm(block, right, out=carried[rows])
        certainty[rows], partner[rows] = block.max(1)
        torch.maximum(crest, block.amax(0), out=crest)
    return Matches(left.T @ carried, certainty, partner, _mutual(certainty, partner, crest))


def _mutual(certainty: Tensor, partner: Tensor, crest: Tensor) -> Tensor:
    """Rows that are the first to reach the crest of their partner's column."""
    best = certainty >= crest[partner]
    rows = best.nonzero().flatten()
    first = torch.full_like(crest, len(certainty), dtype=torch.long)
    first.scatter_reduce_(0, partner[rows], rows, "amin")
    return best & (first[partner] == torch.arange(len(certainty), device=certainty.device))
