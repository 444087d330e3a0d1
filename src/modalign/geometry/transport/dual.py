"""The dual of entropic transport: its value, and gradients at the optimum by the envelope theorem."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...errors import ModalignError
from .sinkhorn import Scaled


class Envelope(torch.autograd.Function):
    """A value at an optimum, with its known gradients in the inputs that the optimum depends on.

    How the gradients move with the inputs is not known: second derivatives are refused.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor, ...], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients, *inputs)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), count = grads, len(ctx.saved_tensors) // 2
        scaled: list[Tensor | None] = []
        for gradient, x, needed in zip(
            ctx.saved_tensors[:count], ctx.saved_tensors[count:], ctx.needs_input_grad[2:], strict=True
        ):
            if needed and torch.is_grad_enabled():  # somebody may ask for the gradient of this one
                gradient = _Once.apply(gradient, x)
            shape = grad.shape + (1,) * (gradient.dim() - grad.dim())
            scaled.append((grad.reshape(shape) * gradient).to(x.dtype) if needed else None)
        return None, None, *scaled


class _Once(torch.autograd.Function):
    """A gradient in x that cannot be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise ModalignError(
            "transport has no second derivatives: its plan is held fixed while gradients flow; "
            "take first ones alone, or finite differences of them"
        )


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
    problem, dtype = found.problem, found.problem.source.dtype
    a, b = (weights.double().sum(-1, keepdim=True) for weights in (problem.a, problem.b))
    a = problem.source.sharing.total(a)
    f = weight_gradient(found.f, problem.rho_a, problem.epsilon, b)
    return f.to(dtype), weight_gradient(found.g, problem.rho_b, problem.epsilon, a).to(dtype)


def weight_gradient(potential: Tensor, rho: float, epsilon: float, mass: Tensor) -> Tensor:
    """What the dual value gains by more weight of an item. mass: of the other side."""
    return _conjugate(potential, rho) + epsilon * (mass - kept(potential, rho))


def kept(potential: Tensor, rho: float) -> Tensor:
    """The share of an item's weight that is transported."""
    return torch.ones_like(potential) if math.isinf(rho) else (-potential / rho).exp()


def _conjugate(potential: Tensor, rho: float) -> Tensor:
    return potential if math.isinf(rho) else -rho * torch.expm1(-potential / rho)
