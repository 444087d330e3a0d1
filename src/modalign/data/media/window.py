"""Windows of sounds, and channels: what all readers of sound share."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

LATE = 0.25
"""Seconds by which a sound may end before its header says, without being called truncated."""

Blocks = Iterator[np.ndarray]


def places(start: float, end: float, rate: int) -> tuple[int, int]:
    """A window in samples, at least one.

    Example:
        >>> places(0.5, 1.0, 8000)
        (4000, 8000)
    """
    return round(start * rate), max(round(start * rate) + 1, round(end * rate)) if math.isfinite(end) else 1 << 62


def mono(x: np.ndarray) -> np.ndarray:
    """(t, channels) -> (t,) float32, the mean of the channels."""
    return np.ascontiguousarray(x.mean(1, dtype=np.float32) if x.shape[1] > 1 else x[:, 0], dtype=np.float32)
