"""What a transport solver returns, and how it says that it has not converged."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import checked
from ..cost import working


class ConvergenceWarning(RuntimeWarning):
    """A solver stopped before its marginals were right; the message says by how much they are wrong."""


@dataclass(frozen=True, eq=False)
class Potentials:
    """Dual variables of a solved problem, to start the next one from.

    Args:
        f: (n,) or (batch, n), in units of the cost; None where only g is known, from which f follows.
        g: (m,) or (batch, m).
    """

    f: Tensor | None
    g: Tensor


class Coupling(Protocol):
    """A plan that may be read whole or by blocks of rows; see `Plan` for what the names mean."""

    @property
    def value(self) -> Tensor: ...

    @property
    def marginal_error(self) -> float: ...

    @property
    def matrix(self) -> Tensor: ...

    def blocks(self) -> Iterator[tuple[slice, Tensor]]: ...

    def products(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """P right, (n, k), and P^T left, (m, k)."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """A solved transport problem.

    ``value`` is the transport cost <P, C>. ``objective`` is what was minimised, the cost plus the
    regularisation: <P, C> + epsilon KL(P | a b^T) for the entropic problem, with
    KL(P | Q) = sum P log(P / Q) - P + Q. The two differ (for epsilon = 0 they agree), and neither is a
    divergence (`sinkhorn_divergence`). ``objective`` is differentiable, through the envelope theorem, in the
    weights and in the cost, or in the embeddings that the cost is between: its gradients in the cost and in the
    weights are P, f and g. All else is detached.

    From embeddings, ``value``, ``plan`` and ``marginal_error`` are computed when they are asked for.

    Args:
        objective: the regularised objective, a scalar or (batch,), in units of the cost.
        f: row potential, (n,) or (batch, n), in units of the cost; the entropic plan is
            P = a b^T exp((f + g - C) / epsilon).
        g: column potential, (m,) or (batch, m).
        iterations: passes over the kernel (0 where POT solves, which does not tell).
        converged: whether ``marginal_error`` reached the tolerance (from embeddings: that of the last pass).
        log_domain: whether the solver had to fall back to the slower log domain.
        coupling: P itself.
    """

    objective: Tensor
    f: Tensor
    g: Tensor
    iterations: int
    converged: bool
    log_domain: bool
    coupling: Coupling

    def __repr__(self) -> str:
        """The shape and how it went, not n numbers; nothing that has yet to be computed."""
        shape = (*self.f.shape, self.g.shape[-1])
        went = f"{self.iterations} iterations, {'converged' if self.converged else 'not converged'}"
        cost = f"objective {self.objective.item():.4g}, " if self.objective.ndim == 0 else ""
        return f"Plan({' x '.join(map(str, shape))}, {cost}{went})"

    @property
    def value(self) -> Tensor:
        """<P, C>, a scalar or (batch,), in units of the cost; forbidden pairs count 0."""
        return self.coupling.value

    @property
    def plan(self) -> Tensor:
        """P, (n, m) or (batch, n, m), non-negative; mass that of a unless unbalanced or partial."""
        return self.coupling.matrix

    @property
    def marginal_error(self) -> float:
        """|P 1 - a|_1 + |P^T 1 - b|_1, the largest of a batch; with soft marginals the same distance between two
        successive passes, which is 0 at the solution as well."""
        return self.coupling.marginal_error

    @property
    def potentials(self) -> Potentials:
        """The potentials, for ``start=``."""
        return Potentials(self.f, self.g)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """(rows, P[rows]) in order; from embeddings each block (r, m) is computed when it is asked for."""
        return self.coupling.blocks()

    def apply(self, targets: Tensor) -> Tensor:
        """P @ targets, (m, k) -> (n, k) or (batch, n, k), at least float32, without holding P."""
        targets, _ = working(targets, self.f)
        if len(targets) != self.g.shape[-1]:
            raise ModalignError(f"a plan with {self.g.shape[-1]} columns cannot send rows to {tuple(targets.shape)}")
        with torch.no_grad(), torch.autocast(device_type=targets.device.type, enabled=False):
            return torch.cat([block.to(targets.dtype) @ targets for _, block in self.blocks()], -2)

    def barycentric(self, targets: Tensor) -> Tensor:
        """The mean target of each row, as `barycentric` of the plan, without holding P."""
        ones = torch.ones_like(targets[:, :1])
        sums = self.apply(torch.cat([targets, ones], 1))
        mass = sums[..., -1:]
        return torch.where(mass > 0, sums[..., :-1] / mass.clamp_min(torch.finfo(mass.dtype).tiny), 0.0)


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
    inside, level = (__name__.rpartition(".")[0], checked.__module__), 1
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(inside):
        frame, level = frame.f_back, level + 1
    return level
