"""What the similarities share: the check of their sets, and what shuffled pairs would score."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Count, Level, Seed, checked

CELLS = 1 << 24  # numbers held at once
LEAST_UNBIASED = 4  # the unbiased estimate divides by n (n - 3)


def check(x: Tensor, y: Tensor, least: int, what: str) -> None:
    """Refuse sets whose rows cannot be the same items, or that have fewer than ``least`` rows."""
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or not x.shape[1] * y.shape[1]:
        raise ModalignError(
            f"two sets with one row per shared item are needed, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if len(x) < least:
        raise ModalignError(f"{what} needs at least {least} items, got {len(x)}")
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ModalignError("the sets have NaN or infinite values: remove these rows first")


@checked
def calibrate(value: float, null: Tensor, maximum: float = 1.0, alpha: Level = 0.05) -> float:
    """A similarity above what shuffled pairs reach: 0 at the null's (1 - alpha) quantile, 1 at the maximum.

    max(0, (s - q) / (max - q)), q = the (1 - alpha) quantile of ``null``.

    Args:
        value: the measured similarity s.
        null: (p,) its values on shuffled pairs, as from ``permuted``.
        maximum: what identical sets would reach.
        alpha: level of the test, in (0, 1).

    Example:
        >>> round(calibrate(0.6, torch.full((20,), 0.2)), 6), calibrate(0.1, torch.full((20,), 0.2))
        (0.5, 0.0)
    """
    if not null.numel():
        raise ModalignError("null holds no value: take it from permuted")
    edge = float(torch.quantile(null.double(), 1.0 - alpha))
    return 0.0 if value <= edge or maximum <= edge else (value - edge) / (maximum - edge)


@checked
def permuted(
    measure: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, times: Count = 20, seed: Seed = 0
) -> Tensor:
    """(times,) values of a similarity when the rows of y are shuffled: its null distribution.

    Example:
        >>> permuted(lambda a, b: float((a * b).mean()), torch.ones(4, 1), torch.ones(4, 1), times=2).tolist()
        [1.0, 1.0]
    """
    generator = torch.Generator().manual_seed(seed)
    values = [measure(x, y[torch.randperm(len(y), generator=generator).to(y.device)]) for _ in range(times)]
    return torch.tensor(values, dtype=torch.float64)
