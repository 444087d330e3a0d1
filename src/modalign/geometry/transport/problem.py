"""A transport problem, checked: finite costs (or +inf for forbidden pairs), weights of fitting mass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ModalignError, few
from .source import CostSource, DenseCost


@dataclass(frozen=True)
class Problem:
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

    def damping(self, rho: float) -> float:
        """rho / (rho + epsilon): how far a marginal constraint of price rho pulls a potential."""
        return 1.0 if math.isinf(rho) else rho / (rho + self.epsilon)


def dense_cost(cost: Tensor) -> DenseCost:
    """A detached cost matrix of at least float32.

    Raises:
        ModalignError: wrong shape, NaN or -inf.
    """
    if cost.dim() not in (2, 3) or 0 in cost.shape:
        raise ModalignError(f"transport needs a non-empty cost (n, m) or (batch, n, m), got shape {tuple(cost.shape)}")
    if not cost.is_floating_point():
        raise ModalignError(f"transport needs a floating-point cost, got {cost.dtype}: convert it first")
    matrix = cost.detach().to(torch.promote_types(cost.dtype, torch.float32))
    lowest, highest = torch.aminmax(matrix)
    if torch.isnan(lowest) or lowest == -math.inf:
        raise ModalignError("the cost has NaN or -inf entries: only +inf (a forbidden pair) may be non-finite")
    forbidden = bool(highest == math.inf)
    if forbidden:
        highest = matrix.masked_fill(torch.isinf(matrix), -math.inf).amax()
    return DenseCost(matrix, float(highest - lowest), forbidden)


def pose(
    source: CostSource,
    a: Tensor | None,
    b: Tensor | None,
    epsilon: float,
    rho: float | tuple[float, float] = math.inf,
) -> Problem:
    """Check the weights of a problem and complete them with uniform ones.

    Raises:
        ModalignError: wrong shapes, negative weights, unequal masses, non-positive epsilon or rho.
    """
    rho_a, rho_b = rho if isinstance(rho, tuple) else (rho, rho)
    for name, number in (("epsilon", epsilon), ("rho", rho_a), ("rho", rho_b)):
        if not number > 0:
            raise ModalignError(f"{name} is {number}: it must be positive")
    batch, (n, m) = source.shape[:-2], source.shape[-2:]
    a = _weights(a, (*batch, n), source, "a", "rows")
    b = _weights(b, (*batch, m), source, "b", "columns")
    problem = Problem(source, a, b, float(epsilon), float(rho_a), float(rho_b))
    if problem.balanced:
        gap = float(((a.sum(-1) - b.sum(-1)).abs() / b.sum(-1)).max())
        if gap > 1e-4:
            raise ModalignError(
                f"the weights a and b have different mass (relative gap {gap:.2g}): normalise them, "
                "or use method='unbalanced' or 'partial'"
            )
    return problem


def _weights(weights: Tensor | None, shape: tuple[int, ...], source: CostSource, name: str, side: str) -> Tensor:
    if weights is None:
        return torch.full(shape, 1.0 / shape[-1], dtype=source.dtype, device=source.device)
    weights = torch.as_tensor(weights).detach().to(device=source.device, dtype=source.dtype)
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
