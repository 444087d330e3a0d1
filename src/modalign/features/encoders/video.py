"""Video encoders: frames through any image encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...data import media
from ...data.manifest import Row
from ...errors import ModalignError
from ...parameters import Count, Number
from ...registry import make, register
from .base import FrozenEncoder, Item, credits_of
from .weights import Credit

VERSION = 1
SHARPNESS = 0.1
"""Temperature of attention pooling, in cosines."""

Pooling = Literal["mean", "max", "attention"]


@register("encoder", "frames")
class FrameEncoder(FrozenEncoder):
    """Videos -> pooled features of frames at even steps in time, through any registered image encoder.

        f = pool(g(frame at t_1), ..., g(frame at t_n)),  t_i = a + (i - 1/2) (b - a) / n

    a to b is the whole video, or the row's window (start, end). Pooling: "mean", "max", or "attention": the mean with
    weights softmax_i(cos(g_i, mean g) / .1), by which frames unlike all others (cuts, title cards) count less.

    Args:
        image: name of an image encoder, or a table of its name and settings.
        frames: n. A shorter video shows some of them several times.
        pooling: see above.
        parts: pooled features of that many equal parts of time, one after the other; at most ``frames``.
        substitutes: frames of a video that may be replaced by the nearest good one because they cannot be decoded;
            beyond that the video is an error.

    Raises:
        MissingExtraError: PyAV is not installed, or what the image encoder needs.
        ModalignError: no such encoder, or not one for images.
    """

    modality = "video"
    batch_size = 2

    def __init__(
        self,
        image: str | dict[str, Any] = "efficientnet-lite0",
        frames: Count = 8,
        pooling: Pooling = "mean",
        substitutes: Number = 0,
        parts: Count = 1,
    ) -> None:
        if parts > frames:
            raise ModalignError(f"{frames} frames cannot be cut into {parts} parts")
        settings = {"name": image} if isinstance(image, str) else dict(image)
        self.image = make("encoder", **settings)
        if self.image.modality != "image":
            raise ModalignError(f"frames need an image encoder, and '{settings['name']}' is for {self.image.modality}")
        self.frames = frames
        self.pooling = pooling
        self.substitutes = substitutes
        self.parts = parts
        self.dim = parts * self.image.dim
        self.parallel = bool(getattr(self.image, "parallel", False))

    def description(self) -> dict[str, Any]:
        """Decoding, sampling, the image encoder, pooling, version of this code."""
        return {
            "encoder": "frames",
            "version": VERSION,
            "decoding": media.video_versions(),
            "image": self.image.fingerprint(),
            "frames": self.frames,
            "pooling": self.pooling,
            "substitutes": self.substitutes,
            **({"parts": self.parts} if self.parts > 1 else {}),
        }

    def credits(self) -> tuple[Credit, ...]:
        """Those of the image encoder."""
        return credits_of(self.image)

    def collate(self, items: Sequence[Item]) -> list[Any]:
        """Decode frames. Returns batches of the image encoder, the frames of each video in a row."""
        size = getattr(self.image, "batch_size", 8)
        waiting: list[Image.Image] = []
        batches: list[Any] = []
        for item in items:  # pictures are made small at once: few large ones are held at any time
            waiting += look(item, self.frames, self.substitutes)
            while len(waiting) >= size:
                batches.append(self.image.collate(waiting[:size]))
                waiting = waiting[size:]
        return [*batches, self.image.collate(waiting)] if waiting else batches

    def __call__(self, batch: Sequence[Any]) -> Tensor:
        """(n, dim) float32 features."""
        if not batch:
            return torch.empty(0, self.dim)
        features = torch.cat([self.image(part).float() for part in batch])
        x = features.view(-1, self.frames, self.image.dim)
        cuts = [(p * self.frames // self.parts, -(-(p + 1) * self.frames // self.parts)) for p in range(self.parts)]
        return torch.cat([pool_frames(x[:, a:b], self.pooling) for a, b in cuts], 1)


def pool_frames(x: Tensor, pooling: Pooling) -> Tensor:
    """(n, frames, d) -> (n, d); see ``FrameEncoder``.

    Example:
        >>> pool_frames(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), "max")
        tensor([[1., 1.]])
    """
    if pooling == "max":
        return x.amax(1)
    mean = x.mean(1)
    if pooling == "mean":
        return mean
    weight = (F.cosine_similarity(x, mean[:, None], dim=2) / SHARPNESS).softmax(1)
    return (weight[..., None] * x).sum(1)


def look(item: Item, frames: int, substitutes: int = 0) -> list[Image.Image]:
    """Frames of an item: a row's file between its times, or a path or bytes.

    Raises:
        ModalignError: see ``media.sample_frames``; or a row that holds words.
    """
    if not isinstance(item, Row):
        return media.load_frames(item, frames, substitutes=substitutes)
    if item.uri is None:
        raise ModalignError(f"a video encoder got words, not a video: {item.name}")
    return media.load_frames(item.uri, frames, item.start, item.end, substitutes)
