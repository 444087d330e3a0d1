"""Files as they lie on your disk -> rows. One module per data set; ``modalign.datasets`` offers each by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .manifest import Manifest, Row

_HOMES = {
    "manifest": "Manifest Row",
}

__all__ = ["Manifest", "Row"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
