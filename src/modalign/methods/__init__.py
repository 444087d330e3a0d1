"""Methods: what learns heads from views, in closed form, by gradient descent, or one after the other.

Every registered method is here under its class name: ``modalign.methods.Full(dim=256)``. A new one is one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import public, registry

if TYPE_CHECKING:
    from .base import Method

_HOMES = {
    "base": "Method",
}
_parts = partial(registry.by_class, "method")

__all__ = ["Method"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES, _parts)
