"""Reports: one self-contained HTML file per run folder."""

from __future__ import annotations

from .html import write

__all__ = ["write"]
