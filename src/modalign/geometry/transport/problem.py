"""An entropic transport problem, checked: weights of fitting mass, finite costs (or +inf for forbidden pairs)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ModalignError, few
from .source import CostSource

LOG2E = math.log2(math.e)
GAP = 1e-4  # relative gap of masses that is rounding; a larger one is a mistake


@dataclass(frozen=True, eq=False)
class EntropicProblem:
    """min_P <P, C> + epsilon KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b).

    Args:
        source: the cost, (..., n, m), at least float32, +inf where a pair is forbidden.
        a: (..., n), non-negative.
        b: (..., m), non-negative.
        epsilon: regularisation, > 0, in units of the cost.
        rho_a: price of a wrong row marginal, in units of the cost; inf forces P 1 = a.
        rho_b: the same for columns.
    """

    source: CostSource
    a: Tensor
    b: Tensor
    epsilon: float
    rho_a: float = math.inf
    rho_b: float = math.inf

    @property
    def balanced(self) -> bool:
        return math.isinf(self.rho_a) and math.isinf(self.rho_b)

    @property
    def scale(self) -> float:
        """From units of the cost to exponents of 2, whose power is quicker to compute than that of e."""
        return LOG2E / self.epsilon

    def damping(self, rho: float) -> float:
        """rho / (rho + epsilon): how far a marginal constraint of price rho pulls a potential."""
        return 1.0 if math.isinf(rho) else rho / (rho + self.epsilon)


def pose(
    source: CostSource, a: Tensor | None, b: Tensor | None, epsilon: float, rho: float | tuple[float, float] = math.inf
) -> EntropicProblem:
    """Check the weights of a problem and complete them with uniform ones.

    Raises:
        ModalignError: wrong shapes, negative weights, non-positive epsilon or rho.
    """
    rho_a, rho_b = rho if isinstance(rho, tuple) else (rho, rho)
    for name, number in (("epsilon", epsilon), ("rho", rho_a), ("rho", rho_b)):
        if not number > 0:
            raise ModalignError(f"{name} is {number}: it must be positive")
    a, b = (_checked(w, source, side).detach() for w, side in ((a, "a"), (b, "b")))
    return EntropicProblem(source, a, b, float(epsilon), float(rho_a), float(rho_b))


def one_mass(source: CostSource, a: Tensor | None, b: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The weights, those of the columns scaled to the mass of the rows where the two differ by more than rounding.

    Weights such as .166667 six times miss their mass by 2e-6. No plan has both marginals then: what is left of the
    error is the same in every pass, and an acceleration takes it for a direction to follow without end.

    Raises:
        ModalignError: wrong shapes, negative weights, masses that differ by more than 1e-4 of them.
    """
    rows, columns = _checked(a, source, "a"), _checked(b, source, "b")
    ratio = rows.double().sum(-1, keepdim=True) / columns.double().sum(-1, keepdim=True)
    gap = float((ratio.detach() - 1.0).abs().max())
    if gap > GAP:
        raise ModalignError(
            f"the weights a and b have different mass (relative gap {gap:.2g}): normalise them, "
            "or take an Unbalanced or Partial problem"
        )
    if gap <= 8 * torch.finfo(source.dtype).eps:
        return a, b
    return a, (columns * ratio).to(columns.dtype)


def _checked(weights: Tensor | None, source: CostSource, name: str) -> Tensor:
    """Weights of one side, of the source's dtype, one for each item of each problem."""
    place, side = (-2, "rows") if name == "a" else (-1, "columns")
    shape = (*source.shape[:-2], source.shape[place])
    if weights is None:
        return torch.full(shape, 1.0 / shape[-1], dtype=source.dtype, device=source.device)
    weights = torch.as_tensor(weights, device=source.device, dtype=source.dtype)
    if weights.shape not in (shape, shape[-1:]):
        raise ModalignError(
            f"the weights {name} have shape {tuple(weights.shape)} for {shape[-1]} {side}: give one per item"
        )
    if not (torch.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(-1) > 0).all()):
        raise ModalignError(f"the weights {name} must be finite, non-negative and not all zero")
    return weights.expand(shape)


def require_allowed(cost: Tensor, a: Tensor, b: Tensor) -> None:
    """Refuse a balanced problem in which an item that must move has no allowed pair.

    Raises:
        ModalignError: every pair of some row or column of positive weight is forbidden.
    """
    for weights, dim, side in ((a, -1, "row"), (b, -2, "column")):
        empty = torch.isinf(cost.amin(dim)) & (weights > 0)
        if bool(empty.any()):
            raise ModalignError(
                f"transport is infeasible: every pair of {side} {few(empty.nonzero()[:, -1].tolist())} is "
                "forbidden (cost +inf): allow one, or give it weight 0"
            )
