"""The caption loss: a decoder must be able to read an item's words off its point in the shared space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..captioner import Captioner, Decoder, Vocabulary
from ..errors import ModalignError
from ..registry import register
from ..views import Batch, Views
from .annotations import Annotations, annotated, pick, read_annotations
from .base import Objective, nothing


@register("objective", "caption")
class Caption(Objective):
    """Cross-entropy of captions given points of the shared space, through a small transformer decoder.

    L = mean over modalities m of -mean_t log p(w_t | w_<t, normalise(z_m + sigma n)), n ~ N(0, I / d), w one of the
    captions of the item's group. Groups without captions add nothing.

    The decoder is part of the objective: trained, saved and resumed with it. Afterwards ``captioner()`` gives it. Its
    vocabulary is made by ``prepare`` from captions of groups that are in the training views and from no others.
    Latent mixing of pairs makes points between two groups, whose captions are of one: train without it.

    Args:
        captions: group -> captions, or a file of them, see ``annotations.read_annotations``.
        dim: of the shared space.
        modalities: whose points are read; None: all that the batch has.
        noise: sigma, the noise's length against the unit rows; see docs/translation.md.
        least: occurrences of a word in the training captions from which on it is in the vocabulary.
        width, layers, heads, prefix, longest, dropout: of the decoder.
        smoothing: of the labels, in [0, 1).

    Raises:
        ModalignError: no captions, a setting out of range, no captions of training groups (``prepare``), points of
            another width, or use before ``prepare`` (``forward``).

    Reference: Vinyals et al. 2015, arXiv 1411.4555, eq. 1; beside a contrastive loss: Yu et al. 2022 (CoCa), arXiv
    2205.01917, eq. 3.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> z = Views.from_arrays(image=torch.eye(3), text=torch.eye(3))
        >>> loss = Caption({0: "a cat", 1: "a dog", 2: ["a fox", "one fox"]}, dim=3, width=16)
        >>> loss.prepare(z)
        >>> float(loss(Batch(z, z)).detach()) > 0, sorted(loss.captioner().vocabulary.words)
        (True, ['a', 'cat', 'dog', 'fox', 'one'])
    """

    def __init__(
        self,
        captions: Annotations,
        dim: int = 256,
        modalities: Sequence[str] | None = None,
        noise: float = 0.0,
        least: int = 1,
        width: int = 256,
        layers: int = 2,
        heads: int = 4,
        prefix: int = 4,
        longest: int = 24,
        dropout: float = 0.1,
        smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        if noise < 0 or not 0 <= smoothing < 1:
            raise ModalignError(f"noise {noise} must be at least 0 and smoothing {smoothing} in [0, 1)")
        self.captions = read_annotations(captions, "captions")
        self.dim, self.modalities, self.noise, self.least, self.smoothing = dim, modalities, noise, least, smoothing
        self.shape: dict[str, Any] = {
            "width": width, "layers": layers, "heads": heads, "prefix": prefix, "longest": longest, "dropout": dropout
        }  # fmt: skip
        Decoder(2, dim, **self.shape)  # settings out of range are refused here, not when training starts
        self.decoder: Decoder | None = None
        self.vocabulary: Vocabulary | None = None

    def prepare(self, x: Views) -> None:
        """Make the vocabulary and the decoder from the captions of the groups in x."""
        training = set(x.group_ids().tolist())
        own = {g: several for g, several in self.captions.items() if g in training}
        if not own:
            raise ModalignError("none of the captions belongs to a group of the training views: are the ids the same?")
        self.captions = own
        self.vocabulary = Vocabulary.of((c for several in own.values() for c in several), self.least)
        self.decoder = Decoder(len(self.vocabulary), self.dim, **self.shape).to(next(iter(x.data.values())).device)

    def forward(self, batch: Batch) -> Tensor:
        if self.decoder is None or self.vocabulary is None:
            raise ModalignError("the caption loss has no decoder yet: call prepare(training views) first")
        losses = []
        for m in self.modalities or batch.z.modalities:
            if m not in batch.z:
                continue
            rows = annotated(batch.z.group[m], self.captions)
            if len(rows):
                words = pick(batch.z.group[m][rows].tolist(), self.captions)
                tokens = self.vocabulary.encode(words, self.decoder.longest).to(rows.device)
                losses.append(self.decoder.loss(jitter(batch.z[m][rows], self.noise), tokens, self.smoothing))
        return torch.stack(losses).mean() if losses else nothing(batch)

    def captioner(self) -> Captioner:
        """The decoder as it is now, with its vocabulary."""
        if self.decoder is None or self.vocabulary is None:
            raise ModalignError("the caption loss has no decoder yet: train with it first")
        return Captioner(self.decoder, self.vocabulary)


def jitter(z: Tensor, noise: float, generator: torch.Generator | None = None) -> Tensor:
    """Unit rows moved by Gaussian noise of expected squared length noise^2, and made unit rows again.

    normalise(z + sigma n), n ~ N(0, I / d). Nukrai et al. draw N(0, s^2 I): s = sigma / sqrt(d).

    Reference: Nukrai et al. 2022 (CapDec), arXiv 2211.00575, section 3.2.
    """
    if not noise:
        return z
    draw = torch.randn(z.shape, generator=generator).to(z) / z.shape[1] ** 0.5
    return normalize(z + noise * draw, dim=1)
