"""Audio encoders: sounds -> vectors. Log-mel statistics, which need no weights, and a small network to be trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import media
from ...data.manifest import Row
from ...errors import ModalignError
from ...parameters import Count, Dim, Range, Seed
from ...registry import register
from .base import FrozenEncoder, Item, file_hash, frozen, loading
from .framing import part_means
from .mel_cnn import SHORTEST, Bands, MelCNN
from .melbands import FLOOR, log_mel, statistics, windows

VERSION = 1
RATE = 16000

Gain = Literal["keep", "remove"]


@register("encoder", "logmel")
class LogMel(FrozenEncoder):
    """Sounds -> 384 log-mel statistics; no weights, any length.

        f = [mean, std, 10th, 50th, 90th percentile over time, mean |change|] of L[t, b],
        L = log10 of the power in 64 mel bands of 50 to 8000 Hz, 25 ms windows every 10 ms (``melbands.log_mel``)

    The whole sound counts, whatever its length; one shorter than a window is filled up with zeros. Silence is finite.
    Statistics do not know what comes first: with ``parts``, the means of L over equal parts of time stand beside them.

    Args:
        gain: "keep" the loudness, or "remove" it (divide by the root mean square): a gain then changes nothing.
        bands: mel bands; the feature has six times as many numbers.
        parts: means over that many equal parts of time beside the statistics, ``bands`` numbers each; 1: none.

    Raises:
        MissingExtraError: soundfile or soxr is not installed.
    """

    modality = "audio"
    parallel = True
    typical = (-5.0, 1.5)

    def __init__(self, gain: Gain = "keep", bands: Count = 64, parts: Count = 1) -> None:
        self.gain = gain
        self.bands = bands
        self.parts = parts
        self.dim = 6 * bands + (parts * bands if parts > 1 else 0)

    def description(self) -> dict[str, Any]:
        """Decoding, bands, gain, parts, version of this code."""
        return {
            "encoder": "logmel",
            "version": VERSION,
            "decoding": media.sound_versions(),
            "rate": RATE,
            "bands": self.bands,
            "gain": self.gain,
            **({"parts": self.parts} if self.parts > 1 else {}),
        }

    def collate(self, items: Sequence[Item]) -> list[Tensor]:
        """Decode sounds. Returns their bands, (t, bands) each."""
        return [log_mel(heard(i, RATE), RATE, self.bands, level=self.gain == "keep") for i in items]

    def __call__(self, batch: Sequence[Tensor]) -> Tensor:
        """(n, dim) float32 statistics."""
        return torch.stack([self._pooled(b) for b in batch]) if batch else torch.empty(0, self.dim)

    def _pooled(self, bands: Tensor) -> Tensor:
        whole = statistics(bands)
        return torch.cat([whole, part_means(bands, self.parts)]) if self.parts > 1 else whole


@register("encoder", "logmel-cnn")
class LogMelCNN(FrozenEncoder):
    """Sounds -> features of a small convolutional network on log-mel bands, which you train (``trainable``).

    Sounds longer than ``seconds`` are covered by windows of that length, evenly spaced, and their features averaged;
    nothing is drawn at random. Short ones are filled up with silence to 0.175 s.

    Args:
        weights: file that ``MelCNN.save`` wrote; None: random weights, drawn from ``seed``.
        gain: as in "logmel". seconds: longest window.
        width, dim: size of the network where there are no weights yet.
        parts: features of that many equal parts of time, one after the other, ``dim`` numbers each.

    Raises:
        MissingExtraError: soundfile or soxr is not installed.

    Example:
        >>> encoder = LogMelCNN(width=4, dim=8)
        >>> net = encoder.trainable()  # its parameters go to an optimiser, its calls into any loss
        >>> net(encoder.collate([(torch.zeros(8000).numpy(), 16000)])).shape
        torch.Size([1, 8])
    """

    modality = "audio"
    parallel = True

    def __init__(
        self,
        weights: str | None = None,
        gain: Gain = "keep",
        seconds: Annotated[float, Range(least=1)] = 30.0,
        width: Dim = 32,
        dim: Dim = 256,
        seed: Seed = 0,
        device: str = "cpu",
        parts: Count = 1,
    ) -> None:
        self.weights = weights
        self.gain = gain
        self.frames = round(seconds * 100)
        self.size = {"width": width, "dim": dim}
        self.seed = seed
        self.device = device
        self.parts = parts
        self.net = self.trainable()
        frozen(self.net)
        self.dim = parts * self.net.shape["dim"]

    def description(self) -> dict[str, Any]:
        """Decoding, weights or what they were drawn from, gain, windows, version of this code."""
        drawn = {**self.net.shape, "seed": self.seed}
        return {
            "encoder": "logmel-cnn",
            "version": VERSION,
            "decoding": media.sound_versions(),
            "weights": file_hash(self.weights) if self.weights else drawn,
            "gain": self.gain,
            "frames": self.frames,
            **({"parts": self.parts} if self.parts > 1 else {}),
        }

    def collate(self, items: Sequence[Item]) -> Bands:
        """Decode sounds into padded windows."""
        bands = self.net.shape["bands"]
        parts: list[Tensor] = []
        owner: list[int] = []
        for number, item in enumerate(items):
            sound = log_mel(heard(item, RATE), RATE, bands, level=self.gain == "keep")
            silence = torch.tensor(FLOOR).log10().item()
            sound = F.pad(sound, (0, 0, 0, max(0, SHORTEST - len(sound))), value=silence)
            cuts = windows(len(sound), self.frames)
            parts += [sound[a:b] for a, b in cuts]
            owner += [number] * len(cuts)
        length = torch.tensor([len(p) for p in parts], dtype=torch.long)
        values = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True) if parts else torch.empty(0, SHORTEST, bands)
        return Bands(values, length, torch.tensor(owner, dtype=torch.long))

    def __call__(self, batch: Bands) -> Tensor:
        """(n, dim) float32 features."""
        if not len(batch.item):
            return torch.empty(0, self.dim)
        with torch.inference_mode():
            return self.net(Bands(*(part.to(self.device) for part in batch)))

    def trainable(self) -> MelCNN:
        """A fresh network with these weights, to be trained on what ``collate`` returns."""
        if self.weights:
            return MelCNN.load(self.weights, self.parts).to(self.device)
        with loading(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return MelCNN(**self.size, parts=self.parts).to(self.device)


def hear(item: Item, rate: int) -> Tensor:
    """Samples of an item: a row's file between its times, or a path, bytes, or (samples, rate). (t,) float32.

    Raises:
        ModalignError: see ``media.load_sound``; or a row that holds words.
    """
    return torch.from_numpy(media.load_sound(*_place(item, rate))[0])


def heard(item: Item, rate: int) -> Iterator[Tensor]:
    """The samples of ``hear`` block by block, for sounds of any length."""
    for block in media.sound_blocks(*_place(item, rate)):
        yield torch.from_numpy(block)


def _place(item: Item, rate: int) -> tuple[Any, int, float | None, float | None]:
    """What a sound is decoded from: source, rate, start, end."""
    if not isinstance(item, Row):
        return item, rate, None, None
    if item.uri is None:
        raise ModalignError(f"an audio encoder got words, not a sound: {item.name}")
    return item.uri, rate, item.start, item.end
