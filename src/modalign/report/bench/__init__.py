"""The page of a bench: one HTML file from its summary."""

from __future__ import annotations

from pathlib import Path

from ... import __version__
from ...files import read_table, write_text
from ..page import page
from .sections import SECTIONS

__all__ = ["is_bench", "write_bench"]
SUMMARY = "summary.json"


def is_bench(folder: Path) -> bool:
    """Whether a folder holds a bench with results."""
    return (folder / SUMMARY).exists() and (folder / "suite.json").exists()


def write_bench(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a bench, from its ``summary.json`` alone.

    Raises:
        ModalignError: the summary is missing or damaged.
    """
    path = folder / "report.html"
    s = read_table(folder / SUMMARY, "summary of a bench")
    about = {"title": s["title"], "headline": s["title"], "kicker": "Benchmark report", "lead": s["about"]}
    parts = ((anchor, heading, build(s)) for anchor, heading, build in SECTIONS)
    write_text(path, page(parts, **about, version=__version__))
    return path
