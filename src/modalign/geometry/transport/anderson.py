"""Safe Anderson acceleration of a fixed-point map, for one problem or a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Step = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
MEMORY = 16  # differences that are mixed
GROWTH = 4.0  # how far above the best error the iteration may go
PATIENCE = 12.0  # passes without a new best before it goes back
RIDGE = 1e-10  # on the Gram matrix of the unit differences


@dataclass
class Outcome:
    """The best point met: x, what the step returned beside it, its error (per problem), passes used."""

    x: Tensor
    extra: Tensor
    error: Tensor
    iterations: int
    in_range: bool


def accelerate(
    step: Step, x: Tensor, tolerance: float, max_iterations: int, limit: float, memory: int = MEMORY
) -> Outcome:
    """Find x with x = T(x) by Anderson mixing of the last few plain steps.

    x_{k+1} = x_k + r_k - (dX + dR) c, c = argmin |r_k - dR c|, r_k = T(x_k) - x_k, where dX and dR hold the
    last differences. The next point is taken only while the error stays within ``GROWTH`` times the best and
    the best was met within ``PATIENCE`` passes: else the map restarts from the best point with a plain step,
    which for Sinkhorn's map never raises the error.

    Args:
        step: x -> (r, error, extra): residual, its size (per problem), anything of interest at x.
        x: start, (..., m), float64.
        tolerance: stop when every problem's error is at most this.
        max_iterations: calls of ``step``.
        limit: stop as soon as an entry of x leaves [-limit, limit].
        memory: how many differences are mixed; 0 gives the plain iteration.

    Reference:
        Anderson, 1965, "Iterative procedures for nonlinear integral equations";
        Walker and Ni, 2011, "Anderson acceleration for fixed-point iterations", eq. 2.1 and section 4.
    """
    history = _History(x, memory)
    residual, error, extra = step(x)
    best = Outcome(x, extra, error, 1, True)
    best_residual, idle = residual, torch.zeros_like(error)
    while bool((best.error > tolerance).any()) and best.iterations < max_iterations:
        worse = ~(error <= GROWTH * best.error) | (idle >= PATIENCE)
        proposal = x + residual - history.correction(x, residual)
        retreat = worse.unsqueeze(-1)
        history.forget(retreat)
        proposal = torch.where(retreat, best.x + best_residual, proposal)
        if bool((proposal.abs() > limit).any()):
            best.x, best.in_range = best.x + best_residual, False
            return best
        x = proposal
        residual, error, extra = step(x)
        better = error < best.error
        idle = torch.where(better | worse, 0.0, idle + 1.0)
        keep = better.unsqueeze(-1)
        best_residual = torch.where(keep, residual, best_residual)
        best = Outcome(
            torch.where(keep, x, best.x),
            torch.where(keep, extra, best.extra),
            torch.where(better, error, best.error),
            best.iterations + 1,
            True,
        )
    return best


class _History:
    """The last differences of points and residuals, in a ring."""

    def __init__(self, x: Tensor, memory: int) -> None:
        self.points = x.new_zeros((*x.shape[:-1], memory, x.shape[-1]))
        self.residuals = torch.zeros_like(self.points)
        self.memory, self.count = memory, 0
        self.last: tuple[Tensor, Tensor] | None = None

    def correction(self, x: Tensor, residual: Tensor) -> Tensor:
        """(dX + dR) c for the best c, after taking in the newest difference."""
        if self.memory and self.last is not None:
            slot = self.count % self.memory
            self.points[..., slot, :] = x - self.last[0]
            self.residuals[..., slot, :] = residual - self.last[1]
            self.count += 1
        self.last = (x, residual)
        used = min(self.count, self.memory)
        if not used:
            return torch.zeros_like(x)
        points, residuals = self.points[..., :used, :], self.residuals[..., :used, :]
        length = residuals.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        directions = residuals / length  # the ridge must not drown the newest, shortest differences
        gram = directions @ directions.mT
        gram.diagonal(dim1=-2, dim2=-1).add_(RIDGE)
        weights = torch.linalg.solve(gram, directions @ residual.unsqueeze(-1)) / length
        return (weights.mT @ (points + residuals)).squeeze(-2)

    def forget(self, which: Tensor) -> None:
        """Drop the history of the problems marked in ``which`` (..., 1)."""
        if bool(which.any()):
            self.points.masked_fill_(which.unsqueeze(-1), 0.0)
            self.residuals.masked_fill_(which.unsqueeze(-1), 0.0)
