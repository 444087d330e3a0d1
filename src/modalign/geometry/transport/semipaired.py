"""Transport that knows some of the pairs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...errors import ModalignError
from . import dense
from .entropic import Settings
from .problem import dense_cost, pose
from .result import Plan


def run(
    cost: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    epsilon: float,
    settings: Settings,
    pairs: Tensor | None = None,
    strength: float | None = None,
) -> Plan:
    """Known pairs held in the coupling (``strength=None``), or favoured by a lower cost.

    Held: P = H + r P', where pair (i, j) gets H_ij = min(a_i / deg_i, b_j / deg_j), deg being the number of
    pairs of an item, and P' is the entropic plan of the weights that are left, (a - H 1) / r and
    (b - H^T 1) / r, r their mass: objective <H, C> + r (<P', C> + epsilon KL(P' | a' b'^T)).
    Favoured: the entropic plan of C - strength on the pairs and C elsewhere; the objective is that problem's.
    In both, ``value`` is <P, C> with C as given, and the gradient of the objective in C is P.
    """
    if cost.dim() != 2:
        raise ModalignError(f"semi-paired transport takes one cost (n, m), got shape {tuple(cost.shape)}")
    with torch.no_grad():
        problem = pose(dense_cost(cost), a, b, epsilon)
    rows, columns = check_pairs(pairs, *cost.shape).to(cost.device).unbind(-1)
    if strength is not None:
        return _favoured(cost, a, b, epsilon, settings, (rows, columns), strength)
    a = problem.a if a is None else a.to(problem.a)
    b = problem.b if b is None else b.to(problem.b)
    share_a = a[rows] / torch.bincount(rows, minlength=len(a))[rows]
    share_b = b[columns] / torch.bincount(columns, minlength=len(b))[columns]
    held = torch.minimum(share_a, share_b)
    paid = cost[rows, columns].to(held.dtype)
    if not bool(torch.isfinite(paid).all()):
        raise ModalignError("a known pair has cost +inf: a pair cannot be both held and forbidden")
    left_a = _remainder(a, a.index_add(0, rows, -held))
    left_b = _remainder(b, b.index_add(0, columns, -held))
    rest = left_a.sum()
    plan = torch.zeros_like(cost, dtype=held.dtype, requires_grad=False)
    plan = plan.index_put((rows, columns), held.detach(), accumulate=True)
    fixed = (held * paid).sum()
    if float(rest) <= 1e-6 * float(a.sum()):
        zeros = (torch.zeros_like(problem.a), torch.zeros_like(problem.b))
        return Plan(fixed.detach(), fixed, plan, *zeros, float(rest), 0, True, False)
    free = dense.entropic(cost, left_a / rest, left_b / left_b.sum(), epsilon, settings)
    scale = rest.detach()
    return replace(
        free,
        plan=plan.add_(free.plan, alpha=float(scale)),
        value=fixed.detach() + scale * free.value,
        objective=fixed + rest * free.objective,
        marginal_error=float(scale) * free.marginal_error,
    )


def _favoured(
    cost: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    epsilon: float,
    settings: Settings,
    pairs: tuple[Tensor, Tensor],
    strength: float,
) -> Plan:
    if not strength >= 0:
        raise ModalignError(f"strength is {strength}: it lowers the cost of known pairs and must be at least 0")
    discount = torch.zeros_like(cost).index_put(pairs, cost.new_tensor(float(strength)))
    found = dense.entropic(cost - discount, a, b, epsilon, settings)
    paid = (found.plan * discount).sum()  # the discount is no part of the value
    return replace(found, value=found.value + paid)


def check_pairs(pairs: Tensor | None, n: int, m: int) -> Tensor:
    """Known pairs as a (p, 2) int64 tensor without repeats.

    Raises:
        ModalignError: missing, wrong shape, or numbers outside the two sides.
    """
    if pairs is None:
        raise ModalignError("semi-paired transport needs pairs: a (p, 2) tensor of row and column numbers")
    pairs = torch.as_tensor(pairs)
    if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise ModalignError(f"pairs must be (p, 2) whole numbers, got {tuple(pairs.shape)} {pairs.dtype}")
    if len(pairs) and (pairs.amin() < 0 or pairs[:, 0].max() >= n or pairs[:, 1].max() >= m):
        raise ModalignError(f"pairs name items outside the {n} rows and {m} columns of the cost")
    return torch.unique(pairs.long(), dim=0)


def _remainder(weights: Tensor, left: Tensor) -> Tensor:
    """What is left of weights, with rounding dust set to 0."""
    return torch.where(left > 1e-6 * weights, left, torch.zeros_like(left))
