"""Frames of a sound that arrives block by block, and from many vectors over time to one."""

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


def part_means(frames: Tensor, parts: int) -> Tensor:
    """Means of equal parts of time, one after the other.

        m_p = sum_t w_pt x_t / sum_t w_pt,   w_pt = length of [t, t + 1] within [p T / P, (p + 1) T / P]

    Borders are fractional, so there may be fewer frames than parts. One part: the plain mean.

    Args:
        frames: (T, d), T at least 1. parts: P.

    Returns:
        (P d,) float32.

    Example:
        >>> part_means(torch.tensor([[1.0], [2.0], [6.0]]), 2)
        tensor([1.3333, 4.6667])
    """
    count = len(frames)
    if parts == 1:
        return frames.mean(0)
    share = shares(torch.tensor([count]), count, parts)[0].to(frames.dtype)
    return (share @ frames * (parts / count)).flatten()


def shares(length: Tensor, count: int, parts: int) -> Tensor:
    """How much of each frame lies within each equal part of time.

        w_pt = length of [t, t + 1] within [p T / P, (p + 1) T / P]

    Args:
        length: (n,) frames that each item has, T. count: frames of the longest. parts: P.

    Returns:
        (n, P, count) float64; 0 from T on.

    Example:
        >>> shares(torch.tensor([3, 2]), 3, 2)
        tensor([[[1.0000, 0.5000, 0.0000],
                 [0.0000, 0.5000, 1.0000]],
        <BLANKLINE>
                [[1.0000, 0.0000, 0.0000],
                 [0.0000, 1.0000, 0.0000]]], dtype=torch.float64)
    """
    edges = torch.arange(parts + 1, dtype=torch.float64, device=length.device) * length[:, None] / parts
    t = torch.arange(count, dtype=torch.float64, device=length.device)
    return (torch.minimum(edges[:, 1:, None], t + 1) - torch.maximum(edges[:, :-1, None], t)).clamp(min=0)


def spread(frames: Tensor) -> Tensor:
    """Mean, standard deviation and largest value over time: (T, d) -> (3 d,).

    Example:
        >>> spread(torch.tensor([[0.0], [2.0]]))
        tensor([1., 1., 2.])
    """
    return torch.cat([frames.mean(0), frames.std(0, correction=0), frames.amax(0)])
