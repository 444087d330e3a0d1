"""The dual of entropic transport: its value, and gradients at the optimum by the envelope theorem."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .sinkhorn import Scaled


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


def dual_value(found: Scaled) -> Tensor:
    """The dual objective at the potentials, a lower bound of the primal that meets it at the optimum.

    -phi_a(-f) - phi_b(-g) - epsilon (mass of P - mass of a b^T), with <a, f> for hard marginals and
    rho <a, 1 - exp(-f / rho)> for soft ones. Rows are exact after a pass, which gives the mass of P.

    Reference:
        Peyré and Cuturi, 2019, arXiv 1803.00567, eq. 4.30; Séjourné et al., 2019, arXiv 1910.12958 (soft marginals).
    """
    problem = found.problem
    a, b, f, g = problem.a.double(), problem.b.double(), found.f, found.g
    rows = [(a * kept(f, problem.rho_a)).sum(-1), (a * _conjugate(f, problem.rho_a)).sum(-1), a.sum(-1)]
    mass, gain, of_a = problem.source.sharing.total(torch.stack(rows))
    gain = gain + (b * _conjugate(g, problem.rho_b)).sum(-1)
    return (gain - problem.epsilon * (mass - of_a * b.sum(-1))).to(problem.source.dtype)


def weight_gradients(found: Scaled) -> tuple[Tensor, Tensor]:
    """Gradients of the dual value in a and b."""
    problem, epsilon, dtype = found.problem, found.problem.epsilon, found.problem.source.dtype

    def gradient(potential: Tensor, rho: float, mass: Tensor) -> Tensor:
        return (_conjugate(potential, rho) + epsilon * (mass - kept(potential, rho))).to(dtype)

    a, b = (weights.double().sum(-1, keepdim=True) for weights in (problem.a, problem.b))
    a = problem.source.sharing.total(a)
    return gradient(found.f, problem.rho_a, b), gradient(found.g, problem.rho_b, a)


def kept(potential: Tensor, rho: float) -> Tensor:
    """The share of an item's weight that is transported."""
    return torch.ones_like(potential) if math.isinf(rho) else (-potential / rho).exp()


def _conjugate(potential: Tensor, rho: float) -> Tensor:
    return potential if math.isinf(rho) else -rho * torch.expm1(-potential / rho)
