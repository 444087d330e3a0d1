"""Volume objectives: all modalities of an item at once. GRAM, TRIANGLE, PMRL."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softmax

from ..errors import ModalignError
from ..geometry import volume
from ..geometry.contrast import infonce
from ..geometry.cost import inner, working
from ..parameters import Dim, Positive, Share, Weight
from ..registry import register
from ..views import Batch
from .base import Scale, nothing
from .pairwise import learnable
from .tuples import AnchoredTuples, Tuples, seeded


@register("objective", "gram")
class Gram(Tuples):
    """GRAM: the volume an anchor spans with its own tuple should be less than with any other tuple.

    L = 1/2 [CE(-D / tau) + CE(-D^T / tau)], D_ij the volume (``official``) or the sound distance of anchor i and tuple
    j, label smoothing on the targets. 2 to 6 modalities were published; any number works. A modality that an item
    lacks is left out of its tuple; the sound distance is normalised so that tuples of any size compare.

    Args:
        official: True: V = sqrt(|det Gram|), as published: blind to signs, 0 for every anchor when two items of a
            tuple coincide, and larger for smaller tuples. False (default): `geometry.volume.gram_distance`.
        anchor: published "text"; any modality, "all" for each in turn, None: text if there, else the first.
        temperature: tau at the start; published .07. Learned as log(1 / tau) within [.01, 1] (published: tau itself).
        label_smoothing: published .1.
        matching: weight of the data-anchor matching loss; published .1, 0 leaves it out: a two-way classifier on
            (anchor, tuple) tells own tuples from hard ones, drawn from softmax(-D / tau) + 1e-4. It sees the
            elementwise products and squared differences of the anchor with the mean of the tuple.
        dim: width of the shared space, needed by the matching classifier.
        epsilon: of the sound distance.
        modalities: which; default all in the batch.
        pick: "sample", "first" or "mean" of a group's items.

    Use when: three or more modalities gather around one anchor, and groups may lack some of them.
    Related: `Triangle` for exactly three; `Pmrl` where no modality should be the anchor; `Symile` for what they say
        only jointly.

    Reference: Cicchetti et al. (2025), arXiv 2412.11959.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4), audio=torch.eye(4))
        >>> round(Gram(label_smoothing=0.0)(Batch(z, z)).item(), 5)
        0.00112
    """

    def __init__(
        self,
        official: bool = False,
        anchor: str | None = None,
        temperature: Positive = 0.07,
        label_smoothing: Share = 0.1,
        matching: float = 0.0,
        dim: Dim | None = None,
        epsilon: Weight = 0.1,
        modalities: Sequence[str] | None = None,
        pick: str = "sample",
    ) -> None:
        super().__init__(anchor, modalities, pick)
        if matching and dim is None:
            raise ModalignError("the matching loss of gram needs dim, the width of the shared space")
        self.official, self.label_smoothing, self.epsilon = official, label_smoothing, epsilon
        self.scale = Scale(1 / temperature)
        self.matching = matching
        self.classifier = Matching(dim) if matching and dim else None

    def forward(self, batch: Batch) -> Tensor:
        losses = []
        for tuples in self.anchored(batch):
            distance, scale = self.distance(tuples), self.scale()
            loss = both_ways(-distance, tuples.positives, scale, self.label_smoothing)
            if self.classifier is not None:
                logits = -distance.detach() * scale.detach()
                loss = loss + self.matching * self.classifier(tuples, logits, seeded(batch))
            losses.append(loss)
        return torch.stack(losses).mean() if losses else nothing(batch)

    def distance(self, tuples: AnchoredTuples) -> Tensor:
        """(n, m) volume or sound distance of anchors and tuples."""
        if self.official:
            return volume.gram_volume(tuples.anchor, tuples.others, tuples.present)
        return volume.gram_distance(tuples.anchor, tuples.others, tuples.present, self.epsilon)

    def log(self) -> dict[str, float]:
        return {"temperature": 1 / self.scale.value()}


class Matching(nn.Module):
    """Data-anchor matching: does this anchor belong to this tuple? Two-way cross-entropy, hard negatives both ways.

    Args:
        dim: width of the shared space.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU(), nn.Linear(dim, 2))

    def forward(self, tuples: AnchoredTuples, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Mean loss over own pairs, a hard tuple for each anchor and a hard anchor for each tuple.

        Raises:
            ModalignError: rows of another width.
        """
        width = tuples.anchor.shape[1]
        if width != self.dim:
            raise ModalignError(f"gram (matching) has dim={self.dim}, the shared space {width}: set dim={width}")
        rows, columns = tuples.own()
        wrong_column = hard_negatives(logits, tuples.positives, generator)[rows]
        wrong_row = hard_negatives(logits.mT, tuples.positives.mT, generator)[columns]
        left = torch.cat([rows, rows[wrong_column >= 0], wrong_row[wrong_row >= 0]])
        right = torch.cat([columns, wrong_column[wrong_column >= 0], columns[wrong_row >= 0]])
        label = (torch.arange(len(left), device=left.device) < len(rows)).long()
        return cross_entropy(self.layers(self.features(tuples, left, right)), label)

    def features(self, tuples: AnchoredTuples, left: Tensor, right: Tensor) -> Tensor:
        """(p, 2d): what the classifier sees of anchors ``left`` and tuples ``right``."""
        anchor, others = working(tuples.anchor[left], tuples.others[right])
        there = tuples.present[right][..., None]
        mean = (others * there).sum(1) / there.sum(1)
        return torch.cat([anchor * mean, (anchor - mean).square()], 1)


def hard_negatives(logits: Tensor, positives: Tensor, generator: torch.Generator) -> Tensor:
    """One wrong column per row, drawn with probability softmax(logits) + 1e-4 over wrong columns; -1 if there is none.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> hard_negatives(torch.zeros(2, 2), torch.eye(2, dtype=torch.bool), g).tolist()
        [1, 0]
    """
    odds = (softmax(logits.float(), 1) + 1e-4).masked_fill(positives, 0.0)
    possible = odds.sum(1) > 0
    odds = torch.where(possible[:, None], odds, 1.0).cpu()  # a CPU generator draws the same on every device
    drawn = torch.multinomial(odds, 1, generator=generator).squeeze(1).to(logits.device)
    return torch.where(possible, drawn, -1)


def both_ways(similarity: Tensor, positives: Tensor, scale: Tensor, label_smoothing: float) -> Tensor:
    """Mean of the cross-entropies anchor -> tuple and tuple -> anchor."""
    there = infonce(similarity, positives, scale, label_smoothing)
    return 0.5 * (there + infonce(similarity.mT, positives.mT, scale, label_smoothing))


@register("objective", "triangle")
class Triangle(Tuples):
    """TRIANGLE: the triangle of an anchor and the two other items of its tuple should be small.

    L = 1/2 [CE(-D / tau) + CE(-D^T / tau)], D_ij = S_ij + cosine (1 - mean cos(anchor_i, tuple_j)) / 2, S the
    area. Exactly three modalities. Tuples that lack one of the two others cannot span a triangle and are left out.

    Args:
        official: True: D = 2 S^2, what the public program computes, without a cosine term.
        cosine: weight of the cosine term in the sound form; a triangle with two equal corners has area 0 whatever
            the third is, the cosine still tells. 1 here; no value was found in print.
        anchor: published "text"; any modality, "all", or None: text if there, else the first.
        temperature: tau at the start; published .07.
        label_smoothing: published .1.
        modalities: the three; default those of the batch.
        pick: "sample", "first" or "mean" of a group's items.

    Use when: there are exactly three modalities and the sides away from the anchor should count as well.
    Related: `Gram`, for any number of modalities.

    Reference: TRIANGLE (NeurIPS 2025).

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4), audio=torch.eye(4))
        >>> round(Triangle(label_smoothing=0.0, temperature=1.0)(Batch(z, z)).item(), 3)
        1.037
    """

    least = 3

    def __init__(
        self,
        official: bool = False,
        cosine: float = 1.0,
        anchor: str | None = None,
        temperature: Positive = 0.07,
        label_smoothing: Share = 0.1,
        modalities: Sequence[str] | None = None,
        pick: str = "sample",
    ) -> None:
        super().__init__(anchor, modalities, pick)
        self.official, self.cosine, self.label_smoothing = official, cosine, label_smoothing
        self.scale = Scale(1 / temperature)

    def forward(self, batch: Batch) -> Tensor:
        losses = []
        for tuples in self.anchored(batch):
            if tuples.others.shape[1] > 2:
                names = ", ".join(batch.z.modalities)
                raise ModalignError(f"triangle needs three modalities, the batch has {names}: give modalities=[...]")
            others, positives = tuples.whole()
            if others.shape[1] == 2 and learnable(positives):
                distance = self.distance(tuples.anchor, others)
                losses.append(both_ways(-distance, positives, self.scale(), self.label_smoothing))
        return torch.stack(losses).mean() if losses else nothing(batch)

    def distance(self, anchor: Tensor, others: Tensor) -> Tensor:
        """(n, m) official score or sound distance."""
        anchor, others = working(anchor, others)
        square = volume.triangle_area(anchor, others[:, 0], others[:, 1])
        if self.official:
            return 2 * square
        return (square + 1e-8).sqrt() + 0.5 * self.cosine * (1 - inner(anchor, others.mean(1)))

    def log(self) -> dict[str, float]:
        return {"temperature": 1 / self.scale.value()}


@register("objective", "pmrl")
class Pmrl(Tuples):
    """PMRL: the items of a tuple should span one direction, and different tuples different ones. No anchor.

    L = intra + inter, intra = mean_i -log softmax(sigma_i / tau)[0] over the singular values of tuple i,
    inter = CE(U U^T / tau') with u_i the leading direction of tuple i and itself as the label.

    As published, a pair of opposite items spans one direction as well as a pair of equal ones, so that from random
    heads half of all pairs are driven apart. By default sigma and u are therefore those about the tuple's mean
    (``geometry.volume.mean_singular_values``), the same for a pair on one side.

    A tuple that lacks items has fewer singular values; its intra loss is scaled by log M / log M_i, so that a
    pair at right angles costs as much as a full tuple at right angles. Groups with one item add nothing to intra and
    stay as negatives in inter. The sign of u_i, arbitrary in the public program, points to the tuple's mean.

    Args:
        official: True: singular values and leading singular direction, as published, blind to signs.
        temperature: tau; published .05.
        inter_temperature: tau'; published .1.
        inter: weight of the inter loss; published 1.
        modalities: which; default all in the batch.
        pick: "sample", "first" or "mean" of a group's items.

    Use when: three or more modalities should count alike, without an anchor.
    Related: `Gram` with an anchor; `Clip`, which takes the modalities pair by pair.

    Reference: PMRL (2025), arXiv 2507.17343.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(2), image=torch.eye(2))
        >>> round(Pmrl(inter_temperature=1.0)(Batch(z, z)).item(), 4)
        0.3133
    """

    def __init__(
        self,
        official: bool = False,
        temperature: Positive = 0.05,
        inter_temperature: Positive = 0.1,
        inter: float = 1.0,
        modalities: Sequence[str] | None = None,
        pick: str = "sample",
    ) -> None:
        super().__init__(None, modalities, pick)
        self.singular_values = volume.singular_values if official else volume.mean_singular_values
        self.temperature, self.inter_temperature, self.inter = temperature, inter_temperature, inter

    def forward(self, batch: Batch) -> Tensor:
        stacked = self.stack(batch)
        if stacked is None or not learnable(stacked[0].present.sum(1) > 1):
            return nothing(batch)
        data, present = stacked[0].data, stacked[0].present
        singular, direction = self.singular_values(data, present)
        loss = self.intra(singular, present.sum(1))
        if self.inter:
            loss = loss + self.inter * infonce(inner(direction, direction), None, 1 / self.inter_temperature)
        return loss

    def intra(self, singular: Tensor, count: Tensor) -> Tensor:
        """Mean over tuples of at least two items of the normalised -log softmax of the leading singular value."""
        size = singular.shape[1]
        beyond = torch.arange(size, device=singular.device) >= count[:, None]
        log_p = log_softmax((singular / self.temperature).masked_fill(beyond, -torch.inf), 1)[:, 0]
        several = count > 1
        unit = math.log(size) / count.clamp(min=2).to(log_p).log()
        return -torch.where(several, log_p * unit, 0.0).sum() / several.sum().clamp(min=1)
