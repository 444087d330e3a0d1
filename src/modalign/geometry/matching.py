"""Plan matching: the transport plan of a student's similarities should be the plan of a teacher's."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from ..errors import ModalignError
from ..parameters import Count, Positive, Shape, checked
from .cost import working
from .transport.dual import Envelope


@checked
def plan_divergence(
    similarity: Annotated[Tensor, Shape("n m")],
    plan: Annotated[Tensor, Shape("n m")],
    target: Annotated[Tensor, Shape("n m")],
    epsilon: Positive,
) -> Tensor:
    """KL from the teacher's plan to the student's, differentiable in the student's similarities.

    L = sum_ij P*_ij log(P*_ij / P_ij); dL/dK = (P - P*) / epsilon, epsilon the *student's*: with the marginals of P*
    held, L is a dual transport objective in K minus a linear term, so the envelope theorem applies. (The paper
    prints the teacher's epsilon, which finite differences refute.)

    Args:
        similarity: K, (n, m), the student's similarities, with gradient.
        plan: P, (n, m), the entropic plan of K at ``epsilon``, positive, mass 1.
        target: P*, (n, m), the teacher's plan, mass 1, same marginals.
        epsilon: > 0, in units of the similarity.

    Returns:
        Scalar, in nats, >= 0 for plans of equal marginals.

    Raises:
        ModalignError: shapes differ, epsilon is not positive.

    Reference: SOTAlign / KLOT (2026), arXiv 2602.23353.

    Example:
        >>> k = torch.zeros(2, 2, requires_grad=True)
        >>> loss = plan_divergence(k, torch.full((2, 2), 0.25), 0.5 * torch.eye(2), epsilon=0.5)
        >>> loss.backward(); round(loss.item(), 4), k.grad.tolist()
        (0.6931, [[-0.5, 0.5], [0.5, -0.5]])
    """
    k, p, q = working(similarity, plan.detach(), target.detach())
    tiny = torch.finfo(p.dtype).tiny
    value = (torch.xlogy(q, q) - q * p.clamp_min(tiny).log()).sum()
    return Envelope.apply(value, ((p - q) / epsilon,), k)


@checked
@torch.no_grad()
def iterated_plan(similarity: Annotated[Tensor, Shape("n m")], epsilon: Positive, iterations: Count = 100) -> Tensor:
    """A fixed number of Sinkhorn iterations, then half a row update: the plan of KLOT's public program.

    P = exp((f + g + K) / epsilon) / (n m), f and g alternately updated in the log domain, the last f averaged with one
    more update. Not converged at small epsilon: the program's numbers depend on the count.
    `geometry.transport.solve` iterates until the marginals are right.

    Args:
        similarity: K, (n, m).
        epsilon: > 0, in units of the similarity.
        iterations: published 100.

    Returns:
        (n, m), positive, mass about 1, uniform marginals in the limit.

    Reference: SOTAlign / KLOT (2026), arXiv 2602.23353.

    Example:
        >>> iterated_plan(torch.zeros(2, 2), epsilon=1.0).tolist()
        [[0.25, 0.25], [0.25, 0.25]]
    """
    (k,) = working(similarity.detach())
    n, m = k.shape
    if not k.numel():
        raise ModalignError(f"similarity is empty, of shape {(n, m)}: there is nothing to match")
    log_a, log_b, scaled = -math.log(n), -math.log(m), k / epsilon
    f, g = k.new_zeros(n, 1), k.new_zeros(1, m)
    for _ in range(iterations):
        f = -torch.logsumexp(scaled + g + log_b, 1, keepdim=True)
        g = -torch.logsumexp(scaled + f + log_a, 0, keepdim=True)
    f = 0.5 * (f - torch.logsumexp(scaled + g + log_b, 1, keepdim=True))
    return (scaled + f + g + log_a + log_b).exp()
