"""Reports: one self-contained HTML file per run folder, or per folder of a bench."""

from __future__ import annotations

from pathlib import Path

from . import html
from .bench import is_bench, write_bench

__all__ = ["write"]


def write(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, or into the folder of a bench, from its files alone.

    Raises:
        ModalignError: neither of them, or a damaged file, which is named.
    """
    return write_bench(Path(folder)) if is_bench(Path(folder)) else html.write(Path(folder))
