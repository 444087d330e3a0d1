"""Safe Anderson acceleration of a fixed-point map, for one problem or a batch of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress

import torch
from torch import Tensor

Step = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
MEMORY = 16  # differences that are mixed
GROWTH = 4.0  # how far above the best error the iteration may go
PATIENCE = 12  # passes without a new best before it goes back
FAR = 1e9  # no log scaling differs so much from another; an extrapolation beyond follows a direction without end
RIDGE = 1e-10  # on the Gram matrix of the unit differences
ROUNDING = 16  # units in the last place within which numbers are the same, computed in another way


@dataclass(eq=False)
class Outcome:
    """The best point met: x, what the step returned beside it, its error (per problem), passes used."""

    x: Tensor
    extra: Tensor
    error: Tensor
    iterations: int
    in_range: bool


def accelerate(
    step: Step, x: Tensor, tolerance: float, max_iterations: int, limit: float, memory: int = MEMORY, far: float = FAR,
    dtype: torch.dtype = torch.float64,
) -> Outcome:  # fmt: skip
    """Find x with x = T(x) by Anderson mixing of the last few plain steps.

    x_{k+1} = x_k + r_k - (dX + dR) c, c = argmin |r_k - dR c|, r_k = T(x_k) - x_k, where dX and dR hold the
    last differences. The next point is taken only while the error stays within ``GROWTH`` times the best and
    the best was met within ``PATIENCE`` passes: else the map restarts from the best point with a plain step,
    which for Sinkhorn's map never raises the error. After each return that led to nothing it takes twice as many plain
    steps before it mixes again: where masses must first move by many epsilons, the error stays the same for long, and
    differences are noise or point far beyond the end. Along plain steps the last point of an equal error is the best.

    Args:
        step: x -> (r, error, extra): residual, its size (per problem), anything of interest at x.
        x: start, (..., m), float64.
        tolerance: stop when every problem's error is at most this.
        max_iterations: calls of ``step``.
        limit: stop as soon as an entry of x leaves [-limit, limit].
        memory: how many differences are mixed; 0 gives the plain iteration.
        far: without a limit, no two entries of a solution differ by more.
        dtype: in which ``step`` computes.

    Reference:
        Anderson, 1965, "Iterative procedures for nonlinear integral equations";
        Walker and Ni, 2011, "Anderson acceleration for fixed-point iterations", eq. 2.1 and section 4.
    """
    same = ROUNDING * torch.finfo(dtype).eps
    history = _History(x, memory, same)
    residual, error, extra = step(x)
    best, best_residual = Outcome(x, extra, error, 1, True), residual
    paces = [_Pace(e, e) for e in error.reshape(-1).tolist()]
    while max(pace.best for pace in paces) > tolerance and best.iterations < max_iterations:
        # 1. Mix the last plain steps; where that went astray, go back to the best point and take its plain step.
        resting = _where(error, [pace.resting > 0 for pace in paces])
        correction = history.correction(x, residual).masked_fill_(resting, 0.0)
        plain = [not c for c in correction.abs().amax(-1).reshape(-1).tolist()]
        proposal = x + residual - correction
        astray = [pace.astray for pace in paces]
        if math.isinf(limit):
            wide = (proposal.amax(-1) - proposal.amin(-1)).reshape(-1).tolist()
            astray = [a or (not p and not d <= far) for a, p, d in zip(astray, plain, wide, strict=True)]
        if any(astray):
            retreat = _where(error, astray)
            history.forget(retreat)
            proposal = torch.where(retreat, best.x + best_residual, proposal)
            for pace in compress(paces, astray):
                pace.go_back()
        if limit < math.inf and not float(proposal.abs().amax()) <= limit:
            best.x, best.in_range = best.x + best_residual, False
            return best
        # 2. Step from there.
        x = proposal
        residual, error, extra = step(x)
        new = zip(paces, error.reshape(-1).tolist(), plain, astray, strict=True)
        better = [pace.step(e, same if p or a else None) for pace, e, p, a in new]
        # 3. Keep the best of every problem.
        if all(better):
            best, best_residual = Outcome(x, extra, error, best.iterations, True), residual
        elif any(better):
            rows = _where(error, better)
            keep = rows.squeeze(-1)
            best_residual = torch.where(rows, residual, best_residual)
            best.x, best.extra = torch.where(rows, x, best.x), torch.where(rows, extra, best.extra)
            best.error = torch.where(keep, error, best.error)
        best.iterations += 1
    return best


@dataclass
class _Pace:
    """How one problem gets on.

    error, best: the last error and the best. idle: passes since then, or since the last return. reached: the best error
    at the last return. pause: plain steps that the last return asked for. resting: how many of them are left.
    """

    error: float
    best: float
    idle: int = 0
    reached: float = math.inf
    pause: int = 0
    resting: int = 0

    @property
    def astray(self) -> bool:
        """Whether mixing has led too far from the best error, or to no better one for long."""
        return not self.error <= GROWTH * self.best or self.idle >= PATIENCE

    def go_back(self) -> None:
        """Begin anew from the best point, with twice as many plain steps where the last return led to nothing."""
        self.pause = 2 * self.pause + 1 if self.best > self.reached / 2 else 0
        self.reached = self.best
        self.idle, self.resting = -1, self.pause + 1  # both count the step of the return, which comes now

    def step(self, error: float, slack: float | None) -> bool:
        """Take in the error of the next point; whether it is the best, after a plain step within some slack."""
        better = error < self.best or (slack is not None and error <= self.best * (1 + slack))
        self.error, self.best = error, error if better else self.best
        self.idle, self.resting = 0 if better else self.idle + 1, max(0, self.resting - 1)
        return better


def _where(error: Tensor, which: list[bool]) -> Tensor:
    """(..., 1) of the problems marked in a list."""
    return torch.tensor(which, device=error.device).reshape(error.shape).unsqueeze(-1)


class _History:
    """The last differences of residuals, scaled to length 1, and of the plain steps that go with them, in a ring.

    The scaling keeps the ridge from drowning the newest, shortest differences.
    """

    def __init__(self, x: Tensor, memory: int, same: float) -> None:
        self.residuals = x.new_zeros((*x.shape[:-1], memory, x.shape[-1]))
        self.steps = torch.zeros_like(self.residuals)
        self.gram = RIDGE * torch.eye(memory, dtype=x.dtype, device=x.device).expand(*x.shape[:-1], -1, -1).clone()
        self.memory, self.same, self.count = memory, same, 0
        self.last: tuple[Tensor, Tensor] | None = None

    def correction(self, x: Tensor, residual: Tensor) -> Tensor:
        """(dX + dR) c for the best c, after taking in the newest difference."""
        slot = self.count % max(1, self.memory)
        if fresh := self.memory > 0 and self.last is not None:
            change = residual - self.last[1]
            length = change.norm(dim=-1, keepdim=True)
            length = torch.where(length > self.same * residual.norm(dim=-1, keepdim=True), length, torch.inf)
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
