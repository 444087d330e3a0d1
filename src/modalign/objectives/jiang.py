"""Jiang et al. (2023) whole: contrast between and within modalities, separation, bridge, consistency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ..geometry import contrast
from ..geometry.cost import inner, working
from ..parameters import Dim, Fraction, Positive
from ..registry import register
from ..views import Batch, Views
from .base import Objective, Scale
from .bridge import Bridge, Consistency, Separation, augmented_of
from .pairwise import Pairwise


@register("objective", "jiang")
class Jiang(Pairwise):
    """The whole of Jiang et al.: contrast between and within modalities, separation, bridge and consistency.

    L = 1/4 (V2T + T2V + V2V + T2T) + separation L_sep + bridge L_bridge + consistency L_geo; V2V and T2T are InfoNCE of
    items against their own augmented views. Needs ``batch.augmented`` in training; without it (validation) the in-modal
    and bridge terms are left out.

    Args:
        separation: weight; .1 here, no value was found in print (as for the next two).
        bridge: weight; .25 here.
        consistency: weight; .25 here, as in CyCLIP, whose terms it extends.
        widths: modality -> width of the heads' inputs, for the extra heads; None: from ``prepare``.
        dim: width of the shared space.
        t: of the bridge; published .25.
        scale: 1 / temperature at the start.
        modalities: which; default all.

    Use when: the whole published method is wanted, as a baseline; it needs augmented views and takes about ten times
        `Clip`.
    Related: its parts `Bridge`, `Separation` and `Consistency`, each to be combined freely in `Total`.

    Reference: Jiang et al. (2023), arXiv 2303.05952.

    Example:
        >>> import torch
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> loss = Jiang(separation=0.0, scale=1.0)(Batch(z, z, augmented=z))
        >>> round(loss.item(), 4)
        0.7437
    """

    def __init__(
        self,
        separation: float = 0.1,
        bridge: float = 0.25,
        consistency: float = 0.25,
        widths: Mapping[str, int] | None = None,
        dim: Dim = 256,
        t: Fraction = 0.25,
        scale: Positive = contrast.CLIP_SCALE,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        self.scale = Scale(scale)
        self.weights = {"separation": separation, "bridge": bridge, "consistency": consistency}
        terms: dict[str, Objective] = {
            "separation": Separation(widths, dim),
            "bridge": Bridge(t, modalities=modalities),
            "consistency": Consistency(modalities=modalities),
        }
        self.terms = nn.ModuleDict({name: term for name, term in terms.items() if self.weights[name]})

    def prepare(self, x: Views) -> None:
        """Make the extra heads, as wide as the training features."""
        if "separation" in self.terms:
            self.terms["separation"].prepare(x)  # type: ignore[operator]

    def forward(self, batch: Batch) -> Tensor:
        loss = super().forward(batch)
        for name, term in self.terms.items():
            loss = loss + self.weights[name] * term(batch)
        return loss

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        """1/4 of InfoNCE both ways between two modalities, and of each against its augmented views."""
        positives, augmented = batch.z.positives(a, b), augmented_of(self, batch)
        if not bool(positives.any()):
            return None
        scale = self.scale()
        across = contrast.clip(batch.z[a], batch.z[b], positives, scale)
        if augmented is None:
            return across
        within = [
            contrast.infonce(inner(*working(batch.z[m], augmented[m])), batch.z.positives(m, m), scale) for m in (a, b)
        ]
        return 0.5 * across + 0.25 * (within[0] + within[1])
