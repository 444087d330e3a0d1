"""Heads: feature -> unit vector in the shared space, a frozen front and a trained back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from ..errors import ModalignError


class Part(nn.Module):
    """A stage of a head, built from plain settings, which its representation shows where they ask for something."""

    settings: dict[str, Any]

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.settings.items() if v)


class FeatureMap(Part):
    """The frozen front of a head: features -> coordinates that a linear map starts from.

    1. phi: signed square root (for skewed features without negative values, such as pooled activations) and scaling
       to unit length, where asked.
    2. w = (phi(x) - mean) basis.
    3. With a bank of training items, w moves towards its neighbours there (``smooth``).
    4. With anchors, the coordinates are [u, a / |a|], u = w / |w|, a_k = weight_k max(0, <u, anchor_k>)^sharpness:
       how much an item is like each of the anchors, which are the same things in every modality (``relative``).
       All but the ``nearest`` anchors may be set to 0.

    Args:
        width: features of an input row.
        rank: columns of the basis; 0: no basis, w = phi(x) - mean.
        root: signed square root. unit: unit rows.
        bank: rows of the bank; 0: none. neighbours: of each item in it. smoothing: how far to move, >= 0.
        anchors: how many; 0: none, and coordinates w that are not normalised.
        sharpness: > 0; the higher, the more an item is described by its nearest anchors alone.
        nearest: anchors that count for an item; 0: all.
    """

    def __init__(
        self,
        width: int,
        rank: int = 0,
        root: bool = False,
        unit: bool = False,
        bank: int = 0,
        neighbours: int = 5,
        smoothing: float = 0.5,
        anchors: int = 0,
        sharpness: float = 1.5,
        nearest: int = 0,
    ) -> None:
        super().__init__()
        self.settings = {
            "width": width, "rank": rank, "root": root, "unit": unit, "bank": bank, "neighbours": neighbours,
            "smoothing": smoothing, "anchors": anchors, "sharpness": sharpness, "nearest": nearest,
        }  # fmt: skip
        self.width, self.root, self.unit = width, root, unit
        self.neighbours, self.smoothing, self.sharpness, self.nearest = neighbours, smoothing, sharpness, nearest
        whitened = rank or width
        self.out = whitened + anchors
        self.mean: Tensor
        self.basis: Tensor | None
        self.bank: Tensor | None
        self.anchors: Tensor | None
        self.weight: Tensor | None
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("basis", torch.zeros(width, rank) if rank else None)
        self.register_buffer("bank", torch.zeros(bank, whitened) if bank else None)
        self.register_buffer("anchors", torch.zeros(anchors, whitened) if anchors else None)
        self.register_buffer("weight", torch.ones(anchors) if anchors else None)

    def phi(self, x: Tensor) -> Tensor:
        """(n, width) rows after root and scaling, before centring."""
        x = x.to(self.mean.dtype)
        if self.root:
            root = x.abs().sqrt()
            x = torch.where(x < 0, -root, root)
        return normalize(x, dim=-1) if self.unit else x

    def forward(self, x: Tensor) -> Tensor:
        w = self.phi(x) - self.mean
        if self.basis is not None:
            w = w @ self.basis
        if self.bank is not None:
            w = smooth(w, self.bank, self.neighbours, self.smoothing)
        if self.anchors is None or self.weight is None:
            return w
        return relative(w, self.anchors, self.weight, self.sharpness, self.nearest)


def smooth(w: Tensor, bank: Tensor, neighbours: int, smoothing: float) -> Tensor:
    """Rows moved towards their nearest rows of a bank: w + smoothing sum_j a_j bank_j, a_j ~ max(0, cos(w, bank_j))^2.

    A row's own copy in the bank (cosine above .9999) is not its neighbour, so that training items are treated as
    new ones are.

    Example:
        >>> smooth(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 3.0], [-1.0, 0.0]]), 2, 0.5)
        tensor([[2.5000, 1.5000]])
    """
    return moved(w, bank, *likest(w, bank, neighbours), smoothing)


def likest(w: Tensor, bank: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """(n, k) squared positive cosines of rows to their nearest rows of a bank, falling, and which these are."""
    cosine = normalize(w, dim=-1) @ normalize(bank, dim=-1).T
    cosine.masked_fill_(cosine > 0.9999, -1.0)
    near, index = cosine.topk(min(neighbours, len(bank)), dim=-1)
    return near.clamp(min=0.0).square(), index


def moved(w: Tensor, bank: Tensor, weight: Tensor, index: Tensor, smoothing: float) -> Tensor:
    """w + smoothing times the weighted mean of the rows of a bank."""
    share = weight / weight.sum(-1, keepdim=True).clamp(min=1e-9)
    if torch.compiler.is_exporting():  # other programs know no bag of rows, and would go from row to row
        return w + smoothing * (share.unsqueeze(-2) @ bank[index]).squeeze(-2)
    return w + smoothing * embedding_bag(index, bank, per_sample_weights=share, mode="sum")


def relative(w: Tensor, anchors: Tensor, weight: Tensor, sharpness: float, nearest: int = 0) -> Tensor:
    """Unit rows beside their likeness to unit anchors: [u, a / |a|], a_k = weight_k max(0, <u, anchor_k>)^sharpness.

    Reference: relative representations: Moschella et al. 2022, arXiv 2209.15430; with paired anchors: Norelli et al.
    2022, arXiv 2210.01738. The rectification makes them arc-cosine kernel features (Cho & Saul 2009).

    Example:
        >>> relative(torch.tensor([[2.0, 0.0]]), torch.eye(2), torch.ones(2), 1.5)
        tensor([[1., 0., 1., 0.]])
    """
    u = normalize(w, dim=-1)
    likeness = (u @ anchors.T).clamp(min=0.0) ** sharpness * weight
    if 0 < nearest < len(anchors):
        least = likeness.topk(nearest, dim=-1).values[:, -1:]
        likeness = likeness.masked_fill(likeness < least, 0.0)
    return torch.cat([u, normalize(likeness, dim=-1)], -1)


class Projection(Part):
    """The trained back of a head: c -> normalise(c W + b + MLP(c)).

    Args:
        width: coordinates that come in.
        dim: of the shared space.
        hidden: units of the residual two-layer perceptron, whose output starts at zero; 0: none.
        dropout: on its hidden units, in [0, 1).
    """

    def __init__(self, width: int, dim: int, hidden: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.settings = {"dim": dim, "hidden": hidden, "dropout": dropout}
        self.width, self.dim = width, dim
        self.weight = nn.Parameter(torch.randn(width, dim) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.residual: nn.Module | None = None
        if hidden:
            last = nn.Linear(hidden, dim)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.residual = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), last)

    def forward(self, c: Tensor) -> Tensor:
        z = c @ self.weight + self.bias
        if self.residual is not None:
            z = z + self.residual(c)
        return normalize(z, dim=-1)


class LocalScaling(Part):
    """The last, frozen stage of a head: coordinates that take its crowdedness from the cosine between modalities.

    An item that is near to many items of the other modalities is found for many wrong queries: a hub. Let r(z) be the
    mean cosine of z to its ``neighbours`` nearest items in a bank of the other modalities' training items, and
    b(z) = strength (r(z) - mean r) / 2. Each head gets one more coordinate for every modality: -b / edge in that of its
    own, ``edge`` in those of the others. Between two modalities z . w then becomes z . w - b(z) - b(w) + constant:
    cross-domain local scaling, inside the space, for any index to use. Rows are scaled back to unit length.

    Args:
        dim: of the rows that come in. bank: rows of the bank.
        own: the modality's place among the modalities; modalities: how many there are.
        neighbours: of an item in the bank. strength: 0 changes no cosine, 1 is full local scaling.
        edge: size of the constant coordinates; small values blur the result, large ones open a gap between modalities.

    Reference: Lample et al. 2018, arXiv 1710.04087, section 2.3 (the scaling); Chun et al. 2022 and others report the
    hubs of cross-modal retrieval.
    """

    def __init__(
        self,
        dim: int,
        bank: int,
        own: int,
        modalities: int = 2,
        neighbours: int = 30,
        strength: float = 1.0,
        edge: float = 0.25,
    ) -> None:
        super().__init__()
        self.settings = {
            "bank": bank, "own": own, "modalities": modalities, "neighbours": neighbours, "strength": strength,
            "edge": edge,
        }  # fmt: skip
        self.own, self.modalities, self.neighbours = own, modalities, neighbours
        self.strength, self.edge = strength, edge
        self.dim = dim + modalities
        self.bank: Tensor
        self.mean: Tensor
        self.register_buffer("bank", torch.zeros(bank, dim))
        self.register_buffer("mean", torch.zeros(()))

    def crowd(self, z: Tensor) -> Tensor:
        """(n,) mean cosine of unit rows to their nearest rows of the bank."""
        return (z @ self.bank.T).topk(min(self.neighbours, len(self.bank)), dim=-1).values.mean(-1)

    def forward(self, z: Tensor) -> Tensor:
        more = torch.full((*z.shape[:-1], self.modalities), self.edge, dtype=z.dtype, device=z.device)
        more[..., self.own] = -self.strength * (self.crowd(z) - self.mean) / (2.0 * self.edge)
        return normalize(torch.cat([z, more], -1), dim=-1)


class Head(nn.Module):
    """Feature -> unit vector: a frozen `FeatureMap`, a trained `Projection`, and `LocalScaling` behind it where asked.

    Args:
        features: the front. map: the back, whose width is the front's ``out``. hubs: the last stage.
    """

    def __init__(self, features: FeatureMap, map: Projection, hubs: LocalScaling | None = None) -> None:
        super().__init__()
        if map.width != features.out:
            raise ModalignError(f"a map of {map.width} coordinates does not fit features of {features.out}")
        self.features, self.map, self.hubs = features, map, hubs

    @property
    def dim(self) -> int:
        """Width of the rows that come out."""
        return self.map.dim if self.hubs is None else self.hubs.dim

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.features(x))

    def behind(self, c: Tensor) -> Tensor:
        """What follows the front: coordinates -> unit rows."""
        z: Tensor = self.map(c)
        return z if self.hubs is None else self.hubs(z)

    def specification(self) -> dict[str, Any]:
        """Plain settings from which `Heads.from_specification` builds an empty head of this shape."""
        table = {"features": self.features.settings, "map": self.map.settings}
        return table if self.hubs is None else {**table, "hubs": self.hubs.settings}
