"""From many vectors over time to one: means of equal parts of time, and statistics over all of it."""

from __future__ import annotations

import torch
from torch import Tensor


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
