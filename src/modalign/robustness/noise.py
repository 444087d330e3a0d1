"""Noise on features and embeddings, at a set ratio to the signal or a set radius; the same draws at every level."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ModalignError

RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Noise over signal, as standard deviations: no noise, then 12, 6, 2.5, 0, -3.5 and -6 dB."""


def add_noise(x: Tensor, ratio: float, reference: Tensor | None = None, seed: int = 0) -> Tensor:
    """Features with Gaussian noise: x + ratio * sigma * e, sigma^2 = mean variance of the features.

    Args:
        x: (n, d). ratio: noise over signal, >= 0; see ``decibels``.
        reference: (m, d) rows that give sigma; default x.
        seed: of e, which does not depend on the ratio.

    Raises:
        ModalignError: a negative ratio.

    Example:
        >>> x = torch.randn(500, 20, generator=torch.Generator().manual_seed(1))
        >>> round(float((add_noise(x, 0.5) - x).std()), 2)
        0.5
    """
    if not ratio >= 0:
        raise ModalignError(f"a ratio of noise to signal must not be negative, got {ratio}")
    e = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(x)
    known = (x if reference is None else reference).float()
    return x + ratio * float(known.var(0, correction=0).mean().sqrt()) * e


def decibels(ratio: float) -> float:
    """Signal-to-noise ratio of a ratio of standard deviations, in dB.

    Example:
        >>> decibels(1.0), round(decibels(0.5), 2)
        (0.0, 6.02)
    """
    return math.inf if ratio == 0 else -20.0 * math.log10(ratio) + 0.0
