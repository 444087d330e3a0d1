"""From raw items to features: encoders, how one is chosen and run, and the store that keeps what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import public

if TYPE_CHECKING:
    from .choose import entries_for, make_encoders
    from .embed import embed_cached
    from .store import Store

_HOMES = {"Store": "store", "embed_cached": "embed", "entries_for": "choose", "make_encoders": "choose"}

__all__ = ["Store", "embed_cached", "entries_for", "make_encoders"]


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES)
