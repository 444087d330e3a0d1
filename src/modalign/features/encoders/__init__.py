"""Encoders: raw items of one modality -> feature vectors.

Every registered encoder is here under its class name: ``modalign.features.encoders.MiniLM()``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ... import public, registry

if TYPE_CHECKING:
    from .base import Encoder, FrozenEncoder

_HOMES = {"Encoder": "base", "FrozenEncoder": "base"}
_parts = partial(registry.by_class, "encoder")

__all__ = ["Encoder", "FrozenEncoder"]


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES, _parts)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES, _parts)
