"""How token vectors become a sentence vector, and how a folder says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import ModalignError, few
from ...files import read_json, read_table


class Pooling(NamedTuple):
    """How token vectors become a sentence vector."""

    mode: str
    normalise: bool
    longest: int


def pool(h: Tensor, mask: Tensor, mode: str) -> Tensor:
    """Token vectors -> sentence vectors; padding never counts.

        mean: sum_t m_t h_t / sum_t m_t        cls: h_1        max: max over t with m_t = 1

    Args:
        h: (n, t, d). mask: (n, t) bool, true for real tokens; at least one a row.
        mode: "mean", "cls" or "max".

    Returns:
        (n, d).

    Example:
        >>> h = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> pool(h, torch.tensor([[True, True, False]]), "mean")
        tensor([[2.]])
    """
    if mode == "cls":
        return h[:, 0]
    if mode == "max":
        return h.masked_fill(~mask[..., None], -torch.inf).amax(1)
    weight = mask[..., None].to(h.dtype)
    return (h * weight).sum(1) / weight.sum(1)


def read_pooling(folder: Path, config: Mapping[str, Any]) -> Pooling:
    """Pooling, normalisation and length limit of a folder."""
    longest = int(config.get("max_position_embeddings", 512))
    if not (folder / "modules.json").exists():
        return Pooling("mean", True, longest)
    limits = folder / "sentence_bert_config.json"
    if limits.exists():
        longest = min(longest, int(read_table(limits).get("max_seq_length") or longest))
    mode, normalise = "mean", False
    for module in read_json(folder / "modules.json"):
        kind = str(module["type"]).rsplit(".", 1)[-1]
        if kind == "Pooling":
            mode = _pooling_mode(read_table(folder / module["path"] / "config.json"), folder)
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise ModalignError(f"text encoder {folder} has a layer '{kind}', which modalign does not know")
    return Pooling(mode, normalise, longest)


def _pooling_mode(settings: Mapping[str, Any], folder: Path) -> str:
    keys = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}
    chosen = [k for k, v in settings.items() if k.startswith("pooling_mode_") and v is True]
    if settings.get("pooling_mode") in keys.values():
        return str(settings["pooling_mode"])
    if len(chosen) != 1 or chosen[0] not in keys:
        raise ModalignError(f"text encoder {folder} pools by {few(chosen)}: modalign knows one of {few(keys)}")
    return keys[chosen[0]]
