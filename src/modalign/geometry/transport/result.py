"""What a transport solver returns, and how it says that it has not converged."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch import Tensor


class ConvergenceWarning(RuntimeWarning):
    """A solver stopped before its marginals were right; the message says by how much they are wrong."""


@dataclass(frozen=True)
class Potentials:
    """Dual variables of a solved problem, to start the next one from.

    Args:
        f: (n,) or (batch, n), in units of the cost.
        g: (m,) or (batch, m), in units of the cost.
    """

    f: Tensor
    g: Tensor


@dataclass(frozen=True)
class Plan:
    """A solved transport problem.

    ``value`` is the transport cost <P, C>. ``objective`` is what was minimised, the cost plus the
    regularisation: <P, C> + epsilon KL(P | a b^T) for the entropic problem, with
    KL(P | Q) = sum P log(P / Q) - P + Q. The two differ; neither is a divergence (`sinkhorn_divergence`).
    ``value`` and ``plan`` are detached; ``objective`` is differentiable in the cost and in the weights
    through the envelope theorem: its gradients are P, f and g.

    Args:
        value: <P, C>, a scalar (or (batch,)), in units of the cost; forbidden pairs count 0.
        objective: the regularised objective, same shape.
        plan: P, (n, m) or (batch, n, m), non-negative, mass 1 unless the problem is unbalanced or partial.
        f: row potential, (n,) or (batch, n): for the entropic problem P = a b^T exp((f + g - C) / epsilon).
        g: column potential, (m,) or (batch, m).
        marginal_error: |P 1 - a|_1 + |P^T 1 - b|_1 (the largest of a batch); for unbalanced problems the
            distance from the fixed point, which is 0 at the solution as well.
        iterations: passes over the kernel.
        converged: whether ``marginal_error`` reached the tolerance.
        log_domain: whether the solver had to fall back to the (slower) log domain.
    """

    value: Tensor
    objective: Tensor
    plan: Tensor
    f: Tensor
    g: Tensor
    marginal_error: float
    iterations: int
    converged: bool
    log_domain: bool

    @property
    def potentials(self) -> Potentials:
        """Detached potentials, for ``start=``."""
        return Potentials(self.f.detach(), self.g.detach())


def warn_unless(converged: bool, marginal_error: float, tolerance: float, iterations: int) -> None:
    """Warn with the marginal error when a solver did not reach its tolerance."""
    if not converged:
        warnings.warn(
            f"transport did not converge: the marginals are wrong by {marginal_error:.3g} (L1) after "
            f"{iterations} iterations, the tolerance is {tolerance:.3g}: raise max_iterations or epsilon",
            ConvergenceWarning,
            stacklevel=4,
        )
