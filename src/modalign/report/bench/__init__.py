"""The page of a bench: one HTML file from its summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import __version__
from ...files import read_json, write_text
from ..html import source
from ..page import Absent, Section, render
from ..svg import printable
from .sections import SECTIONS

__all__ = ["is_bench", "page", "write_bench"]
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
    write_text(path, printable(page(read_json(folder / SUMMARY, "summary of a bench"))))
    return path


def page(summary: dict[str, Any]) -> str:
    """The HTML text."""
    shown, absent = [], []
    for anchor, title, build in SECTIONS:
        content = build(summary)
        if isinstance(content, Absent):
            absent.append((title, content.why))
        else:
            shown.append((Section(anchor, title, lambda run: None), content))
    return str(
        render(
            "report.html.j2",
            title=summary["title"],
            headline=summary["title"],
            kicker="Benchmark report",
            lead=summary["about"],
            shown=shown,
            absent=absent,
            attribution="",
            weights=(),
            version=__version__,
            style=source("style.css"),
            script=source("report.js"),
        )
    )
