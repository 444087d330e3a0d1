"""Methods: what learns heads from views, in closed form, by gradient descent, or one after the other.

Every registered method is here under its class name: ``modalign.methods.Full(dim=256)``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .. import public, registry

if TYPE_CHECKING:
    from .base import Method

_HOMES = {"Method": "base"}
_parts = partial(registry.by_class, "method")

__all__ = ["Method"]


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES, _parts)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES, _parts)
