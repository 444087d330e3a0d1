"""The caption loss: a decoder must be able to read an item's words off its point in the shared space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..data.annotations import Annotations, annotated, pick, read_annotations
from ..errors import ModalignError
from ..model.captioner import Captioner, Decoder, Vocabulary
from ..parameters import Count, Dim, Seed, Share, Weight
from ..registry import register
from ..views import Batch, Views
from .base import Objective, nothing


@register("objective", "caption")
class Caption(Objective):
    """Cross-entropy of captions given points of the shared space, through a small transformer decoder.

    L = mean over modalities m of -mean_t log p(w_t | w_<t, normalise(z_m + sigma n)), n ~ N(0, I / d), w one of the
    captions of the item's group. Groups without captions add nothing.

    The decoder is part of the objective: trained, saved and resumed with it. Afterwards ``captioner()`` gives it.
    Latent mixing of pairs makes points between two groups, whose captions are of one: train without it.

    Args:
        captions: group -> captions, or a file of them, see ``data.annotations``. Give those of training
            items alone: their words are the vocabulary.
        dim: of the shared space.
        modalities: whose points are read; None: all that the batch has.
        noise: sigma, the noise's length against the unit rows; see docs/translation.md.
        least: occurrences of a word in the training captions from which on it is in the vocabulary.
        width, layers, heads, prefix, longest, dropout: of the decoder.
        smoothing: of the labels, in [0, 1).
        seed: of the decoder's first weights.

    Raises:
        ModalignError: no captions, a setting out of range, none of the training groups has captions (``prepare``), or
            points of another width (``forward``).

    Use when: captions will be written from the space (`modalign.tasks`), or the space must hold what words say.
    Related: `Classify`, for labels; both are terms of `Total`.

    Reference: Vinyals et al. 2015, arXiv 1411.4555, eq. 1; beside a contrastive loss: Yu et al. 2022 (CoCa), arXiv
    2205.01917, eq. 3.

    Example:
        >>> z = Views.from_arrays(image=torch.eye(3), text=torch.eye(3))
        >>> loss = Caption({0: "a cat", 1: "a dog", 2: ["a fox", "one fox"]}, dim=3, width=16)
        >>> float(loss(Batch(z, z)).detach()) > 0, sorted(loss.captioner().vocabulary.words)
        (True, ['a', 'cat', 'dog', 'fox', 'one'])
    """

    def __init__(
        self,
        captions: Annotations,
        dim: Dim = 256,
        modalities: Sequence[str] | None = None,
        noise: Weight = 0.0,
        least: Count = 1,
        width: Dim = 256,
        layers: Count = 2,
        heads: Count = 4,
        prefix: Count = 4,
        longest: Count = 24,
        dropout: Share = 0.1,
        smoothing: Share = 0.1,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.captions = read_annotations(captions, "captions")
        self.modalities, self.noise, self.smoothing = modalities, noise, smoothing
        self.vocabulary = Vocabulary.of((c for several in self.captions.values() for c in several), least)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.decoder = Decoder(len(self.vocabulary), dim, width, layers, heads, prefix, longest, dropout)

    def prepare(self, x: Views) -> None:
        """Refuse training views of which no group has a caption: the ids would be those of something else."""
        if not set(self.captions) & set(x.group_ids().tolist()):
            raise ModalignError("none of the captions belongs to a group of the training views: are the ids the same?")

    def forward(self, batch: Batch) -> Tensor:
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
        return Captioner(self.decoder, self.vocabulary)


def jitter(z: Tensor, noise: float, generator: torch.Generator | None = None) -> Tensor:
    """Unit rows moved by Gaussian noise of expected squared length noise^2, and made unit rows again.

    normalise(z + sigma n), n ~ N(0, I / d). Nukrai et al. draw N(0, s^2 I): s = sigma / sqrt(d).

    Reference: Nukrai et al. 2022 (CapDec), arXiv 2211.00575, section 3.2.
    """
    if not noise:
        return z
    draw = torch.randn(z.shape, generator=generator, device="cpu").to(z) / z.shape[1] ** 0.5
    return normalize(z + noise * draw, dim=1)
