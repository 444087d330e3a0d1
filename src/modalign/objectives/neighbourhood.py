"""Neighbourhood objectives: items that are near on their own manifold should be near in the shared space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import check_known
from ..geometry import neighbours
from ..parameters import Count, Number, Positive, Weight
from ..registry import register
from ..views import Batch
from .base import Objective, nothing
from .pairwise import chosen
from .weighting import Schedule

FORMS = ("literal", "carried", "diffused", "geodesic", "structure")


@register("objective", "rma")
class Rma(Objective):
    """L_RMA: keep neighbourhoods, in one of five forms.

    "literal": squared distance from each anchor to its k nearest items of the other modality. Least when all items are
    equal, so it collapses unless other terms hold against it.
    "carried" (default): neighbours are taken among the heads' inputs of the anchor's own modality and carried over
    by the known pairs; each anchor is drawn to the partners of its neighbours, contrastively. Unpaired anchors too.
    "diffused": the same at many hops: each anchor is drawn to the partners of the linked items from which a diffusion
        along its own manifold reaches it, at several time scales (`geometry.neighbours.diffused`).
    "geodesic": distances along the manifold of the heads' inputs (shortest paths in the kNN graph) are preserved up
    to a factor, per modality; needs no pairs.
    "structure": neighbour distributions of the heads' inputs are preserved at several hops, per modality; no pairs.

    Literal, carried and diffused are means over pairs of modalities, the others means over modalities.

    Args:
        form: one of the five.
        k: neighbours (all but structure); fewer where a batch has fewer.
        weights: of the neighbours, "uniform", "mutual" or "self_tuning" (literal, carried).
        symmetric: both modalities of a pair are anchors (literal, carried, diffused).
        manifolds: modalities whose own neighbours count (carried, diffused); None: all. Neighbours of text are often
            the less noisy ones.
        temperature: of the softmax (carried, diffused: over the other modality's items, structure: over neighbours).
            Default .07 for carried and diffused, .05 for structure.
        own: weight of an anchor's own partners among its targets, in [0, 1] (carried).
        neighbour_temperature: how fast weight falls with distance on the own manifold (carried, diffused).
        restarts: time scales, each in (0, 1]: large ones stay near the linked items, small ones go far (diffused).
        levels: hops (structure). official: as in `geometry.neighbours.structure` (structure).
        landmarks: shortest paths are taken from so many landmarks only; None: from all items (geodesic).
        modalities: which; default all in the batch.

    Raises:
        ModalignError: unknown form.

    Use when: neighbourhoods must survive the change of modality: "carried" beside a retrieval term, "geodesic" where
        features lie on curved manifolds, "literal" for comparison only.
    Related: `Structure`, the published form of "structure"; `CyClip`, which keeps all similarities of a batch.

    Reference: structure: Gröger et al. (2025), arXiv 2506.16895; geodesic: Tenenbaum et al. (2000); diffused: between
        domains Duque et al. (2022), arXiv 2206.07305; text-side neighbours: Thomas & Kovashka (2020), arXiv 2007.08617.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> Rma("literal", k=1)(Batch(z, z)).item(), round(Rma("structure")(Batch(z, z)).item(), 6)
        (0.0, 0.0)
    """

    def __init__(
        self,
        form: str = "carried",
        k: Count = 5,
        weights: str = "uniform",
        symmetric: bool = True,
        temperature: Positive | None = None,
        own: float = 0.5,
        neighbour_temperature: Positive = 0.1,
        levels: Count = 1,
        landmarks: Count | None = None,
        restarts: Sequence[float] = neighbours.diffusion.RESTARTS,
        manifolds: Sequence[str] | None = None,
        official: bool = False,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        check_known("form of rma", form, FORMS)
        check_known("weights", weights, neighbours.losses.WEIGHTS)
        self.form, self.k, self.weights, self.symmetric = form, k, weights, symmetric
        self.temperature = temperature or (0.07 if form in ("carried", "diffused") else 0.05)
        self.own, self.neighbour_temperature = own, neighbour_temperature
        self.levels, self.landmarks, self.official = levels, landmarks, official
        self.restarts, self.manifolds = tuple(restarts), None if manifolds is None else tuple(manifolds)
        self.modalities, self.least = chosen(modalities, at_least=1), 1 if form in ("geodesic", "structure") else 2
        self.features = form == "structure"

    def forward(self, batch: Batch) -> Tensor:
        names = [m for m in self.modalities or batch.z.modalities if m in batch.z and len(batch.z[m])]
        if self.form in ("geodesic", "structure"):
            losses = [self.preserve(batch, m) for m in names if len(batch.z[m]) > 1]
        else:
            between = self.literal if self.form == "literal" else self.carried
            pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
            losses = [loss for a, b in pairs if (loss := between(batch, a, b)) is not None]
        return torch.stack(losses).mean() if losses else nothing(batch)

    def literal(self, batch: Batch, a: str, b: str) -> Tensor | None:
        """Nearest items of the other modality, paired or not."""
        return neighbours.literal(batch.z[a], batch.z[b], self.k, weights=self.weights, symmetric=self.symmetric)

    def carried(self, batch: Batch, a: str, b: str) -> Tensor | None:
        """Own neighbours, carried over by pairs; None without pairs, or where neither manifold counts."""
        pairs = batch.z.paired(a, b)
        ways = [(a, b, pairs), (b, a, pairs.flip(1))][: 2 if self.symmetric else 1]
        ways = [way for way in ways if self.manifolds is None or way[0] in self.manifolds]
        if not len(pairs) or not ways:
            return None
        return torch.stack([self._carried(batch, *way) for way in ways]).mean()

    def _carried(self, batch: Batch, a: str, b: str, pairs: Tensor) -> Tensor:
        others = len(batch.z[b])
        if self.form == "diffused":
            target = neighbours.diffused(
                batch.x[a], pairs, others, self.k, temperature=self.neighbour_temperature, restarts=self.restarts
            )
        else:
            target = neighbours.carry(
                batch.x[a], pairs, others, self.k, temperature=self.neighbour_temperature, own=self.own,
                weights=self.weights,
            )  # fmt: skip
        return neighbours.carried(batch.z[a], batch.z[b], target, temperature=self.temperature)

    def preserve(self, batch: Batch, modality: str) -> Tensor:
        """One modality's own geometry, before and after its head."""
        x, z = batch.x[modality], batch.z[modality]
        if self.form == "structure":
            return neighbours.structure(x, z, self.temperature, self.levels, official=self.official)
        return neighbours.geodesic(x, z, self.k, self.landmarks)


@register("objective", "structure")
class Structure(Rma):
    """STRUCTURE: preserve the neighbour distributions of the frozen features at several hops, warmed up.

    R = w(step) mean over modalities of (1 / L) sum_l JS(P_X^l, P_Z^l) / l, P the row softmax of similarities / tau
    after scaling to length 1 and centring, P^l its l-th power, w rising linearly over the warm-up.

    Args:
        weight: published 10.
        temperature: tau; published .05.
        levels: L; published setting 1.
        warm_up: optimiser steps; published 1000.
        official: as the published program has it, with levels that count alike and another divergence than JS
            (`geometry.neighbours.structure`).
        modalities: which; default all in the batch.

    It takes items without a partner too, as the published program does: give the training an ``unpaired`` share.

    Use when: pairs are few and the frozen features are good: a regulariser beside a retrieval term.
    Related: `Rma`, which holds the other forms; `VicReg` and `Uniformity` against collapse, without looking at the
        features.

    Reference: Gröger et al. (2025), arXiv 2506.16895.

    Example:
        >>> from modalign.views import Views
        >>> x = Views.from_arrays(text=torch.eye(4))
        >>> z = Views.from_arrays(text=torch.ones(4, 2))
        >>> Structure()(Batch(z, x, step=0)).item(), round(Structure()(Batch(z, x, step=1000)).item(), 2)
        (0.0, 3.8)
    """

    def __init__(
        self,
        weight: Weight = 10.0,
        temperature: Positive = 0.05,
        levels: Count = 1,
        warm_up: Number = 1000,
        official: bool = False,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__("structure", temperature=temperature, levels=levels, official=official, modalities=modalities)
        self.schedule = Schedule(end=weight, steps=warm_up)

    def forward(self, batch: Batch) -> Tensor:
        return self.schedule(batch.step) * super().forward(batch)
