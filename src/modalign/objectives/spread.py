"""Objectives against collapse: embeddings should use the whole space. Uniformity, VICReg."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry import dispersion
from ..geometry.cost import pair, working
from ..parameters import Weight
from ..registry import register
from ..views import Batch
from .base import nothing
from .pairwise import Pairwise, matched


@register("objective", "uniformity")
class Uniformity(Pairwise):
    """Embeddings of different groups should cover the sphere evenly; paired ones may also be drawn together.

    L = alignment mean_pairs |x - y|^2 + mean over modalities of log mean_{i != j} exp(-t |z_i - z_j|^2). Items of one
    group do not repel each other. Learns from unpaired items.

    Args:
        t: published 2.
        alignment: weight of the distance between positives; published 1, 0 here: a term beside a retrieval loss.
        modalities: which; default all in the batch.

    Use when: embeddings collapse or crowd together, as a small term beside another.
    Related: `VicReg`, which works without comparing items; `geometry.neighbours.collapse` measures collapse.

    Reference: Wang, Isola (2020), arXiv 2005.10242.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> Uniformity()(Batch(z, z)).item()
        -8.0
    """

    def __init__(self, t: Weight = 2.0, alignment: float = 0.0, modalities: Sequence[str] | None = None) -> None:
        super().__init__(modalities, at_least=1)
        self.t, self.alignment = t, alignment

    def forward(self, batch: Batch) -> Tensor:
        names = [m for m in self.modalities or batch.z.modalities if m in batch.z and len(batch.z[m]) > 1]
        spread = [dispersion.uniformity(batch.z[m], self.t, batch.z.positives(m, m)) for m in names]
        loss = torch.stack(spread).mean() if spread else nothing(batch)
        return loss + self.alignment * super().forward(batch) if self.alignment else loss

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        return closeness(batch, a, b)


@register("objective", "vicreg")
class VicReg(Pairwise):
    """VICReg-like: pairs close, every coordinate in use, no coordinate repeating another.

    L = mean over pairs of modalities of invariance mean_p |x_p - y_p|^2 / d + mean over modalities of
    variance mean_d relu(1 - std_d) + covariance (1/d) sum_{a != b} Cov_ab^2, of rows multiplied by sqrt(d): on the unit
    sphere a standard deviation is at most about 1/sqrt(d), so the published target of 1 could never be met.
    Variance and covariance learn from unpaired items.

    Args:
        invariance: published 25.
        variance: published 25.
        covariance: published 1.
        official: True: rows as they are, for heads without normalisation.
        modalities: which; default all in the batch.

    Use when: no negatives are wanted, as in small batches with many near-duplicates, or against collapse.
    Related: `Uniformity`, which spreads items; `Clip`, which needs negatives.

    Reference: Bardes, Ponce, LeCun (2022), arXiv 2105.04906.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.ones(4, 4) / 2, image=torch.ones(4, 4) / 2)
        >>> round(VicReg()(Batch(z, z)).item(), 4)
        24.75
    """

    def __init__(
        self,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        official: bool = False,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities, at_least=1)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.official = official

    def forward(self, batch: Batch) -> Tensor:
        names = [m for m in self.modalities or batch.z.modalities if m in batch.z and len(batch.z[m]) > 1]
        own = [self.own(batch.z[m]) for m in names]
        together = self.invariance * super().forward(batch)
        return together + torch.stack(own).mean() if own else together

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        distance = closeness(batch, a, b)
        if distance is None or not self.official:
            return distance  # |sqrt(d) (x - y)|^2 / d
        return distance / batch.z[a].shape[1]

    def own(self, z: Tensor) -> Tensor:
        """Variance and covariance terms of one modality."""
        rows = working(z)[0] if self.official else working(z)[0] * z.shape[1] ** 0.5
        return self.variance * dispersion.variance(rows) + self.covariance * dispersion.covariance(rows)


def closeness(batch: Batch, a: str, b: str) -> Tensor | None:
    """Mean squared distance of the positive pairs of two modalities; None without pairs."""
    both = matched(batch, a, b)
    if both is None:
        return None
    x, y = pair(*both)
    return (x - y).square().sum(1).mean()
