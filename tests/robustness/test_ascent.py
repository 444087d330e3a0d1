"""APGD against a slow transcription of its published algorithm, one item at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from modalign.robustness.attack.ascent import ascend
from modalign.robustness.attack.threat import Threat

EPSILON = 0.8


def loss(x: Tensor, rows: Tensor) -> Tensor:
    """Hills and valleys, other ones for every item."""
    return torch.sin(3 * x + rows[:, None]).sum(1) + torch.cos(5 * x[:, 0] * x[:, 1])


def value_and_slope(x: np.ndarray, row: int) -> tuple[float, np.ndarray]:
    a, b = 3 * np.cos(3 * x + row), -5 * math.sin(5 * x[0] * x[1])
    a[0], a[1] = a[0] + b * x[1], a[1] + b * x[0]
    return float(np.sin(3 * x + row).sum() + math.cos(5 * x[0] * x[1])), a


def looks_back(steps: int) -> set[int]:
    """p_0 = 0, p_1 = .22, p_{j+1} = p_j + max(p_j - p_{j-1} - .03, .06); at ceil(p_j steps)."""
    p = [0.0, 0.22]
    while p[-1] < 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    return {math.ceil(v * steps) for v in p[1:]}


def apgd(x0: np.ndarray, steps: int, norm: str, step: Callable[[np.ndarray], np.ndarray], row: int) -> np.ndarray:
    """Algorithm 1 of Croce and Hein: momentum .75, steps halved after less than three quarters of improvements."""

    def onto(x: np.ndarray) -> np.ndarray:
        d = x - x0
        return x0 + (np.clip(d, -EPSILON, EPSILON) if norm == "linf" else d * min(1, EPSILON / np.linalg.norm(d)))

    size, before, x = 2 * EPSILON, x0, x0
    value, slope = value_and_slope(x0, row)
    best, top, its_slope = x0, value, slope
    improved, last, size_then, top_then = 0, 0, size, top
    for k in range(1, steps):
        z = onto(x + size * step(slope))
        new = z if k == 1 else onto(x + 0.75 * (z - x) + 0.25 * (x - before))
        before, x, old = x, new, value
        value, slope = value_and_slope(x, row)
        improved += value > old
        if value > top:
            best, top, its_slope = x, value, slope
        if k in looks_back(steps):
            few = improved < 0.75 * (k - last)
            stale = size == size_then and top == top_then
            size_then, top_then, improved, last = size, top, 0, k
            if few or stale:
                size, x, before, value, slope = size / 2, best, best, top, its_slope
    return best


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("steps", [2, 3, 9, 25, 60])
def test_apgd_goes_the_way_of_the_published_algorithm(norm: str, steps: int) -> None:
    x0 = torch.randn(12, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = np.sign if norm == "linf" else (lambda g: g / np.linalg.norm(g))
    found = ascend(loss, x0, Threat(norm, EPSILON), "apgd", steps)
    expected = np.stack([apgd(x.numpy(), steps, norm, step, row) for row, x in enumerate(x0)])
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
