"""Windows of sounds, and channels: what all readers of sound share."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...errors import ModalignError

CANCELLED = 1e-4
"""Share of the channels' energy, -40 dB, below which their mean is silence."""

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


class Mono:
    """(t, channels) -> (t,) float32, the mean of the channels, block by block.

    Args:
        name: of the sound, for the message.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard = self.kept = 0.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """One block."""
        mixed = _mean(x)
        if x.shape[1] > 1:
            self.heard += float(np.einsum("tc,tc->", x, x, dtype=np.float64)) / x.shape[1]
            self.kept += float(np.dot(mixed, mixed))
        return mixed

    def finish(self) -> None:
        """Refuse a sound whose channels cancel each other, as where one is the other upside down.

        Raises:
            ModalignError: next to nothing is left of what the channels hold.
        """
        if self.heard > 0 and self.kept < CANCELLED * self.heard:
            raise ModalignError(
                f"the channels cancel each other, so that silence is left: {self.name} (keep one of them)"
            )


def _mean(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.mean(1, dtype=np.float32) if x.shape[1] > 1 else x[:, 0], dtype=np.float32)
