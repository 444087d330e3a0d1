"""What a transport solver returns, and how it says that it has not converged."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor


class ConvergenceWarning(RuntimeWarning):
    """A solver stopped before its marginals were right; the message says by how much they are wrong."""


@dataclass
class Potentials:
    """Dual variables of a solved problem, to start the next one from.

    `transport_loss` and `sinkhorn_divergence` write the new potentials into the object they were given,
    so one object carried through training makes every step start where the last one ended.

    Args:
        f: (n,) or (batch, n), in units of the cost; None before the first solve.
        g: (m,) or (batch, m).
    """

    f: Tensor | None = None
    g: Tensor | None = None


@dataclass(frozen=True)
class Plan:
    """A solved transport problem.

    ``value`` is the transport cost <P, C>. ``objective`` is what was minimised, the cost plus the
    regularisation: <P, C> + epsilon KL(P | a b^T) for the entropic problem, with
    KL(P | Q) = sum P log(P / Q) - P + Q. The two differ (for ``exact`` they agree), and neither is a
    divergence (`sinkhorn_divergence`). ``objective`` is differentiable in the cost and in the weights
    through the envelope theorem: its gradients are P, f and g. All else is detached.

    Args:
        value: <P, C>, a scalar or (batch,), in units of the cost; forbidden pairs count 0.
        objective: the regularised objective, same shape and unit.
        plan: P, (n, m) or (batch, n, m), non-negative; mass that of a unless unbalanced or partial.
        f: row potential, (n,) or (batch, n), in units of the cost; the entropic plan is
            P = a b^T exp((f + g - C) / epsilon).
        g: column potential, (m,) or (batch, m).
        marginal_error: |P 1 - a|_1 + |P^T 1 - b|_1, the largest of a batch; with soft marginals the same
            distance between two successive passes, which is 0 at the solution as well.
        iterations: passes over the kernel (0 where POT solves, which does not tell).
        converged: whether ``marginal_error`` reached the tolerance.
        log_domain: whether the solver had to fall back to the slower log domain.
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
        """The potentials, for ``start=``."""
        return Potentials(self.f, self.g)


def stack(plans: list[Plan]) -> Plan:
    """One plan of a batch from the plans of its problems."""
    tensors = {
        name: torch.stack([getattr(plan, name) for plan in plans]) for name in ("value", "objective", "plan", "f", "g")
    }
    return Plan(
        **tensors,
        marginal_error=max(plan.marginal_error for plan in plans),
        iterations=max(plan.iterations for plan in plans),
        converged=all(plan.converged for plan in plans),
        log_domain=any(plan.log_domain for plan in plans),
    )


def warn_unless(converged: bool, marginal_error: float, tolerance: float, iterations: int) -> None:
    """Warn with the marginal error when a solver did not reach its tolerance."""
    if not converged:
        warnings.warn(
            f"transport did not converge: the marginals are wrong by {marginal_error:.3g} (L1) after "
            f"{iterations} iterations, the tolerance is {tolerance:.3g}: raise max_iterations or epsilon",
            ConvergenceWarning,
            stacklevel=_callers(),
        )


def _callers() -> int:
    """How far up the stack, seen from `warn_unless`, the first caller outside this package is."""
    package, level = __name__.rpartition(".")[0], 1
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(package):
        frame, level = frame.f_back, level + 1
    return level
