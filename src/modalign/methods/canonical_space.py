"""A shared space in the making: canonical maps, smoothing over neighbours, relations to anchors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.correlation import Canonical
from ..model import Heads
from ..model.heads import Head, relative, smooth
from .prepared import Prepared, linear_map

MOST_BANK = 8192  # rows of a smoothing bank
PRECISION = torch.float32  # of rows and maps, as the heads have it; plans are solved in it


@dataclass(frozen=True)
class CanonicalSpace:
    """Canonical maps of prepared views, and anchors by which items are described.

    Args:
        p: the training views, smoothed where the space smooths. fit: canonical maps.
        bank: modality -> rows (not smoothed) towards which items move; none: no smoothing.
        neighbours, smoothing: of the bank.
        share: weight of the relative part against the linear one, > 0; only with anchors.
        sharpness: of the relative part.
        anchors: modality -> (k, r_m) unit rows in whitened coordinates; none: a linear space.
        weight: (k,) of the anchors.
    """

    p: Prepared
    fit: Canonical
    bank: Mapping[str, Tensor] = field(default_factory=dict)
    neighbours: int = 5
    smoothing: float = 0.0
    share: float = 1.0
    sharpness: float = 1.5
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    weight: Tensor = field(default_factory=lambda: torch.empty(0))

    def whitened(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in whitened coordinates, in ``PRECISION``."""
        k = self.p.modalities.index(m)
        scale = (self.p.principal[m].axes * self.fit.bases[k]).sum(0)  # bases = axes * scale, axes orthonormal
        return (rows * scale).to(PRECISION)

    def coordinates(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in the coordinates that the head's front gives."""
        w = self.whitened(m, rows)
        return relative(w, self.anchors[m], self.weight, self.sharpness) if self.anchors else w

    def anchored(self, rows: Mapping[str, Tensor], weight: Tensor, share: float) -> CanonicalSpace:
        """The same space with the items of these rows as anchors; where a row is -1, nothing is like that anchor."""
        anchors = {
            m: normalize(self.whitened(m, self.p.rows[m][r]), dim=1) * (r >= 0)[:, None] for m, r in rows.items()
        }
        return replace(self, anchors=anchors, weight=weight, share=share)

    def maps(self) -> dict[str, Tensor]:
        """Modality -> map from coordinates to [linear part, sqrt(share) relative part], linear part of mean norm 1."""
        out = {}
        for k, m in enumerate(self.p.modalities):
            linear = self.fit.directions[k].to(PRECISION)
            if self.anchors:
                u = normalize(self.whitened(m, self.p.rows[m]), dim=1)
                linear = linear / (u @ linear).norm(dim=1).mean()
                linear = torch.block_diag(linear, self.share**0.5 * torch.eye(len(self.weight)).to(linear))
            out[m] = linear
        return out

    def embed(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in the shared space, unit rows."""
        return normalize(self.coordinates(m, rows) @ self.maps()[m], dim=1)

    def heads(self, dim: int | None = None) -> Heads:
        """Heads of this space, reduced to ``dim`` principal directions of all training items of all modalities."""
        maps = self.maps()
        if dim is not None and next(iter(maps.values())).shape[1] > dim:
            moment = torch.stack([_moment(self.coordinates(m, self.p.rows[m]) @ maps[m]) for m in maps]).sum(0)
            axes = torch.linalg.eigh(moment).eigenvectors[:, -dim:].flip(1).to(PRECISION)
            maps = {m: w @ axes for m, w in maps.items()}
        return Heads({m: Head(self._front(k, m), linear_map(maps[m])) for k, m in enumerate(maps)}).eval()

    def _front(self, k: int, m: str):  # type: ignore[no-untyped-def]
        front = self.p.front(
            m, self.fit.means[k], self.fit.bases[k],
            bank=len(self.bank.get(m, ())), neighbours=self.neighbours, smoothing=self.smoothing,
            anchors=len(self.weight), sharpness=self.sharpness,
        )  # fmt: skip
        if front.bank is not None:
            front.bank.copy_(self.whitened(m, self.bank[m]))
        if front.anchors is not None and front.weight is not None:
            front.anchors.copy_(self.anchors[m])
            front.weight.copy_(self.weight)
        return front


def smoothed(
    p: Prepared, ridge: float, neighbours: int, smoothing: float, seed: int
) -> tuple[Prepared, dict[str, Tensor]]:
    """Prepared views whose rows moved towards their neighbours in whitened coordinates, and the bank they moved in."""
    bank, rows = {}, {}
    for m, x in p.rows.items():
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MOST_BANK].sort().values
        bank[m] = x[order]
        scale = p.principal[m].scale(ridge)
        w, b = (x * scale).to(PRECISION), (bank[m] * scale).to(PRECISION)
        moved = torch.cat([smooth(part, b, neighbours, smoothing) for part in w.split(2048)])
        rows[m] = moved.double() / scale
    return replace(p, rows=rows), bank


def _moment(z: Tensor) -> Tensor:
    z = normalize(z, dim=1).double()
    return z.T @ z / len(z)
