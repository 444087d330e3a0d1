"""Any aligned run as an encoder of MTEB 2, for its tasks on texts, pictures (MIEB) and sounds (MAEB)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, few, require
from ..model import Model
from ..registry import make

KINDS = ("text", "image", "audio", "video")
"""Columns of a batch that hold items, by the names that MTEB gives them."""
UNKNOWN = (
    "release_date", "languages", "memory_usage_mb", "max_tokens", "license", "public_training_code",
    "public_training_data", "training_datasets",
)  # fmt: skip


class MtebEncoder:
    """A model and its encoders, by MTEB's ``EncoderProtocol``: ``mteb.evaluate(MtebEncoder("runs/mine"), tasks)``.

    Items of each kind go through the encoder that reads them and the head of its modality. Where an input has items of
    several kinds (a question beside a picture), its vector is their sum at length 1.

    Args:
        model_name: folder of a run, or a Model.
        revision: of the model, for MTEB's records. device: not used: encoders name theirs.

    Raises:
        ModalignError: no run, or one whose encoders read arrays and no items.
    """

    def __init__(
        self, model_name: str | Path | Model, revision: str | None = None, *, device: str | None = None, **kwargs: Any
    ) -> None:
        self.model = model_name if isinstance(model_name, Model) else Model.load(model_name)
        raw = {m: e for m, e in self.model.encoders.items() if e.get("name") != "features"}
        made = {m: make("encoder", **e) for m, e in raw.items() if m in self.model.heads.modalities}
        self.routes = {encoder.modality: (m, encoder) for m, encoder in made.items()}
        if not self.routes:
            raise ModalignError(
                "the run names no encoder of raw items: MTEB gives words, pictures and sounds, no arrays"
            )
        self.name = "model" if isinstance(model_name, Model) else Path(model_name).resolve().name
        self.revision = revision

    def encode(self, inputs: Iterable[Mapping[str, Any]], **asked: Any) -> np.ndarray:
        """(n, dim) float32 unit rows of batches of items.

        Raises:
            ModalignError: items of kinds that no encoder of the run reads.
        """
        rows = [self._points(batch) for batch in inputs]
        return torch.cat(rows).numpy() if rows else np.empty((0, self.model.heads.dim), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """(n, m) cosines."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """(n,) cosines of rows with rows."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(-1)

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB records of the model; what a run does not say is None."""
        meta = require("mteb.models.model_meta", "mteb")
        said = {
            "loader": type(self), "name": f"modalign/{self.name}", "revision": self.revision or "local",
            "n_parameters": sum(p.numel() for p in self.model.heads.parameters()), "embed_dim": self.model.heads.dim,
            "open_weights": None, "framework": ["PyTorch"], "similarity_fn_name": "cosine", "use_instructions": False,
            "modalities": [k for k in KINDS if k in self.routes],
        }  # fmt: skip
        return meta.ModelMeta(**dict.fromkeys(UNKNOWN), **said)

    def _points(self, batch: Mapping[str, Any]) -> Tensor:
        """Unit rows of one batch: MTEB's mapping from kind to a list of items, beside ids and other columns."""
        kinds = [k for k in KINDS if k in batch]
        if not kinds or not set(kinds) <= set(self.routes):
            raise ModalignError(f"this task has {few(kinds) or 'no items'}, the run reads {few(self.routes)}")
        found = []
        for kind in kinds:
            modality, encoder = self.routes[kind]
            found.append(self.model.transform(encoder.encode([_item(i) for i in batch[kind]]), modality))
        return found[0] if len(found) == 1 else normalize(torch.stack(found).sum(0), dim=1)


def _item(given: Any) -> Any:
    """What encoders of modalign read, of what MTEB gives."""
    if hasattr(given, "get_all_samples"):  # a decoder of torchcodec
        samples = given.get_all_samples()
        return samples.data.mean(0).numpy(), int(samples.sample_rate)
    return given


def _unit(rows: Any) -> Tensor:
    return normalize(torch.atleast_2d(torch.as_tensor(rows).float()), dim=-1)
