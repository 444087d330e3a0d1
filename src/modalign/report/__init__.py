"""Reports: one self-contained HTML file per run folder, or per folder of a bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .writing import write

_HOMES = {
    "writing": "write",
}

__all__ = ["write"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
