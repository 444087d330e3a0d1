"""Encoder of sound effects and of sounds at large: a network trained to index libraries of effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...data import media
from ...parameters import Count
from ...registry import register
from .aisfx_net import DIM, RATE, Network, blocks_of, spectrogram
from .audio import heard
from .base import FrozenEncoder, Item, file_hash, frozen, loaded
from .framing import gathered, part_means
from .text import Precision
from .weights import Credit, load_state, weights_file

VERSION = 1
TOGETHER = 6
"""Blocks that go through the network at a time: what a core's cache holds."""


@register("encoder", "aisfx")
class AiSfx(FrozenEncoder):
    """Sounds -> 512 features at least 0 of a network trained on sound effects (aiSFX; weights from its wheel).

        f = mean over blocks b of net(L[50 b : 50 b + 100]),  L: 96 mel bands at 44.1 kHz, a block is 2.3 s

    Any length counts; a sound shorter than a block is filled up. Sounds recorded at less than 44.1 kHz leave the upper
    bands empty: the features are then close to, but not those of the full band. Wide convolutions are filtered in tiles
    (``winograd``): the same values to rounding from half of the products.

    Args:
        weights: a copy of the checkpoint; None: that of the installed package aisfx.
        parts: means over that many equal parts of time, one after the other, in place of the mean.
        precision: "bfloat16" takes half the time where the processor has it, many times as long elsewhere, and is less
            exact (cosine above .9999).

    Raises:
        MissingExtraError: the package aisfx is not installed, or soundfile or soxr.

    Reference:
        A. B. Ma, A. Lerch, 2022. Representation learning for the automatic indexing of sound effects libraries. ISMIR.
    """

    modality = "audio"
    parallel = True
    batch_size = 4
    shard_size = 128
    typical = (1.0, 0.5)
    credit = Credit("aiSFX", "CC BY 4.0", "Alison B. Ma and Alexander Lerch", "package aisfx 0.1.2")

    def __init__(self, weights: str | None = None, parts: Count = 1, precision: Precision = "float32") -> None:
        self.weights = weights_file("aisfx", "aisfx", "0.1.2", "aisfx/models/checkpoint.pth", weights)
        self.parts = parts
        self.precision = precision
        self.dim = parts * DIM

    def description(self) -> dict[str, Any]:
        """Decoding, weights, parts, version of this code."""
        return {
            "encoder": "aisfx",
            "version": VERSION,
            "decoding": media.sound_versions(),
            "weights": file_hash(self.weights),
            "parts": self.parts,
        } | ({} if self.precision == "float32" else {"precision": self.precision})

    @loaded
    def run(self) -> Callable[[Tensor], Tensor]:
        """The network."""
        net = Network(load_state(self.weights))
        frozen(net)
        return net.quick(getattr(torch, self.precision))

    def collate(self, items: Sequence[Item]) -> list[Tensor]:
        """Decode sounds. Returns their mel bands, (t, 96) each."""
        return [spectrogram(heard(item, RATE)) for item in items]

    def __call__(self, batch: Sequence[Tensor]) -> Tensor:
        """(n, dim) float32 features."""
        if not batch:
            return torch.empty(0, self.dim)
        with torch.no_grad():
            cut = [blocks_of(bands) for bands in batch]
            features = gathered(self.run(lot) for item in cut for lot in item.split(TOGETHER))
            split = features.split([len(blocks) for blocks in cut])
            return torch.stack([part_means(blocks, self.parts) for blocks in split])
