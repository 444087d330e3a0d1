"""Safe Anderson acceleration of a fixed-point map, for one problem or a batch of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Step = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
MEMORY = 16  # differences that are mixed
GROWTH = 4.0  # how far above the best error the iteration may go
PATIENCE = 12  # passes without a new best before it goes back
FAR = 1e9  # no log scaling is so large; an extrapolation beyond follows a direction without end
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
    best, best_residual = Outcome(x, extra, error, 1, True), residual
    idle = [0] * error.numel()
    while max(lowest := best.error.reshape(-1).tolist()) > tolerance and best.iterations < max_iterations:
        # 1. Mix the last plain steps; where that went astray, go back to the best point and take its plain step.
        now = error.reshape(-1).tolist()
        worse = [not e <= GROWTH * b or k >= PATIENCE for e, b, k in zip(now, lowest, idle, strict=True)]
        proposal = x + residual - history.correction(x, residual)
        if math.isinf(limit) and not float(proposal.abs().amax()) <= FAR:
            worse = [True] * len(worse)
        if any(worse):
            retreat = torch.tensor(worse, device=x.device).reshape(error.shape).unsqueeze(-1)
            history.forget(retreat)
            proposal = torch.where(retreat, best.x + best_residual, proposal)
        if limit < math.inf and not float(proposal.abs().amax()) <= limit:
            best.x, best.in_range = best.x + best_residual, False
            return best
        # 2. Step from there.
        x = proposal
        residual, error, extra = step(x)
        new = error.reshape(-1).tolist()
        better = [e < b for e, b in zip(new, lowest, strict=True)]
        idle = [0 if b or w else k + 1 for b, w, k in zip(better, worse, idle, strict=True)]
        # 3. Keep the best of every problem.
        if all(better):
            best, best_residual = Outcome(x, extra, error, best.iterations, True), residual
        elif any(better):
            keep = torch.tensor(better, device=x.device).reshape(error.shape)
            rows = keep.unsqueeze(-1)
            best_residual = torch.where(rows, residual, best_residual)
            best.x, best.extra = torch.where(rows, x, best.x), torch.where(rows, extra, best.extra)
            best.error = torch.where(keep, error, best.error)
        best.iterations += 1
    return best


class _History:
    """The last differences of residuals, scaled to length 1, and of the plain steps that go with them, in a ring.

    The scaling keeps the ridge from drowning the newest, shortest differences.
    """

    def __init__(self, x: Tensor, memory: int) -> None:
        self.residuals = x.new_zeros((*x.shape[:-1], memory, x.shape[-1]))
        self.steps = torch.zeros_like(self.residuals)
        self.gram = RIDGE * torch.eye(memory, dtype=x.dtype, device=x.device).expand(*x.shape[:-1], -1, -1).clone()
        self.memory, self.count = memory, 0
        self.last: tuple[Tensor, Tensor] | None = None

    def correction(self, x: Tensor, residual: Tensor) -> Tensor:
        """(dX + dR) c for the best c, after taking in the newest difference."""
        slot = self.count % max(1, self.memory)
        if fresh := self.memory > 0 and self.last is not None:
            change = residual - self.last[1]
            length = change.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
            torch.div(change, length, out=self.residuals[..., slot, :])
            torch.div(change.add_(x).sub_(self.last[0]), length, out=self.steps[..., slot, :])
            self.count += 1
        self.last = (x, residual)
        used = min(self.count, self.memory)
        if not used:
            return torch.zeros_like(x)
        residuals = self.residuals[..., :used, :]
        if fresh:  # the newest difference has one row of the Gram matrix
            newest = (residuals @ residuals[..., slot, :].unsqueeze(-1)).squeeze(-1)
            self.gram[..., slot, :used] = self.gram[..., :used, slot] = newest
            self.gram[..., slot, slot] += RIDGE
        gram = self.gram[..., :used, :used]
        weights = torch.linalg.solve_ex(gram, residuals @ residual.unsqueeze(-1)).result
        return (weights.mT @ self.steps[..., :used, :]).squeeze(-2)

    def forget(self, which: Tensor) -> None:
        """Drop the history of the problems marked in ``which`` (..., 1)."""
        self.residuals.masked_fill_(which.unsqueeze(-1), 0.0)
        self.steps.masked_fill_(which.unsqueeze(-1), 0.0)
        alone = RIDGE * torch.eye(self.memory, dtype=self.gram.dtype, device=self.gram.device)
        self.gram = torch.where(which.unsqueeze(-1), alone, self.gram)
