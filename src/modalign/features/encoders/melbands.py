"""Log-mel bands: how loud a sound is, by pitch and time. And how long sounds are cut into windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .framing import framed, gathered

FLOOR = 1e-10
"""Least power of a band, relative to a full-scale sine: silence is log10(FLOOR) = -10."""

CELLS = 1 << 22
"""Values that are ordered at a time, about eleven minutes of 64 bands; bounds the memory that long sounds need."""


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept is an ordinary tensor, whatever mode the first caller is in
def mel_filters(bands: int = 64, bins: int = 513, rate: int = 16000, low: float = 50.0, high: float = 8000.0) -> Tensor:
    """Triangles, evenly spaced and of equal width on the mel scale, with peak 1.

        mel(f) = 2595 log10(1 + f / 700)

    Args:
        bands: number of triangles. bins: of the spectrum, 0 to rate / 2. low, high: ends of the range, in Hz.

    Returns:
        (bands, bins) float32, at least 0.

    Reference:
        S. S. Stevens, J. Volkmann, E. B. Newman, 1937. A scale for the measurement of the psychological magnitude
        pitch; the formula is that of D. O'Shaughnessy, 1987, Speech communication.

    Example:
        >>> mel_filters(4, 513).argmax(1).tolist()  # bins of rising distance
        [34, 83, 164, 296]
    """

    def mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    marks = torch.linspace(mel(low), mel(high), bands + 2, dtype=torch.float64)
    hertz = 700.0 * (10.0 ** (marks / 2595.0) - 1.0)
    f = torch.linspace(0.0, rate / 2, bins, dtype=torch.float64)
    rising = (f - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    falling = (hertz[2:, None] - f) / (hertz[2:] - hertz[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0.0).float()


def log_mel(samples: Tensor | Iterable[Tensor], rate: int = 16000, bands: int = 64, level: bool = True) -> Tensor:
    """Log-mel bands of a sound.

        L[t, b] = log10 max(FLOOR, sum_k filter[b, k] |X[t, k]|^2),  X = STFT(hann x) 2 / sqrt(1024 sum hann^2)

    The powers of a full-scale sine add up to 1 (0 bel); silence is -10 in every band. Nothing is padded but a sound
    shorter than one window, which gets zeros at its end: one frame. Samples after the last whole window are left out.

    Args:
        samples: (n,) float, or such blocks of a sound one after the other, which need not be in memory together.
        rate: in Hz. bands: number of them. Windows (Hann) of 25 ms every 10 ms; a spectrum of 1024 points at 16 kHz.
        level: keep the loudness; False: divide by the root mean square first (silence stays), so that a gain changes
            nothing.

    Returns:
        (t, bands) float32, t = 1 + (n - window) // hop, at least 1.

    Example:
        >>> tone = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
        >>> bands = log_mel(tone)
        >>> bands.shape, bool((bands.argmax(1) == bands[0].argmax()).all())
        (torch.Size([98, 64]), True)
    """
    blocks = [samples] if isinstance(samples, Tensor) else samples
    if not level:
        x = torch.cat([block.float() for block in blocks])
        rms = x.double().square().mean().sqrt().item() if len(x) else 0.0
        blocks = [x / rms if rms > 1e-9 else x]
    size, step = round(0.025 * rate), round(0.010 * rate)
    points = 1 << math.ceil(math.log2(size) + 1)
    hann = torch.hann_window(size)
    filters = mel_filters(bands, points // 2 + 1, rate, 50.0, min(8000.0, rate / 2)).T
    scale = 4.0 / (points * float(hann.square().sum()))

    def loudness(frames: Tensor) -> Tensor:
        power = torch.fft.rfft(frames * hann, n=points).abs().square() * scale
        return (power @ filters).clamp(min=FLOOR).log10()

    frames = framed((b.float() for b in blocks), size, step, 0, lambda n: max(1, 1 + (n - size) // step))
    return gathered(loudness(some) for some in frames)


def statistics(bands: Tensor) -> Tensor:
    """What a sound is like, whatever its length: statistics of each band over time.

        mean, standard deviation, 10th, 50th and 90th percentile, mean |L[t + 1] - L[t]|

    Args:
        bands: (t, b), t at least 1.

    Returns:
        (6 b,) float32; finite, also for one frame and for silence (deviations and changes are then 0).

    Example:
        >>> statistics(torch.tensor([[0.0], [2.0]]))
        tensor([1.0000, 1.0000, 0.2000, 1.0000, 1.8000, 2.0000])
    """
    some = bands.split(max(1, CELLS // len(bands)), dim=1)
    quantiles = np.concatenate([np.quantile(b.numpy(), [0.1, 0.5, 0.9], axis=0) for b in some], axis=1)
    change = [b.diff(dim=0).abs().mean(0) if len(b) > 1 else torch.zeros(b.shape[1]) for b in some]
    return torch.cat([bands.mean(0), bands.std(0, correction=0), *torch.from_numpy(quantiles).float(), *change])


def windows(length: int, size: int) -> list[tuple[int, int]]:
    """Cut a length into as few windows of one size as cover it, evenly spaced, the last ending at the end.

    Example:
        >>> windows(25, 10), windows(7, 10)
        ([(0, 10), (8, 18), (15, 25)], [(0, 7)])
    """
    if length <= size:
        return [(0, length)]
    count = math.ceil(length / size)
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    return [(start, start + size) for start in starts]
