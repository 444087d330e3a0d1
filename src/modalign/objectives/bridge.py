"""Jiang et al. (2023): keep what each modality has of its own while aligning what they share. Three terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize

from ..errors import ModalignError
from ..geometry import bridge, contrast
from ..geometry.cost import inner, working
from ..parameters import Dim, Positive, Share, Weight
from ..registry import register
from ..views import Batch, Views
from .base import Objective, Scale, key_of, nothing
from .pairwise import Pairwise, chosen, matched


@register("objective", "bridge")
class Bridge(Pairwise):
    """Brownian bridge: augmented items should lie on the way between the two modalities of their group.

    L = mean_pairs (2 - 2 <z'_a, mu_t>), mu_t = normalise(t z_a + (1 - t) z_b), z'_a an augmented view of a's item.
    Needs ``batch.augmented``, the augmented items in the shared space.

    Args:
        t: in [0, 1], share of the augmented modality itself; published .25.
        sample: draw t uniformly in (.05, .95) anew for each pair and weight by 1 / (2 t (1 - t)).
        of: the modalities whose augmented views are used; published: the image. None: each in turn.
        modalities: which pairs; default all.

    Use when: some of the gap between modalities should stay, and augmented views are at hand (``noise`` or ``drop``
        in training).
    Related: `Jiang`, the whole method that it is a part of.

    Reference: Jiang et al. (2023), arXiv 2303.05952, Brownian bridge (the printed closed form is wrong).

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(2), image=torch.eye(2))
        >>> Bridge()(Batch(z, z, augmented=z)).item()
        0.0
    """

    def __init__(
        self,
        t: Weight = 0.25,
        sample: bool = False,
        of: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        if not 0 <= t <= 1:
            raise ModalignError(f"t is {t}: it must be between 0 and 1")
        self.t, self.sample, self.of = t, sample, chosen(of, at_least=1)

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        rows = batch.z.paired(a, b)
        augmented = augmented_of(self, batch)
        if not len(rows) or augmented is None:
            return None
        ways = [(a, b, rows), (b, a, rows.flip(1))]
        losses = [self.way(batch.z, augmented, m, n, r) for m, n, r in ways if self.of is None or m in self.of]
        return torch.stack(losses).mean() if losses else None

    def way(self, z: Views, augmented: Views, a: str, b: str, rows: Tensor) -> Tensor:
        """Augmented items of a against the way from b to a."""
        t: float | Tensor = self.t
        if self.sample:
            t = torch.rand(len(rows), device=rows.device) * 0.9 + 0.05
        return bridge.brownian_bridge(augmented[a][rows[:, 0]], z[a][rows[:, 0]], z[b][rows[:, 1]], t, self.sample)


@register("objective", "consistency")
class Consistency(Pairwise):
    """Geometric consistency: distances between items are the same in, and across, both modalities.

    L = (1/N) sum_jk [(<x_j, y_k> - <x_k, y_j>)^2 + (<x_j, x_k> - <y_j, y_k>)^2] over the N positive pairs;
    with augmented views also the same between each modality and its augmented items, and of the paired similarities.

    Args:
        augmented: weight of the terms on augmented views; 0 leaves them out. Used where the batch has them.
        modalities: which; default all.

    Use when: similarities should mirror each other in both modalities, beside a retrieval term of your choice.
    Related: `CyClip`, the same with `Clip` built in; `Jiang`, the whole method.

    Reference: Jiang et al. (2023), arXiv 2303.05952, geometric consistency.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(3), image=torch.eye(3).flip(0))
        >>> Consistency()(Batch(z, z)).item()
        0.0
    """

    def __init__(self, augmented: float = 1.0, modalities: Sequence[str] | None = None) -> None:
        super().__init__(modalities)
        self.augmented = augmented

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        both = matched(batch, a, b)
        if both is None:
            return None
        loss = bridge.geometric_consistency(*both)
        second = batch.augmented
        if self.augmented and second is not None and a in second and b in second:
            rows = batch.z.paired(a, b)
            loss = loss + self.augmented * bridge.augmented_consistency(
                *both, second[a][rows[:, 0]], second[b][rows[:, 1]]
            )
        return loss


@register("objective", "separation")
class Separation(Objective):
    """Deep feature separation: extra heads hold what is particular to a modality, apart from what is shared.

    L = orthogonality mean_j <z_j, s_j>^2 + instance InfoNCE(s, s') + uniformity log sum_m mean exp(-2 |s_j - s_k|^2),
    s the extra heads' unit outputs for the heads' inputs x, s' the same for x with features dropped at random. (The
    printed numerator of the in-modal InfoNCE is a constant, a misprint.) Learns from unpaired items.

    Args:
        widths: modality -> width of the heads' inputs; None: taken from the training features by ``prepare``, which
            must then be called before the optimiser is made.
        dim: width of the shared space.
        orthogonality: weight; no value was found in print, 1 here.
        instance: weight; 1 here.
        uniformity: weight; 1 here.
        drop: share of features dropped for the augmented view, in [0, 1).
        scale: 1 / temperature of the in-modal InfoNCE.

    Use when: what is particular to a modality must survive alignment, for tasks inside that modality.
    Related: `Jiang`, the whole method; `Uniformity`, against collapse alone.

    Reference: Jiang et al. (2023), arXiv 2303.05952, deep feature separation.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> Separation({"text": 4, "image": 4}, dim=4)(Batch(z, z)).ndim
        0
    """

    def __init__(
        self,
        widths: Mapping[str, int] | None = None,
        dim: Dim = 256,
        orthogonality: float = 1.0,
        instance: float = 1.0,
        uniformity: float = 1.0,
        drop: Share = 0.1,
        scale: Positive = contrast.CLIP_SCALE,
    ) -> None:
        super().__init__()
        self.dim, self.drop = dim, drop
        self.orthogonality, self.instance, self.uniformity = orthogonality, instance, uniformity
        self.scale = Scale(scale)
        self.heads = nn.ModuleDict()
        for modality, width in (widths or {}).items():
            self._add(modality, width)

    def prepare(self, x: Views) -> None:
        """Make the extra heads that are still missing, as wide as the training features."""
        for modality, rows in x.data.items():
            if key_of(modality) not in self.heads:
                self._add(modality, rows.shape[1])

    def forward(self, batch: Batch) -> Tensor:
        names = [m for m in batch.z.modalities if len(batch.z[m])]
        if not names:
            return nothing(batch)
        specific = {m: self.specific(m, batch.x[m]) for m in names}
        own = [self.own(batch, m, specific[m]) for m in names]
        return torch.stack(own).mean() + self.uniformity * bridge.spread(list(specific.values()))

    def own(self, batch: Batch, modality: str, specific: Tensor) -> Tensor:
        """Orthogonality to the shared features, and each item recognisable from its dropped-out copy."""
        loss = self.orthogonality * bridge.orthogonality(batch.z[modality], specific)
        second = self.specific(modality, dropout(working(batch.x[modality])[0], self.drop, self.training))
        similarity = inner(specific, second)
        same = batch.z.positives(modality, modality)
        return loss + self.instance * contrast.infonce(similarity, same, self.scale())

    def specific(self, modality: str, x: Tensor) -> Tensor:
        """(n, dim) unit rows: what is particular to these items' modality."""
        if key_of(modality) not in self.heads:
            raise ModalignError(
                f"separation has no head for '{modality}': give its width in widths, or call prepare before training"
            )
        return normalize(self.heads[key_of(modality)](x.to(self.scale.log_scale.dtype)), dim=1)

    def _add(self, modality: str, width: int) -> None:
        self.heads[key_of(modality)] = nn.Linear(width, self.dim)


def augmented_of(objective: Objective, batch: Batch) -> Views | None:
    """The batch's augmented views, checked to be row-aligned; None where validation has none.

    Raises:
        ModalignError: training without augmented views, or views of other items.
    """
    second = batch.augmented
    if second is None:
        if objective.training:
            raise ModalignError(
                f"the objective {type(objective).__name__.lower()} needs augmented views: train with augmentation"
            )
        return None
    for m in batch.z.modalities:
        if m not in second or second[m].shape != batch.z[m].shape:
            raise ModalignError(f"augmented views must hold the same items as the batch: '{m}' differs")
    return second
