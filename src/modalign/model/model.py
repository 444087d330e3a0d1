"""All heads of a shared space, and the model: heads and which encoders they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..errors import ModalignError, check_known, few
from ..files import TUNED, RunFile, as_path, atomic, read_table, read_tied, write_tied
from ..parameters import Count, checked
from ..registry import check
from ..views import Views
from .heads import FeatureMap, Head, LocalScaling, Projection

FILES = (RunFile.WEIGHTS, RunFile.MODEL)
FORMAT = 2
"""Of models with tuned encoders; others are written as 1, so that older versions read them."""


class Heads(nn.Module):
    """One head per modality, into one shared space.

    Example:
        >>> heads = Heads({"text": Head(FeatureMap(3), Projection(3, 2))})
        >>> z = heads.transform(torch.eye(3), "text")
        >>> z.shape, [round(v, 4) for v in z.norm(dim=1).tolist()]
        (torch.Size([3, 2]), [1.0, 1.0, 1.0])
    """

    def __init__(self, heads: Mapping[str, Head]) -> None:
        super().__init__()
        dims = {m: head.dim for m, head in heads.items()}
        if len(set(dims.values())) != 1:
            raise ModalignError(f"heads must share one space, got dimensions {dims}")
        # A list, not a ModuleDict: a modality may have any name, also "keys" or "a.b".
        self.modalities = tuple(heads)
        self.list = nn.ModuleList(heads.values())
        self.dim = next(iter(dims.values()))

    def extra_repr(self) -> str:
        return ", ".join(f"{m} {self[m].features.width} -> {self.dim}" for m in self.modalities)

    def __getitem__(self, modality: str) -> Head:
        check_known("modality", modality, self.modalities)
        return self.list[self.modalities.index(modality)]  # type: ignore[return-value]

    def forward(self, x: Views) -> Views:
        """Views of features as views of unit rows, for the modalities that x has."""
        for m, rows in x.data.items():
            self._check(rows, m)
        return x.map(lambda m, rows: self[m](rows))

    @checked
    @torch.no_grad()
    def transform(self, x: Tensor, modality: str, chunk: Count = 2048, zero_rows: bool = False) -> Tensor:
        """(n, width) features of one modality as (n, dim) float32 unit rows, without gradient or dropout.

        Args:
            zero_rows: embed all-zero rows. By default they are refused: they say nothing, so that all would become
                one and the same vector.

        Raises:
            ModalignError: unknown modality, wrong width, rows with NaN or infinite values, or all-zero rows.
        """
        self._check(x, modality)
        Views({modality: x if x.is_floating_point() else x.float()}, {modality: torch.arange(len(x))}).validate(
            zero_rows
        )
        training = self.training
        self.eval()
        out = [self[modality](part).float() for part in x.split(chunk)]
        self.train(training)
        return torch.cat(out) if out else x.new_zeros(0, self.dim, dtype=torch.float32)

    @checked
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
            for part in entry:  # one that this version does not know would be left out without a word
                check_known(f"part of the head of '{m}'", part, ("features", "map", "hubs"))
            features = FeatureMap(**check(FeatureMap, entry["features"], f"features of '{m}'"))
            settings = check(Projection, {"width": features.out, **entry["map"]}, f"map of '{m}'")
            back = Projection(**settings)
            last = None
            if "hubs" in entry:
                last = LocalScaling(**check(LocalScaling, {"dim": back.dim, **entry["hubs"]}, f"hubs of '{m}'"))
            heads[m] = Head(features, back, last)
        return cls(heads)


class Model(nn.Module):
    """Heads and what they belong to: a module of torch, whose parameters and buffers are those of the heads.

    Args:
        heads: the trained part.
        encoders: modality -> {"name": ..., settings}; empty for plain feature arrays.
        fingerprints: modality -> fingerprint of the encoder whose features the head was trained on.
        method: {"name": ..., settings} of the method that made the heads.
        record: what the method tried and chose, plain values.
        tuned: modality -> what of its encoder was trained: "base", the encoder's name and settings, and ``Tuning``.
        tuned_weights: modality -> the trained weights of its encoder.

    Example:
        >>> model = Model(Heads({"text": Head(FeatureMap(3), Projection(3, 2))}))
        >>> model(torch.eye(3), "text").shape, sorted(model.state_dict())[0]
        (torch.Size([3, 2]), 'heads.list.0.features.mean')
    """

    def __init__(
        self,
        heads: Heads,
        encoders: Mapping[str, dict[str, Any]] | None = None,
        fingerprints: Mapping[str, str] | None = None,
        method: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
        tuned: Mapping[str, dict[str, Any]] | None = None,
        tuned_weights: Mapping[str, dict[str, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.encoders, self.fingerprints = dict(encoders or {}), dict(fingerprints or {})
        self.method, self.record = dict(method or {}), dict(record or {})
        self.tuned, self.tuned_weights = dict(tuned or {}), dict(tuned_weights or {})

    @checked
    def forward(self, x: Tensor | Views, modality: str | None = None) -> Tensor | Views:
        """Features of one modality as unit rows, with gradients; or Views of features as Views of unit rows.

        Args:
            x: (n, width) rows, or Views. modality: whose rows they are; not for Views.

        Raises:
            ModalignError: unknown or missing modality, wrong width. Values are not looked at: ``transform`` does.
        """
        if isinstance(x, Views):
            return self.heads(x)
        if modality is None:
            raise ModalignError(f"say whose features these are: one of {few(self.heads.modalities)}")
        return self.heads(Views({modality: x}, {modality: torch.arange(len(x), device=x.device)}))[modality]

    def transform(self, x: Tensor, modality: str) -> Tensor:
        """Features into the shared space; see `Heads.transform`."""
        return self.heads.transform(x, modality)

    @property
    def method_name(self) -> str:
        """The method that learnt it, or for plain gradient descent its objective."""
        name = str(self.method.get("name", "method"))
        objective = self.method.get("objective")
        if name != "gradient" or objective is None:
            return name
        return str(objective["name"] if isinstance(objective, dict) else objective)

    def save(self, folder: Path | str) -> None:
        """Write weights and description, each atomically; the digest in the latter ties them together."""
        folder = as_path(folder)
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.heads.state_dict().items()}
        for m, weights in self.tuned_weights.items():
            tensors |= {TUNED.format(m) + k: v for k, v in weights.items()}
        blob = save(tensors)
        table = {
            "format": FORMAT if self.tuned else 1,
            "heads": self.heads.specification(),
            "encoders": {m: {**e, "run": "."} if m in self.tuned else e for m, e in self.encoders.items()},
            "fingerprints": self.fingerprints,
            "method": self.method,
            "record": self.record,
            **({"tuned": self.tuned} if self.tuned else {}),
        }
        write_tied(folder / RunFile.WEIGHTS, folder / RunFile.MODEL, blob, table)

    @classmethod
    def load(cls, folder: Path | str) -> Model:
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            ModalignError: files missing, damaged, of a newer format, or not of one save.
        """
        folder = as_path(folder)
        described = folder / RunFile.MODEL
        blob, table = read_tied(folder / RunFile.WEIGHTS, described, "model description", FORMAT)
        try:
            heads = Heads.from_specification(table["heads"])
            tensors = load(blob)
            tuned: dict[str, Any] = table.get("tuned", {})
            weights = {m: _taken(tensors, TUNED.format(m)) for m in tuned}
            heads.load_state_dict(tensors)
            parts = {k: table[k] for k in ("encoders", "fingerprints", "method", "record")}
            parts["encoders"] = {
                m: {**e, "run": str(folder.resolve())} if m in tuned else e for m, e in parts["encoders"].items()
            }
            return cls(heads, **parts, tuned=tuned, tuned_weights=weights).eval()
        except (SafetensorError, RuntimeError, KeyError, TypeError, AttributeError, ValueError) as problem:
            reason = " ".join(str(problem).split())[:200]
            raise ModalignError(f"model description is damaged: {described} ({reason})") from None


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors whose names begin so out of the table; without the prefix."""
    return {k.removeprefix(prefix): tensors.pop(k) for k in [k for k in tensors if k.startswith(prefix)]}


load_model = Model.load


def model_fingerprint(folder: Path) -> str:
    """Identity of a saved model: its weights and the encoders they belong to, 16 hexadecimal digits."""
    table = read_table(folder / RunFile.MODEL, "model description")
    facts = [table.get("sha256"), table.get("fingerprints"), table.get("encoders")]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


def copy_model(folder: Path, target: Path) -> None:
    """Copy the files of a saved model, those that are not there yet, each atomically."""
    for name in FILES:
        if not (target / name).exists():
            try:
                blob = (folder / name).read_bytes()
            except OSError as problem:
                raise ModalignError(f"model cannot be read: {folder / name} ({problem.strerror})") from None
            with atomic(target / name) as partial:
                partial.write_bytes(blob)
