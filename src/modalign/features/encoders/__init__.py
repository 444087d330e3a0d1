"""Encoders: raw items of one modality -> feature vectors.

Every registered encoder is here under its class name: ``modalign.features.encoders.MiniLM()``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ... import public, registry

if TYPE_CHECKING:
    from .base import Encoder, FrozenEncoder

_HOMES = {
    "base": "Encoder FrozenEncoder",
}
_parts = partial(registry.by_class, "encoder")

__all__ = ["Encoder", "FrozenEncoder"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES, _parts)
