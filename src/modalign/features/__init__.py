"""From raw items to features: encoders, how one is chosen and run, and the store that keeps what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .choose import entries_for, make_encoders
    from .embed import embed_cached
    from .store import Store

_HOMES = {
    "choose": "entries_for make_encoders",
    "embed": "embed_cached",
    "store": "Store",
}

__all__ = ["Store", "embed_cached", "entries_for", "make_encoders"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
