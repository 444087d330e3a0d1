"""Gradient ascent within a threat: PGD and APGD, item by item.

References: PGD: Madry et al. 2018, arXiv 1706.06083; APGD: Croce & Hein 2020, arXiv 2003.01690, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ...errors import ModalignError, check_known
from .threat import Threat

METHODS = ("pgd", "apgd")
MOMENTUM = 0.75
ENOUGH = 0.75
"""Share of improving steps below which APGD halves its step."""


class Loss(Protocol):
    """(x (b, ...), rows (b,) of the items) -> (b,) to be raised, each from its own item alone."""

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor: ...


def ascend(
    loss: Loss,
    x0: Tensor,
    threat: Threat,
    method: str = "apgd",
    steps: int = 20,
    restarts: int = 1,
    batch: int = 256,
    seed: int = 0,
) -> Tensor:
    """Raise the loss of every item as far as the threat allows; the best point seen is kept.

    The untouched input is a candidate too, so no item ends below where it began. The first start of APGD and PGD is the
    input itself, further restarts begin at random points of the ball.

    Args:
        loss: see ``Loss``. x0: (n, ...) inputs within the box of the threat. method: "pgd" or "apgd".
        steps: gradients per restart. restarts: at least 1. batch: items at once. seed: of the random starts.

    Returns:
        (n, ...) float of x0's dtype, within the threat exactly.

    Raises:
        ModalignError: unknown method, or numbers below 1.

    Example:
        >>> x = ascend(lambda x, rows: x.sum(1), torch.zeros(1, 4), Threat("l2", 1.0), steps=5)
        >>> [round(v, 4) for v in x[0].tolist()]
        [0.5, 0.5, 0.5, 0.5]
    """
    check_known("attack method", method, METHODS)
    if min(steps, restarts, batch) < 1:
        raise ModalignError(f"steps, restarts and batch must be at least 1, got {steps}, {restarts}, {batch}")
    climb = _apgd if method == "apgd" else _pgd
    out = x0.detach().clone()
    for rows in torch.arange(len(x0)).split(batch):
        start = x0[rows].detach()
        with torch.no_grad():
            best, top = start.clone(), loss(start, rows)
        for k in range(restarts if threat.epsilon > 0 else 0):
            first = start if k == 0 else threat.random(start, seed + k)
            found = threat.exact(start, climb(partial(loss, rows=rows), start, first, threat, steps))
            with torch.no_grad():
                value = loss(found, rows)
            better = value > top
            best[better], top[better] = found[better], value[better]
        out[rows] = best
    return out


def _gradient(loss: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient of each item."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = loss(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def _pgd(loss: Callable[[Tensor], Tensor], x0: Tensor, x: Tensor, threat: Threat, steps: int) -> Tensor:
    """Steps of 2.5 epsilon / steps; the best iterate."""
    best, top = x, torch.full((len(x),), -torch.inf)
    size = 2.5 * threat.epsilon / steps
    for _ in range(steps):
        value, gradient = _gradient(loss, x)
        best, top = _keep(x, value, best, top)
        x = threat.project(x0, x + size * threat.ascent(gradient))
    with torch.no_grad():
        return _keep(x, loss(x), best, top)[0]


def _apgd(loss: Callable[[Tensor], Tensor], x0: Tensor, x: Tensor, threat: Threat, steps: int) -> Tensor:
    """Momentum steps whose size is halved, back at the best point, where an interval brought too few improvements."""
    shape = (-1, *[1] * (x.dim() - 1))
    size = torch.full((len(x),), 2.0 * threat.epsilon).to(x)
    value, gradient = _gradient(loss, x)
    best, top, slope = x, value, gradient
    before = x
    gains = torch.zeros(len(x))
    size_then, top_then = size.clone(), top.clone()
    marks = _checkpoints(steps)
    last = 0
    for k in range(1, steps):
        ahead = threat.project(x0, x + size.view(shape) * threat.ascent(gradient))
        if k > 1:
            ahead = threat.project(x0, x + MOMENTUM * (ahead - x) + (1 - MOMENTUM) * (x - before))
        before, x, old = x, ahead, value
        value, gradient = _gradient(loss, x)
        gains += value > old
        better = value > top
        best = torch.where(better.view(shape), x, best)
        slope = torch.where(better.view(shape), gradient, slope)
        top = torch.where(better, value, top)
        if k in marks:
            stuck = (gains < ENOUGH * (k - last)) | ((size == size_then) & (top == top_then))
            size_then, top_then = size.clone(), top.clone()
            size = torch.where(stuck, size / 2, size)
            x = torch.where(stuck.view(shape), best, x)
            before = torch.where(stuck.view(shape), best, before)
            gradient = torch.where(stuck.view(shape), slope, gradient)
            value = torch.where(stuck, top, value)
            gains, last = torch.zeros(len(x)), k
    return best


def _checkpoints(steps: int) -> set[int]:
    """Steps at which APGD looks back: 22 % of all, then at shrinking distances, at least 6 % apart."""
    shares, gap = [0.0, 0.22], 0.22
    while shares[-1] < 1.0:
        gap = max(gap - 0.03, 0.06)
        shares.append(shares[-1] + gap)
    return {math.ceil(s * steps) for s in shares[1:]}


def _keep(x: Tensor, value: Tensor, best: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    better = value > top
    return torch.where(better.view(-1, *[1] * (x.dim() - 1)), x, best), torch.where(better, value, top)
