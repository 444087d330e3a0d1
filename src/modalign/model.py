"""Heads (feature -> unit vector in the shared space) and the model: heads, and which encoders they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import normalize

from .errors import ModalignError, few, unknown
from .files import atomic, read_json, write_json
from .registry import check
from .views import Views

FORMAT = 1


class Features(nn.Module):
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
        self.settings: dict[str, Any] = {
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
            x = x.sign() * x.abs().sqrt()
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
    cosine = normalize(w, dim=-1) @ normalize(bank, dim=-1).T
    cosine = cosine.masked_fill(cosine > 0.9999, -1.0)
    near, index = cosine.topk(min(neighbours, len(bank)), dim=-1)
    share = near.clamp(min=0.0).square()
    share = share / share.sum(-1, keepdim=True).clamp(min=1e-9)
    return w + smoothing * (share.unsqueeze(-1) * bank[index]).sum(-2)


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


class Map(nn.Module):
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


class Head(nn.Module):
    """Feature -> unit vector: a frozen front (`Features`) and a trained back (`Map`).

    Args:
        features: the front. map: the back, whose width is the front's ``out``.
    """

    def __init__(self, features: Features, map: Map) -> None:
        super().__init__()
        if map.width != features.out:
            raise ModalignError(f"a map of {map.width} coordinates does not fit features of {features.out}")
        self.features, self.map = features, map

    def forward(self, x: Tensor) -> Tensor:
        return self.map(self.features(x))

    def specification(self) -> dict[str, Any]:
        """Plain settings from which `Heads.from_specification` builds an empty head of this shape."""
        return {"features": self.features.settings, "map": self.map.settings}


class Heads(nn.Module):
    """One head per modality, into one shared space.

    Example:
        >>> heads = Heads({"text": Head(Features(3), Map(3, 2))})
        >>> heads.transform(torch.eye(3), "text").norm(dim=1)
        tensor([1., 1., 1.])
    """

    def __init__(self, heads: Mapping[str, Head]) -> None:
        super().__init__()
        dims = {m: head.map.dim for m, head in heads.items()}
        if len(set(dims.values())) != 1:
            raise ModalignError(f"heads must share one space, got dimensions {dims}")
        # A list, not a ModuleDict: a modality may have any name, also "keys" or "a.b".
        self.modalities = tuple(heads)
        self.list = nn.ModuleList(heads.values())
        self.dim = next(iter(dims.values()))

    def __getitem__(self, modality: str) -> Head:
        if modality not in self.modalities:
            raise unknown("modality", modality, self.modalities)
        return self.list[self.modalities.index(modality)]  # type: ignore[return-value]

    def forward(self, x: Views) -> Views:
        """Views of features as views of unit rows, for the modalities that x has."""
        for m, rows in x.data.items():
            self._check(rows, m)
        return x.map(lambda m, rows: self[m](rows))

    @torch.no_grad()
    def transform(self, x: Tensor, modality: str, chunk: int = 2048) -> Tensor:
        """(n, width) features of one modality as (n, dim) float32 unit rows, without gradient or dropout.

        Raises:
            ModalignError: unknown modality, wrong width, or rows with NaN or infinite values.
        """
        self._check(x, modality)
        bad = (~torch.isfinite(x).all(1)).nonzero().flatten()
        if len(bad):
            raise ModalignError(
                f"'{modality}' has NaN or infinite values in {len(bad)} of {len(x)} rows ({few(bad.tolist())}): "
                "remove these rows"
            )
        training = self.training
        self.eval()
        out = [self[modality](part).float() for part in x.split(chunk)]
        self.train(training)
        return torch.cat(out) if out else x.new_zeros(0, self.dim, dtype=torch.float32)

    def embed(self, x: Views) -> Views:
        """All of x through `transform`."""
        return x.map(lambda m, rows: self.transform(rows, m))

    def _check(self, x: Tensor, modality: str) -> None:
        width = self[modality].features.width
        if x.ndim != 2 or x.shape[1] != width:
            raise ModalignError(
                f"the head of '{modality}' takes rows of {width} features, got an array of shape {tuple(x.shape)}: "
                "use features of the encoder it was trained on"
            )

    def specification(self) -> dict[str, Any]:
        """Modality -> plain settings."""
        return {m: self[m].specification() for m in self.modalities}

    @classmethod
    def from_specification(cls, table: Mapping[str, Any]) -> Heads:
        """Heads of a given shape, with weights still to be loaded."""
        heads = {}
        for m, entry in table.items():
            features = Features(**check(Features, entry["features"], f"features of '{m}'"))
            settings = check(Map, {"width": features.out, **entry["map"]}, f"map of '{m}'")
            heads[m] = Head(features, Map(**settings))
        return cls(heads)


@dataclass
class Model:
    """Heads and what they belong to.

    Args:
        heads: the trained part.
        encoders: modality -> {"name": ..., settings}; empty for plain feature arrays.
        fingerprints: modality -> fingerprint of the encoder whose features the head was trained on.
        method: {"name": ..., settings} of the method that made the heads.
        record: what the method tried and chose, plain values.
    """

    heads: Heads
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    def transform(self, x: Tensor, modality: str) -> Tensor:
        """Features into the shared space; see `Heads.transform`."""
        return self.heads.transform(x, modality)

    def save(self, folder: Path | str) -> None:
        """Write model.safetensors and model.json, each atomically; the digest in the latter ties them together."""
        folder = Path(folder)
        blob = save({k: v.detach().cpu().contiguous() for k, v in self.heads.state_dict().items()})
        table = {
            "format": FORMAT,
            "heads": self.heads.specification(),
            "encoders": self.encoders,
            "fingerprints": self.fingerprints,
            "method": self.method,
            "record": self.record,
            "sha256": hashlib.sha256(blob).hexdigest(),
        }
        with atomic(folder / "model.safetensors") as partial:
            partial.write_bytes(blob)
        write_json(folder / "model.json", table)

    @classmethod
    def load(cls, folder: Path | str) -> Model:
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            ModalignError: files missing, damaged, of a newer format, or not of one save.
        """
        folder = Path(folder)
        table = read_json(folder / "model.json", "model description")
        if not isinstance(table, dict) or not isinstance(table.get("format"), int):
            raise ModalignError(f"model description is damaged: {folder / 'model.json'} has no format number")
        if table["format"] > FORMAT:
            raise ModalignError(
                f"{folder / 'model.json'} has format {table['format']}, this version reads up to {FORMAT}: "
                "update modalign"
            )
        path = folder / "model.safetensors"
        try:
            blob = path.read_bytes()
        except OSError as problem:
            raise ModalignError(f"model weights cannot be read: {path} ({problem.strerror})") from None
        if hashlib.sha256(blob).hexdigest() != table.get("sha256"):
            raise ModalignError(
                f"{path} and model.json do not belong together: one of them is damaged or from another save; fit again"
            )
        try:
            heads = Heads.from_specification(table["heads"])
            heads.load_state_dict(load(blob))
            parts = {k: table[k] for k in ("encoders", "fingerprints", "method", "record")}
        except (SafetensorError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
            reason = " ".join(str(problem).split())[:200]
            raise ModalignError(f"model description is damaged: {folder / 'model.json'} ({reason})") from None
        return cls(heads.eval(), **parts)


def load_model(folder: Path | str) -> Model:
    """The model of a run folder; see `Model.load`."""
    return Model.load(folder)
