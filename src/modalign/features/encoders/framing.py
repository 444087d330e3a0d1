"""Frames of a sound that arrives block by block: what a spectrogram is made of, without holding the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

FRAMES = 1024
"""Frames that are given out at a time, at most; bounds the memory that long sounds need."""


def framed(blocks: Iterable[Tensor], size: int, hop: int, front: int, count: Callable[[int], int]) -> Iterator[Tensor]:
    """Cut a sound into overlapping frames.

    Args:
        blocks: (t,) float32 each, one after the other. size, hop: of the frames, in samples, hop at most size.
        front: zeros before the sound.
        count: samples of the sound -> number of frames; the end is filled with zeros to that number.

    Yields:
        (k, size) float32, k at most ``FRAMES``.

    Example:
        >>> [f.tolist() for f in framed([torch.arange(1.0, 5.0)], 2, 2, 1, lambda n: 3)]
        [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 0.0]]]
    """
    rest = torch.zeros(front)
    samples = done = 0
    for block in blocks:
        samples += len(block)
        rest = torch.cat([rest, block])
        ready = max(0, (len(rest) - size) // hop + 1)
        for first in range(0, ready, FRAMES):
            some = min(FRAMES, ready - first)
            done += some
            yield rest[first * hop : (first + some - 1) * hop + size].unfold(0, size, hop)
        rest = rest[ready * hop :]
    while (lacking := count(samples) - done) > 0:
        some = min(FRAMES, lacking)
        need = (some - 1) * hop + size
        yield F.pad(rest[:need], (0, max(0, need - len(rest)))).unfold(0, size, hop)
        rest = rest[some * hop :]
        done += some


def gathered(parts: Iterable[Tensor]) -> Tensor:
    """``torch.cat`` of parts that come one by one. Kept apart, small ones among large temporaries hold on to memory.

    Args:
        parts: (k, d) each, at least one.

    Example:
        >>> gathered(torch.full((k, 1), float(k)) for k in (1, 2)).T
        tensor([[1., 2., 2.]])
    """
    held, count = torch.empty(0), 0
    for part in parts:
        need = count + len(part)
        if need > len(held):
            grown = part.new_empty(max(2 * count, need), *part.shape[1:])
            if count:
                grown[:count] = held[:count]
            held = grown
        held[count:need] = part
        count = need
    return held[:count]
