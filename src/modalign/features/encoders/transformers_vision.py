"""Encoders by transformers for pictures and videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...data import media
from ...errors import ModalignError
from ...parameters import Count, Number
from ...registry import register
from .base import Item, source
from .layers import cut
from .text import Precision
from .transformers_base import TokenPooling, TransformersEncoder, pool_tokens, projected, width_of
from .tuning import Tunable, Tuning, release
from .video import look

PILLOW = ("AutoImageProcessor", {"backend": "pil"})


@register("encoder", "hf-vision")
class TransformersVision(TransformersEncoder):
    """Pictures through a model of transformers (ViT, DINOv2, CLIP, SigLIP, Swin, ConvNeXt, ...), Pillow preprocessing.

    Features: of models of pictures and text (CLIP) the projected picture; else the class token where there is one, or
    the mean over places. Poolers on top, which many checkpoints lack, are not used.

    Args:
        folder: local folder, or the name of a model in the local cache; nothing is downloaded.
        pooling: "auto": as above; "cls": first token; "mean": over all tokens or places.
        layer: last block to run, 1 for the first; 0: all (``layers.choose_layer`` finds a good one).

    Raises:
        ModalignError: no such model, or files of it are missing or damaged.
        MissingExtraError: transformers is not installed.
    """

    modality = "image"
    kind = "hf-vision"
    preprocessing = PILLOW

    def __init__(
        self,
        folder: str,
        pooling: TokenPooling = "auto",
        layer: int = 0,
        precision: Precision = "float32",
        device: str = "cpu",
    ) -> None:
        super().__init__(folder, precision, device)
        self.pooling = pooling
        self.layer = layer
        self.dual = hasattr(self.config, "vision_config") and hasattr(self.config, "text_config")
        self.dim = width_of(self.config, self.dual and pooling == "auto", "vision_config")

    def description(self) -> dict[str, Any]:
        """As above, with pooling and the decoder."""
        cut_at = {"layer": self.layer} if self.layer else {}
        return {**super().description(), "pooling": self.pooling, "decoding": media.versions(), **cut_at}

    def collate(self, items: Sequence[Item]) -> Tensor:
        """Decode and preprocess. (n, 3, h, w)."""
        pictures = [media.load_image(source(i)) for i in items]
        if not pictures:
            return torch.empty(0)
        return torch.cat([self.processor(images=p, return_tensors="pt")["pixel_values"] for p in pictures])

    def _load(self) -> Any:
        model = super()._load()
        cut(model.vision_model if self.dual else model, self.layer)
        return model

    def tunable(self, tuning: Tuning) -> Tunable:
        """Preprocessed pixels, and a fresh model with its pooling, in float32."""
        model = self._load().to(self.device)
        projects = self.dual and self.pooling == "auto"
        release(model, tuning, "vision_model" if self.dual else "", after=["visual_projection"] if projects else [])
        return Tunable(lambda batch: batch, VisionNet(model, self.dual, self.pooling))

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, dim) float32 features."""
        if not len(batch):
            return torch.empty(0, self.dim)
        return seen(self.model, self.dual, self.pooling, lambda call: self.run(call, pixel_values=batch))


def seen(model: Any, dual: bool, pooling: TokenPooling, run: Callable[[Any], Any]) -> Tensor:
    """(n, dim) float32 features of what ``run`` gives of the part of a model that looks at pictures."""
    if dual and pooling == "auto":
        return projected(run(model.get_image_features)).float()
    part = model.vision_model if dual else model
    return pool_tokens(run(part).last_hidden_state.float(), part, pooling)


class VisionNet(nn.Module):
    """Preprocessed pixels (n, 3, h, w) -> (n, dim) features, with gradients."""

    def __init__(self, model: nn.Module, dual: bool, pooling: TokenPooling) -> None:
        super().__init__()
        self.model, self.dual, self.pooling = model, dual, pooling

    def forward(self, pixels: Tensor) -> Tensor:
        return seen(self.model, self.dual, self.pooling, lambda call: call(pixel_values=pixels))


@register("encoder", "hf-video")
class TransformersVideo(TransformersEncoder):
    """Videos through a model of transformers (VideoMAE, ViViT, TimeSformer, ...), Pillow preprocessing.

    The model's number of frames, at even steps in time over the whole video or the row's window. Features: the class
    token where there is one, or the mean over all tokens.

    Args:
        folder: local folder, or the name of a model in the local cache; nothing is downloaded.
        pooling: "auto": as above; "cls": first token; "mean": over all tokens.
        substitutes: frames of a video that may be replaced because they cannot be decoded.
        parts: features of that many equal parts of time, one after the other, each in the model's number of frames.

    Raises:
        ModalignError: no such model, files of it are missing or damaged, or it does not take a number of frames.
        MissingExtraError: transformers or PyAV is not installed.
    """

    modality = "video"
    batch_size = 2
    kind = "hf-video"
    preprocessing = PILLOW

    def __init__(
        self,
        folder: str,
        pooling: TokenPooling = "auto",
        substitutes: Number = 0,
        precision: Precision = "float32",
        device: str = "cpu",
        parts: Count = 1,
    ) -> None:
        super().__init__(folder, precision, device)
        if not getattr(self.config, "num_frames", None):
            raise ModalignError(f"not a model of videos, it states no number of frames: {self.folder}")
        self.frames = int(self.config.num_frames)
        self.pooling = pooling
        self.substitutes = substitutes
        self.parts = parts
        self.dim = parts * width_of(self.config, False, "vision_config")

    def description(self) -> dict[str, Any]:
        """As above, with pooling, parts and the decoder."""
        facts = {"pooling": self.pooling, "decoding": media.video_versions(), "substitutes": self.substitutes}
        facts |= {"parts": self.parts} if self.parts > 1 else {}
        return {**super().description(), **facts}

    def collate(self, items: Sequence[Item]) -> Tensor:
        """Decode and preprocess frames. (n parts, frames, 3, h, w)."""
        seen = (look(i, self.frames * self.parts, self.substitutes) for i in items)
        cuts = (whole[f : f + self.frames] for whole in seen for f in range(0, len(whole), self.frames))
        clips = [self.processor([c], return_tensors="pt") for c in cuts]
        return torch.cat([c["pixel_values"] for c in clips]) if clips else torch.empty(0)

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, dim) float32 features."""
        if not len(batch):
            return torch.empty(0, self.dim)
        hidden = self.run(self.model, pixel_values=batch).last_hidden_state.float()
        return pool_tokens(hidden, self.model, self.pooling).reshape(-1, self.dim)
