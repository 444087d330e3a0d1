"""Log-mel bands: how loud a sound is, by pitch and time. And how long sounds are cut into windows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-10
"""Least power of a band, relative to a full-scale sine: silence is log10(FLOOR) = -10."""

FRAMES = 4096
"""Frames that are transformed at a time; bounds the memory that long sounds need."""


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


def log_mel(
    samples: Tensor, rate: int = 16000, bands: int = 64, window: float = 0.025, hop: float = 0.010, level: bool = True
) -> Tensor:
    """Log-mel bands of a sound.

        L[t, b] = log10 max(FLOOR, sum_k filter[b, k] |X[t, k]|^2),  X = STFT(hann x) 2 / sqrt(1024 sum hann^2)

    The powers of a full-scale sine add up to 1 (0 bel); silence is -10 in every band. Nothing is padded but a sound
    shorter than one window, which gets zeros at its end: one frame. Samples after the last whole window are left out.

    Args:
        samples: (n,) float. rate: in Hz. bands: number of them. window, hop: seconds (Hann; spectrum of 1024 points
            at 16 kHz).
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
    x = samples.float()
    if not level:
        rms = x.double().square().mean().sqrt().item() if len(x) else 0.0
        x = x / rms if rms > 1e-9 else x
    size, step = round(window * rate), round(hop * rate)
    points = 1 << math.ceil(math.log2(size) + 1)
    x = F.pad(x, (0, max(0, size - len(x))))
    hann = torch.hann_window(size)
    filters = mel_filters(bands, points // 2 + 1, rate, 50.0, min(8000.0, rate / 2)).T
    scale = 4.0 / (points * float(hann.square().sum()))
    frames = x.unfold(0, size, step)
    parts = []
    for some in frames.split(FRAMES):
        power = torch.fft.rfft(some * hann, n=points).abs().square() * scale
        parts.append((power @ filters).clamp(min=FLOOR).log10())
    return torch.cat(parts)


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
    quantiles = torch.from_numpy(np.quantile(bands.numpy(), [0.1, 0.5, 0.9], axis=0)).float()
    change = bands.diff(dim=0).abs().mean(0) if len(bands) > 1 else torch.zeros(bands.shape[1])
    return torch.cat([bands.mean(0), bands.std(0, correction=0), *quantiles, change])


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
