"""Entropic transport, balanced or unbalanced: annealing, the dual value, gradients by the envelope theorem."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...errors import ModalignError
from .anderson import MEMORY
from .problem import Problem
from .result import Potentials
from .sinkhorn import Scaled, sinkhorn

STAGES = 0.25  # factor between the epsilons of an annealed solve
COARSE = 0.005  # an epsilon above this share of the cost's spread needs no annealing
WIDEST = 0.1  # the first epsilon of an annealed solve, as a share of the spread, is at most this
LOOSE = 0.03  # marginal error (of the mass) at which an intermediate epsilon is left


@dataclass(frozen=True)
class Settings:
    """How to iterate.

    Args:
        tolerance: L1 error of the marginals, relative to the mass.
        max_iterations: passes over the kernel, over all epsilons.
        start: potentials to start from (used where the shape fits).
        anneal: factor in (0, 1] between successive epsilons, 1 for none, None to decide by epsilon.
        rows: never hold more than so many rows of the cost.
        accelerate: False for the plain iteration.
    """

    tolerance: float = 1e-4
    max_iterations: int = 2000
    start: Potentials | None = None
    anneal: float | None = None
    rows: int | None = None
    accelerate: bool = True

    def __post_init__(self) -> None:
        if self.max_iterations < 1 or not self.tolerance >= 0:
            raise ModalignError(
                f"max_iterations is {self.max_iterations} and tolerance {self.tolerance}: "
                "give at least one iteration and a tolerance of at least 0"
            )
        if self.anneal is not None and not 0.0 < self.anneal <= 1.0:
            raise ModalignError(
                f"anneal is {self.anneal}: it is the factor between successive epsilons, in (0, 1], 1 for none"
            )
        if self.rows is not None and self.rows < 1:
            raise ModalignError(f"rows is {self.rows}: hold at least one row of the cost")


class Envelope(torch.autograd.Function):
    """A value at an optimum, with its known gradients in the inputs that the optimum depends on."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor, ...], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [x.dtype for x in inputs]
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        scaled = []
        for gradient, dtype, needed in zip(ctx.saved_tensors, ctx.dtypes, ctx.needs_input_grad[2:], strict=True):
            shape = grad.shape + (1,) * (gradient.dim() - grad.dim())
            scaled.append((grad.reshape(shape) * gradient).to(dtype) if needed else None)
        return None, None, *scaled


def iterate(problem: Problem, settings: Settings) -> Scaled:
    """Solve at the problem's epsilon, passing through larger ones first where that helps."""
    g = settings.start.g if settings.start is not None else None
    if g is not None and g.shape != problem.b.shape:
        g = None
    tolerance = settings.tolerance * float(problem.b.sum(-1).min())
    memory = MEMORY if settings.accelerate else 0
    used = 0
    with torch.no_grad(), torch.autocast(device_type=problem.source.device.type, enabled=False):
        for epsilon in ladder(problem, settings.anneal) if g is None else []:
            stage = replace(problem, epsilon=epsilon)
            budget = (settings.max_iterations - used) // 4
            if not budget:
                break
            found = sinkhorn(
                stage, max(LOOSE * float(problem.b.sum(-1).min()), tolerance), budget, g, settings.rows, memory
            )
            g, used = found.g, used + found.iterations
            del found  # its kernel, before the next one is made
        found = sinkhorn(problem, tolerance, max(1, settings.max_iterations - used), g, settings.rows, memory)
    return replace(found, iterations=used + found.iterations)


def ladder(problem: Problem, factor: float | None) -> list[float]:
    """The larger epsilons to pass through first, in falling order."""
    if factor is None:
        factor = STAGES if problem.epsilon < COARSE * problem.source.spread else 1.0
    steps: list[float] = []
    epsilon = problem.epsilon / factor
    while factor < 1.0 and epsilon < WIDEST * problem.source.spread:
        steps.insert(0, epsilon)
        epsilon /= factor
    return steps


def dual_value(found: Scaled) -> Tensor:
    """The dual objective at the potentials, a lower bound of the primal that meets it at the optimum.

    -phi_a(-f) - phi_b(-g) - epsilon (mass of P - mass of a b^T), with <a, f> for hard marginals and
    rho <a, 1 - exp(-f / rho)> for soft ones. Rows are exact after a pass, which gives the mass of P.
    """
    problem = found.problem
    a, b, f, g = problem.a.double(), problem.b.double(), found.f, found.g
    mass = (a * _kept(f, problem.rho_a)).sum(-1)
    gain = (a * _conjugate(f, problem.rho_a)).sum(-1) + (b * _conjugate(g, problem.rho_b)).sum(-1)
    return (gain - problem.epsilon * (mass - a.sum(-1) * b.sum(-1))).to(problem.source.dtype)


def weight_gradients(found: Scaled) -> tuple[Tensor, Tensor]:
    """Gradients of the dual value in a and b."""
    problem, epsilon, dtype = found.problem, found.problem.epsilon, found.problem.source.dtype

    def gradient(potential: Tensor, rho: float, other: Tensor) -> Tensor:
        mass = other.double().sum(-1, keepdim=True)
        return (_conjugate(potential, rho) + epsilon * (mass - _kept(potential, rho))).to(dtype)

    return gradient(found.f, problem.rho_a, problem.b), gradient(found.g, problem.rho_b, problem.a)


def _conjugate(potential: Tensor, rho: float) -> Tensor:
    return potential if math.isinf(rho) else -rho * torch.expm1(-potential / rho)


def _kept(potential: Tensor, rho: float) -> Tensor:
    """The share of an item's weight that is transported."""
    return torch.ones_like(potential) if math.isinf(rho) else (-potential / rho).exp()


class Tally:
    """Row and column sums of a plan that goes by in blocks."""

    def __init__(self, problem: Problem) -> None:
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
        a = problem.a * _kept(found.f, problem.rho_a).to(problem.a)
        b = problem.b * _kept(found.g, problem.rho_b).to(problem.b)
        return float(((self.rows - a).abs().sum(-1) + (self.columns - b).abs().sum(-1)).max())
