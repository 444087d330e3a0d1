"""Retrieval objectives: an item should find its own group among all others. CLIP, MIL-NCE, SigLIP, CyCLIP, Symile."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import check_known
from ..geometry import contrast, multilinear
from ..parameters import Finite, Positive, Share
from ..registry import register
from ..views import Batch
from .base import Scale, nothing
from .pairwise import Pairwise, learnable, matched
from .tuples import Tuples, seeded


@register("objective", "infonce")
@register("objective", "clip")
class Clip(Pairwise):
    """Symmetric InfoNCE with a learned temperature and positives by group.

    L = mean over pairs of modalities of 1/2 [infonce(s X Y^T) + infonce(s Y X^T)]; several positives per item:
    mean over them of -log softmax. Items without a partner are negatives only.

    Args:
        scale: s = 1 / temperature at the start; published 1 / .07, at most 100.
        learn_scale: learn s (through its logarithm, clamped to [1, 100] after each step), as published.
        label_smoothing: in [0, 1); published 0.
        modalities: look only at pairs of these; default all.

    Use when: pairs are known and batches are large (256 items and more): the first choice for retrieval.
    Related: `SigLip` for small batches or noisy pairs, `CyClip` where similarities inside a modality count too,
        `Symile` for what three modalities say only jointly.

    Reference: Radford et al. (2021), arXiv 2103.00020; several positives: Khosla et al. (2020), arXiv 2004.11362.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> round(Clip(scale=1.0)(Batch(z, z)).item(), 4)
        0.7437
    """

    def __init__(
        self,
        scale: Positive = contrast.CLIP_SCALE,
        learn_scale: bool = True,
        label_smoothing: Share = 0.0,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        self.scale = Scale(scale, learn=learn_scale)
        self.label_smoothing = label_smoothing

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        positives = batch.z.positives(a, b)
        if not learnable(positives):
            return None
        similarity = contrast.inner(*contrast.pair(batch.z[a], batch.z[b]))
        scale = self.scale()
        return 0.5 * (self.one_way(similarity, positives, scale) + self.one_way(similarity.mT, positives.mT, scale))

    def one_way(self, similarity: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
        """The loss of the rows, each looking for its columns."""
        return contrast.infonce(similarity, positives, scale, self.label_smoothing)


@register("objective", "mil_nce")
class MilNce(Clip):
    """MIL-NCE: one of an item's candidates should be nearer than what is no candidate, whichever it is.

    L = mean over pairs of modalities of 1/2 [mil_nce(s X Y^T) + mil_nce(s Y X^T)]; the sum over positives is inside the
    logarithm, so that wrong candidates cost little, while "clip" asks for all of them. As published one side asks, the
    clip; here each in turn, because which side has the sets is a matter of the data. With one positive each, both
    directions are equal.

    Args:
        scale: s = 1 / temperature at the start; published 1, of vectors that are not normalised.
        learn_scale: learn s (through its logarithm, clamped to [1, 100] after each step).
        modalities: look only at pairs of these; default all.

    Use when: captions only roughly belong to clips (HowTo100M with ``candidates``), or any ``Views.links`` of which
        some are wrong.
    Related: `Clip`, where all positives are right; `SigLip`, where some pairs are wrong but each item has few.

    Reference: Miech et al. (2020), arXiv 1912.06430, eq. 1.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(2), video=torch.eye(2))
        >>> round(MilNce(scale=1.0)(Batch(z, z)).item(), 4)
        0.5514
    """

    def __init__(
        self, scale: Positive = contrast.CLIP_SCALE, learn_scale: bool = True, modalities: Sequence[str] | None = None
    ) -> None:
        super().__init__(scale, learn_scale, modalities=modalities)

    def one_way(self, similarity: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
        return contrast.mil_nce(similarity, positives, scale)


@register("objective", "siglip")
class SigLip(Pairwise):
    """Sigmoid loss: each pair is judged by itself, with a learned temperature and bias.

    L = -(1/N) sum_ij log sigmoid(y_ij (s x_i.y_j + b)), N the number of positive pairs; pairs of two items
    without partners are left out, because whether they belong together is not known.

    Args:
        scale: s at the start; published 10. Learned through its logarithm, within [1, 100].
        bias: b at the start; published -10.
        reduction: "sum" (divided by N, as published) or "mean" (divided by the number of pairs; with
            scale 20 and bias -10 this is the form of SAIL, arXiv 2412.04616).
        items: "all", or "paired": items without a partner in the batch are no negatives either.
        modalities: look only at pairs of these; default all.

    Raises:
        ModalignError: unknown items.

    Use when: batches are small, items have several positives, or some pairs are wrong: a wrong pair spoils one term,
        not a row.
    Related: `Clip`, which compares within the batch and gains more from large ones.

    Reference: Zhai et al. (2023), arXiv 2303.15343.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(2), image=torch.eye(2))
        >>> round(SigLip(scale=1.0, bias=0.0)(Batch(z, z)).item(), 4)
        1.0064
    """

    def __init__(
        self,
        scale: Positive = 10.0,
        bias: Finite = -10.0,
        reduction: str = "sum",
        items: str = "all",
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        check_known("items", items, ("all", "paired"))
        self.scale = Scale(scale)
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.reduction, self.items = reduction, items

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        positives = batch.z.positives(a, b)
        if not learnable(positives):
            return None
        x, y = batch.z[a], batch.z[b]
        if self.items == "paired":
            rows, columns = positives.any(1), positives.any(0)
            x, y, positives = x[rows], y[columns], positives[rows][:, columns]
        similarity = contrast.inner(*contrast.pair(x, y))
        return contrast.sigmoid(similarity, positives, self.scale(), self.bias, self.reduction)

    def log(self) -> dict[str, float]:
        return {"scale": self.scale.value(), "bias": float(self.bias.detach())}


@register("objective", "cyclip")
class CyClip(Clip):
    """CLIP plus two terms that make the similarities of the two modalities mirror each other.

    L = CLIP + in_modal (1/N) sum_jk (<x_j, x_k> - <y_j, y_k>)^2 + cross_modal (1/N) sum_jk (<x_j, y_k> - <x_k, y_j>)^2
    over the N positive pairs.

    Args:
        in_modal: weight of the in-modal term; published .25.
        cross_modal: weight of the cross-modal term; published .25.
        scale: 1 / temperature at the start; published 1 / .07.
        learn_scale: learn it, as published.
        modalities: look only at pairs of these; default all.

    Use when: similarities inside a modality are used downstream, as in clustering or zero-shot labels; it costs about
        three times as much as `Clip`.
    Related: `Consistency`, the same two terms alone; `Rma`, which keeps neighbourhoods instead of all similarities.

    Reference: Goel et al. (2022), arXiv 2205.14459.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> round(CyClip(scale=1.0)(Batch(z, z)).item(), 4)
        0.7437
    """

    def __init__(
        self,
        in_modal: float = 0.25,
        cross_modal: float = 0.25,
        scale: Positive = contrast.CLIP_SCALE,
        learn_scale: bool = True,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(scale, learn_scale, modalities=modalities)
        self.in_modal, self.cross_modal = in_modal, cross_modal

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        base, both = super().pair_loss(batch, a, b), matched(batch, a, b)
        if base is None or both is None:
            return None
        in_modal, cross_modal = contrast.cyclic(*both)
        return base + self.in_modal * in_modal + self.cross_modal * cross_modal


@register("objective", "symile")
class Symile(Tuples):
    """Symile: the multilinear product of a group's items should exceed that of mixed tuples, each modality as anchor.

    L = mean over anchors of CE(s MIP(anchor_i, tuple)), MIP = sum_d prod_m z^m_d. Captures what three or more
    modalities share only jointly. Uses the groups that have an item of every modality; with two modalities and
    ``negatives = "all"`` it is CLIP.

    Args:
        negatives: "n" (published default: other modalities permuted, n - 1 wrong tuples) or "all" (every combination,
            n^(M-1), in memory).
        official: True: MIP as it is, which on unit vectors shrinks like d^-(M-2)/2, so s must grow. False (default):
            multiplied by d^(M-2)/2, so that CLIP's scale suits any number of modalities.
        scale: s at the start, 1 / .07 here; within [1, 100], with ``official`` within [1, 10000].
        modalities: which; default all in the batch.
        pick: "sample", "first" or "mean" of a group's items.

    Use when: three or more modalities say something together that no two of them say, and groups are complete.
    Related: `Gram` and `Pmrl`, which ask that the items of a group agree, and let modalities be absent.

    Reference: Saporta et al. (2024), arXiv 2411.01053.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> round(Symile("all", scale=1.0)(Batch(z, z)).item(), 4)
        0.7437
    """

    def __init__(
        self,
        negatives: str = "n",
        official: bool = False,
        scale: Positive = contrast.CLIP_SCALE,
        modalities: Sequence[str] | None = None,
        pick: str = "sample",
    ) -> None:
        super().__init__("all", modalities, pick)
        self.negatives, self.official = negatives, official
        self.scale = Scale(scale, high=10_000.0 if official else 100.0)

    def forward(self, batch: Batch) -> Tensor:
        stacked = self.stack(batch)
        if stacked is None:
            return nothing(batch)
        whole = stacked[0].whole()
        if not len(whole):
            return nothing(batch)
        scale = self.scale()
        if not self.official:
            scale = scale * whole.shape[2] ** (0.5 * (whole.shape[1] - 2))
        return multilinear.symile(list(whole.unbind(1)), scale, self.negatives, seeded(batch))
