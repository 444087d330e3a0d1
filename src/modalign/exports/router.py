"""A run as a model of sentence-transformers: a Router from modalities to their encoder and head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError, few, require
from ..features.encoders.text import TransformerText
from ..model import Head, Model
from ..registry import make

KNOWN = ("text", "image", "audio", "video")
"""What sentence-transformers tells apart by looking at an item."""


def router(model: Model, modalities: Sequence[str] | None = None) -> Any:
    """The model as a ``SentenceTransformer`` whose ``encode`` gives the points of ``model.transform``.

    A linear head is a ``Dense`` between ``Normalize``s, a transformer from a folder a ``Transformer`` with its
    ``Pooling``: such routes are modules of that package alone. Other encoders, and heads with banks, anchors or hub
    removal, are ``modalign.exports.modules``.

    Args:
        model: with encoders of raw items. modalities: which to write; None: all.

    Raises:
        ModalignError: encoders that read arrays and no items, that were fine-tuned, or modalities of other kinds.
        MissingExtraError: sentence-transformers is not installed.
    """
    st, st_parts = require("sentence_transformers", "hub"), require("sentence_transformers.base.modules", "hub")
    names = list(modalities or model.heads.modalities)
    lacking = [m for m in names if model.encoders.get(m, {}).get("name", "features") == "features"]
    if lacking:
        raise ModalignError(
            f"the run has no encoder of raw items for {few(lacking)}: it was fitted on arrays, so there is nothing "
            "that encode() could be given; --to hub or onnx keep its heads"
        )
    if tuned := [m for m in names if m in model.tuned]:
        raise ModalignError(f"the encoders of {few(tuned)} were fine-tuned: --to hub keeps them, a Router does not")
    kinds = {m: make("encoder", **model.encoders[m]) for m in names}
    read = {m: encoder.modality for m, encoder in kinds.items()}
    if len(set(read.values())) < len(read) or not set(read.values()) <= set(KNOWN):
        raise ModalignError(f"a Router tells {few(KNOWN)} apart, one route each; this run reads {few(read.values())}")
    routes = {read[m]: [*_encode(kinds[m], model.encoders[m]), *_head(model.heads[m])] for m in names}
    mappings = {(None, kind): kind for kind in routes}
    return st.SentenceTransformer(
        modules=[st_parts.Router(routes, default_route=next(iter(routes)), route_mappings=mappings)],
        similarity_fn_name="cosine",
        device="cpu",
    )


def write_router(model: Model, folder: Path | str, modalities: Sequence[str] | None = None) -> None:
    """Write what `router` gives, for ``SentenceTransformer(folder)``; see there."""
    router(model, modalities).save(str(folder), create_model_card=False, safe_serialization=True)


def plain(folder: Path | str) -> bool:
    """Whether such a folder opens without ``trust_remote_code``: it names no class of modalign."""
    return "modalign." not in (Path(folder) / "router_config.json").read_text(encoding="utf-8")


def _encode(encoder: Any, settings: dict[str, Any]) -> list[Any]:
    st_parts = require("sentence_transformers.base.modules", "hub")
    if not isinstance(encoder, TransformerText) or encoder.layer or encoder.precision != "float32":
        from .modules import Encode

        return [Encode(settings)]
    pooling = require("sentence_transformers.sentence_transformer.modules", "hub").Pooling
    first = st_parts.Transformer(
        str(encoder.folder), max_seq_length=encoder.pooling.longest, model_kwargs={"attn_implementation": "sdpa"}
    )
    return [first, pooling(encoder.dim, pooling_mode=encoder.pooling.mode)] + (
        [st_parts.Normalize()] if encoder.pooling.normalise else []
    )


def _head(head: Head) -> list[Any]:
    st_parts = require("sentence_transformers.base.modules", "hub")
    linear = as_linear(head)
    if linear is None:
        from .modules import SharedHead

        module = SharedHead(head.specification())
        module.maps.load_state_dict(head.state_dict())
        return [module]
    weight, bias = linear
    dense = st_parts.Dense(len(weight), len(bias), True, None, weight.T.contiguous(), bias)
    return [*([st_parts.Normalize()] if head.features.unit else []), dense, st_parts.Normalize()]


def as_linear(head: Head) -> tuple[Tensor, Tensor] | None:
    """(width, dim) weight and (dim,) bias of a head that is linear up to lengths; None for others.

    Example:
        >>> from modalign.model import FeatureMap, Projection
        >>> weight, bias = as_linear(Head(FeatureMap(3), Projection(3, 2)))
        >>> weight.shape, bias.shape
        (torch.Size([3, 2]), torch.Size([2]))
    """
    front, back = head.features, head.map
    if front.root or front.bank is not None or front.anchors is not None or back.residual is not None or head.hubs:
        return None
    with torch.no_grad():
        basis = torch.eye(front.width) if front.basis is None else front.basis
        weight = (basis.double() @ back.weight.double()).float()
        return weight, (back.bias.double() - front.mean.double() @ weight.double()).float()
