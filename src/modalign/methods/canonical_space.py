"""A shared space in the making: canonical maps, smoothing over neighbours, relations to anchors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.correlation import Canonical
from ..model import Heads
from ..model.heads import Head, likest, moved, relative, smooth
from ..views import Views
from .local_scaling import leading, roughly_leading
from .prepared import Prepared, linear_map

SAMPLE = 4096  # rows from which principal directions are found
SPARE = 10  # neighbours that are found even where fewer are asked for, since other settings ask for them
PRECISION = torch.float32  # of rows and maps, as the heads have it; plans are solved in it


@dataclass(frozen=True, eq=False)
class CanonicalSpace:
    """Canonical maps of prepared views, and anchors by which items are described.

    Args:
        p: the training views, smoothed where the space smooths. fit: canonical maps. ridge: of their whitening.
        neighbours, smoothing: how new items move in the bank of ``p``; smoothing 0: not at all.
        share: weight of the relative part against the linear one, > 0; only with anchors.
        sharpness: of the relative part.
        anchors: modality -> (k, r_m) unit rows in whitened coordinates; none: a linear space.
        weight: (k,) of the anchors.
    """

    p: Prepared
    fit: Canonical
    ridge: float
    neighbours: int = 5
    smoothing: float = 0.0
    share: float = 1.0
    sharpness: float = 1.5
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    weight: Tensor = field(default_factory=lambda: torch.empty(0))

    def whitened(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in whitened coordinates, in ``PRECISION``."""
        return (rows * self.p.principal[m].scale(self.ridge)).to(PRECISION)

    def coordinates(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in the coordinates that the head's front gives."""
        w = self.whitened(m, rows)
        return relative(w, self.anchors[m], self.weight, self.sharpness) if self.anchors else w

    def anchored(self, rows: Mapping[str, Tensor], weight: Tensor, share: float) -> CanonicalSpace:
        """The same space with the items of these rows as anchors; what is absent (-1) is told from the rest."""
        there = {m: self.whitened(m, self.p.rows[m][r]) * (r >= 0)[:, None] for m, r in rows.items()}
        whole = there if all(bool((r >= 0).all()) for r in rows.values()) else self.imputed(there, rows)
        return replace(self, anchors={m: normalize(w, dim=1) for m, w in whole.items()}, weight=weight, share=share)

    def imputed(self, there: Mapping[str, Tensor], rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Whitened rows of the same things, absent ones set to their posterior mean given the sides that are there.

        In the probabilistic model whose canonical correlations are r, the shared variate of a thing with n sides has
        the mean s = r / (1 + (n - 1) r) sum_m V_m^T w_m, and an absent side V_m s; V: directions without their scale.

        Args:
            there: modality -> (k, r_m), zeros where absent. rows: modality -> (k,), -1 where absent.

        Reference: Bach & Jordan 2005, A probabilistic interpretation of canonical correlation analysis.
        """
        scale = torch.stack([d.square().sum(0) for d in self.fit.directions]).mean(0).sqrt()
        v = {m: (d / scale).to(PRECISION) for m, d in zip(self.p.modalities, self.fit.directions, strict=True)}
        sides = torch.stack([r >= 0 for r in rows.values()]).sum(0)[:, None]
        r = self.fit.correlations.to(PRECISION)
        shared = torch.stack([w @ v[m] for m, w in there.items()]).sum(0) * r / (1 + (sides - 1) * r)
        return {m: torch.where((rows[m] >= 0)[:, None], w, shared @ v[m].T) for m, w in there.items()}

    @cached_property
    def linear(self) -> dict[str, Tensor]:
        """Modality -> map of the linear part; beside a relative part its rows have mean norm 1."""
        out = {}
        for k, m in enumerate(self.p.modalities):
            out[m] = self.fit.directions[k].to(PRECISION)
            if self.anchors:
                u = normalize(self.whitened(m, spread(self.p.rows[m])), dim=1)
                out[m] = out[m] / (u @ out[m]).norm(dim=1).mean()
        return out

    def maps(self) -> dict[str, Tensor]:
        """Modality -> map from coordinates to [linear part, sqrt(share) relative part]."""
        if not self.anchors:
            return dict(self.linear)
        same = self.share**0.5 * torch.eye(len(self.weight), dtype=PRECISION)
        return {m: torch.block_diag(linear, same) for m, linear in self.linear.items()}

    def embed(self, m: str, rows: Tensor) -> Tensor:
        """Prepared rows in the shared space, unit rows."""
        c, linear = self.coordinates(m, rows), self.linear[m]
        front, back = c[:, : len(linear)] @ linear, c[:, len(linear) :]
        return normalize(torch.cat([front, back * self.share**0.5], 1), dim=1)

    def leading(self, width: int) -> dict[str, Tensor]:
        """Modality -> (r, width) map of prepared rows into the leading directions of the linear part."""
        scales = {m: axes.scale(self.ridge)[:, None] for m, axes in self.p.principal.items()}
        return {m: scales[m] * d[:, :width] for m, d in zip(self.p.modalities, self.fit.directions, strict=True)}

    def composed(self) -> dict[str, Tensor]:
        """Modality -> for each training row the normalised sum of the sides that its thing has."""
        z = torch.cat([self.embed(m, rows) for m, rows in self.p.rows.items()])
        things, thing = torch.unique(torch.cat(list(self.p.ids.values())), return_inverse=True)
        whole = normalize(z.new_zeros(len(things), z.shape[1]).index_add_(0, thing, z), dim=1)
        return dict(zip(self.p.rows, whole[thing].split([len(r) for r in self.p.rows.values()]), strict=True))

    def embed_new(self, x: Views) -> Views:
        """FeatureMap of new items in the shared space, as the heads embed them."""
        return x.map(lambda m, rows: self.embed(m, self._new_rows(m, rows)))

    def _new_rows(self, m: str, x: Tensor) -> Tensor:
        """New items as prepared rows, smoothed as the heads do; made once for the same items, which ``p`` holds."""
        rows = self.p.new(m, x)
        if not self.smoothing:
            return rows
        name = ("new", m, id(x), self.ridge, self.neighbours, self.smoothing)
        if name not in self.p.memo:
            self.p.memo[name] = self._smoothed(m, rows)
        return self.p.memo[name]

    def _smoothed(self, m: str, rows: Tensor) -> Tensor:
        scale = self.p.principal[m].scale(self.ridge)
        w, bank = self.whitened(m, rows), self.whitened(m, self.p.bank[m])
        parts = [smooth(part, bank, self.neighbours, self.smoothing) for part in w.split(2048)]
        return torch.cat(parts).double() / scale

    def heads(self, dim: int | None = None, rough: bool = False) -> Heads:
        """Heads of this space, reduced to ``dim`` principal directions of all training items of all modalities.

        Args:
            rough: only nearly the principal ones, for heads that serve to judge.
        """
        maps = self.maps()
        if dim is not None and next(iter(maps.values())).shape[1] > dim:
            z = {m: self.embed(m, spread(self.p.rows[m])) for m in maps}
            axes = (roughly_leading if rough else leading)(z, dim).to(PRECISION)
            maps = {m: w @ axes for m, w in maps.items()}
        return Heads({m: Head(self._front(k, m), linear_map(maps[m])) for k, m in enumerate(maps)}).eval()

    def _front(self, k: int, m: str):  # type: ignore[no-untyped-def]
        front = self.p.front(
            m, self.fit.means[k], self.fit.bases[k],
            bank=len(self.p.bank[m]) if self.smoothing else 0, neighbours=self.neighbours, smoothing=self.smoothing,
            anchors=len(self.weight), sharpness=self.sharpness,
        )  # fmt: skip
        if front.bank is not None:
            front.bank.copy_(self.whitened(m, self.p.bank[m]))
        if front.anchors is not None and front.weight is not None:
            front.anchors.copy_(self.anchors[m])
            front.weight.copy_(self.weight)
        return front


def smoothed(p: Prepared, ridge: float, neighbours: int, smoothing: float) -> Prepared:
    """Prepared views whose rows moved towards their neighbours in the bank, in whitened coordinates; made once."""
    name, rows = ("smoothed", ridge, neighbours, smoothing), {}
    if name in p.memo:
        return p.memo[name]
    for m, x in p.rows.items():
        scale = p.principal[m].scale(ridge)
        w, bank = (x * scale).to(PRECISION), (p.bank[m] * scale).to(PRECISION)
        weight, index = _nearest(p, m, w, bank, ridge, neighbours)
        rows[m] = moved(w, bank, weight, index, smoothing).double() / scale
    p.memo[name] = replace(p, rows=rows, memo={})
    return p.memo[name]


def _nearest(p: Prepared, m: str, w: Tensor, bank: Tensor, ridge: float, neighbours: int) -> tuple[Tensor, Tensor]:
    """As `likest`; found once for the rows of ``p`` at a ridge, some more than asked for."""
    name = ("near", m, ridge)
    if name not in p.memo or p.memo[name][1].shape[1] < min(neighbours, len(bank)):
        parts = [likest(part, bank, max(neighbours, SPARE)) for part in w.split(2048)]
        p.memo[name] = torch.cat([v for v, _ in parts]), torch.cat([i for _, i in parts])
    weight, index = p.memo[name]
    return weight[:, :neighbours], index[:, :neighbours]


def spread(rows: Tensor, most: int = SAMPLE) -> Tensor:
    """At most so many rows, at equal steps."""
    return rows[:: max(1, -(-len(rows) // most))]
