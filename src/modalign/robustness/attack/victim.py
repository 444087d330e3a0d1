"""What is attacked: the way from an input that an attacker may change to the shared space, with gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ModalignError
from ...features.encoders.audio import RATE, LogMel, LogMelCNN
from ...features.encoders.image import MEAN, SCALE, EfficientNetLite0
from ...features.encoders.mel_cnn import SHORTEST, Bands
from ...features.encoders.melbands import FLOOR, log_mel, windows
from ...model import Heads


@dataclass(frozen=True)
class Victim:
    """Inputs of one modality -> unit rows in the shared space.

    Args:
        space: of the input: "embedding" (no encoder or head is attacked: what a bound on the embedding allows),
            "features" (through the head), "pixels" or "waveform" (through the encoder and the head).
        network: (n, ...) -> (n, d), differentiable.
        modules: whose state must be as it was after an attack.
        low, high: of the input.
        grid: steps of the input as it is stored (255 for 8-bit pixels); 0: none.
    """

    space: str
    network: Callable[[Tensor], Tensor]
    modules: tuple[nn.Module, ...] = ()
    low: float | None = None
    high: float | None = None
    grid: int = 0

    def embed(self, x: Tensor, batch: int = 64) -> Tensor:
        """(n, d) float32 unit rows, without gradient."""
        from .threat import untouched

        with untouched(*self.modules), torch.no_grad():
            parts = [F.normalize(self.network(part).float(), dim=1) for part in x.split(batch)]
        return torch.cat(parts) if parts else torch.empty(0, 0)


def embedding() -> Victim:
    """The shared space itself: an attack on stored embeddings, and a bound for attacks through encoders."""
    return Victim("embedding", lambda x: x)


def features(heads: Heads, modality: str) -> Victim:
    """Features of a modality, through its head."""
    head = heads[modality]
    return Victim("features", head, (head,))


def raw(encoder: Any, heads: Heads, modality: str) -> Victim:
    """Pixels or waveforms, through a torch encoder and the head.

    Raises:
        ModalignError: the encoder has no differentiable form.
    """
    network = differentiable(encoder)
    head = heads[modality]
    if isinstance(encoder, EfficientNetLite0):
        return Victim("pixels", lambda x: head(network(x)), (network, head), 0.0, 1.0, 255)
    return Victim("waveform", lambda x: head(network(x)), (network, head), -1.0, 1.0)


def differentiable(encoder: Any) -> nn.Module:
    """A torch module that maps raw inputs to the encoder's features, with gradient.

    "efficientnet-lite0": (n, 3, h, w) pixels in [0, 1]; other sizes than 224 x 224 are cropped to their middle square
    and resized. "logmel", "logmel-cnn": (n, t) samples in [-1, 1] at 16 kHz.

    Raises:
        ModalignError: another encoder.
    """
    if isinstance(encoder, EfficientNetLite0):
        return Pixels(encoder)
    if isinstance(encoder, LogMel):
        return Statistics(encoder)
    if isinstance(encoder, LogMelCNN):
        return Sounds(encoder)
    raise ModalignError(
        f"{type(encoder).__name__} has no differentiable form: attack its features or embeddings "
        "(with gradient: efficientnet-lite0, logmel, logmel-cnn)"
    )


class Pixels(nn.Module):
    """EfficientNet-Lite0 as its encoder runs it, from pixels in [0, 1]; plain torch, in float32."""

    def __init__(self, encoder: EfficientNetLite0) -> None:
        super().__init__()
        self.net = encoder.trainable().eval()
        self.pixels = encoder.pixels

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) in [0, 1] -> (n, 1280)."""
        side = min(x.shape[-2:])
        if tuple(x.shape[-2:]) != (self.pixels, self.pixels):
            top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
            x = x[..., top : top + side, left : left + side]
            x = F.interpolate(x, (self.pixels, self.pixels), mode="bicubic", antialias=True).clamp(0.0, 1.0)
        return self.net((x * 255.0 - MEAN) / SCALE)


class Statistics(nn.Module):
    """Log-mel statistics, with gradient."""

    def __init__(self, encoder: LogMel) -> None:
        super().__init__()
        self.bands, self.gain = encoder.bands, encoder.gain

    def forward(self, x: Tensor) -> Tensor:
        """(n, t) in [-1, 1] -> (n, 6 bands)."""
        return torch.stack([self.one(samples) for samples in x])

    def one(self, samples: Tensor) -> Tensor:
        """(t,) -> (6 bands,)."""
        bands = log_mel(levelled(samples, self.gain), RATE, self.bands)
        points = torch.quantile(bands, bands.new_tensor([0.1, 0.5, 0.9]), dim=0)
        deviation = (bands - bands.mean(0)).square().mean(0).clamp(min=1e-20).sqrt()
        change = bands.diff(dim=0).abs().mean(0) if len(bands) > 1 else torch.zeros_like(deviation)
        return torch.cat([bands.mean(0), deviation, *points, change])


class Sounds(nn.Module):
    """The small log-mel network, from samples."""

    def __init__(self, encoder: LogMelCNN) -> None:
        super().__init__()
        self.net, self.gain, self.frames = encoder.net, encoder.gain, encoder.frames

    def forward(self, x: Tensor) -> Tensor:
        """(n, t) in [-1, 1] -> (n, dim)."""
        parts, owner = [], []
        for number, samples in enumerate(x):
            bands = log_mel(levelled(samples, self.gain), RATE, self.net.shape["bands"])
            silence = torch.tensor(FLOOR).log10().item()
            bands = F.pad(bands, (0, 0, 0, max(0, SHORTEST - len(bands))), value=silence)
            cuts = windows(len(bands), self.frames)
            parts += [bands[a:b] for a, b in cuts]
            owner += [number] * len(cuts)
        length = torch.tensor([len(p) for p in parts])
        return self.net(Bands(nn.utils.rnn.pad_sequence(parts, batch_first=True), length, torch.tensor(owner)))


def levelled(samples: Tensor, gain: str) -> Tensor:
    """Samples as they are, or divided by their root mean square (silence stays), with gradient."""
    rms = samples.square().mean().clamp(min=1e-18).sqrt()
    return samples / rms if gain == "remove" and float(rms.detach()) > 1.1e-9 else samples
