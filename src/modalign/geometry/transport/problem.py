"""A transport problem, checked: finite costs (or +inf for forbidden pairs), weights of equal mass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ModalignError, few


@dataclass(frozen=True)
class Problem:
    """Cost and weights as a solver wants them: detached, one dtype of at least float32.

    Args:
        cost: (..., n, m), +inf where a pair is forbidden.
        a: (..., n), non-negative.
        b: (..., m), non-negative.
        epsilon: regularisation, > 0, in units of the cost.
    """

    cost: Tensor
    a: Tensor
    b: Tensor
    epsilon: float


def prepare(cost: Tensor, a: Tensor | None, b: Tensor | None, epsilon: float, balanced: bool = True) -> Problem:
    """Check a problem and bring it to one dtype.

    Raises:
        ModalignError: wrong shapes, NaN, negative weights, unequal masses, rows without an allowed pair.
    """
    if cost.dim() not in (2, 3) or 0 in cost.shape:
        raise ModalignError(
            f"transport needs a non-empty cost (n, m) or (batch, n, m), got shape {tuple(cost.shape)}"
        )
    if not epsilon > 0:
        raise ModalignError(f"epsilon is {epsilon}: it must be positive (method='exact' has none)")
    dtype = torch.promote_types(cost.dtype, torch.float32)
    matrix = cost.detach().to(dtype)
    lowest = matrix.amin()
    if torch.isnan(lowest) or lowest == -torch.inf:
        raise ModalignError("the cost has NaN or -inf entries: only +inf (a forbidden pair) may be non-finite")
    a = _weights(a, matrix.shape[:-1], matrix, "a", "rows")
    b = _weights(b, (*matrix.shape[:-2], matrix.shape[-1]), matrix, "b", "columns")
    if balanced:
        gap = ((a.sum(-1) - b.sum(-1)).abs() / b.sum(-1)).max()
        if gap > 1e-4:
            raise ModalignError(
                f"the weights a and b have different mass (relative gap {float(gap):.2g}): normalise them, "
                "or use method='unbalanced' or 'partial'"
            )
        _require_allowed(matrix, a, -1, "row")
        _require_allowed(matrix, b, -2, "column")
    return Problem(matrix, a, b, float(epsilon))


def _weights(weights: Tensor | None, shape: tuple[int, ...], like: Tensor, name: str, side: str) -> Tensor:
    if weights is None:
        return like.new_full(shape, 1.0 / shape[-1])
    weights = torch.as_tensor(weights, dtype=like.dtype, device=like.device).detach()
    if weights.shape[-1:] != shape[-1:] or weights.dim() > len(shape):
        raise ModalignError(
            f"the weights {name} have shape {tuple(weights.shape)} for {shape[-1]} {side}: give one per item"
        )
    if not (torch.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(-1) > 0).all()):
        raise ModalignError(f"the weights {name} must be finite, non-negative and not all zero")
    return weights.expand(shape)


def _require_allowed(cost: Tensor, weights: Tensor, dim: int, side: str) -> None:
    empty = torch.isinf(cost.amin(dim)) & (weights > 0)
    if empty.any():
        where = few(empty.nonzero()[:, -1].tolist())
        raise ModalignError(
            f"transport is infeasible: every pair of {side} {where} is forbidden (cost +inf): "
            "allow one, or give it weight 0"
        )
