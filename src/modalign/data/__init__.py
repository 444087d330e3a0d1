"""Files as they lie on your disk -> rows. One module per data set; ``modalign.datasets`` offers each by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import public

if TYPE_CHECKING:
    from .manifest import Manifest, Row

_HOMES = {"Manifest": "manifest", "Row": "manifest"}

__all__ = ["Manifest", "Row"]


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES)
