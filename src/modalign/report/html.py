"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from ..files import write_text
from .page import TEMPLATES, Absent, render
from .sections import SECTIONS
from .sheet import Sheet, first_sentence, load
from .svg import printable


def write(run: Path) -> Path:
    """Write the report into a run folder, from the files of that folder alone.

    Parts the folder lacks (no training log, no pictures, no scores) leave their section out, and the page says why.
    The same folder gives the same bytes.

    Args:
        run: a folder written by ``modalign demo``, ``align`` or ``train``.

    Returns: path of the report.

    Raises:
        ModalignError: no run folder, or a damaged file, which is named.
    """
    sheet = load(Path(run))
    write_text(sheet.run.report, printable(page(sheet)))
    return sheet.run.report


def page(sheet: Sheet) -> str:
    """The HTML text of a report."""
    shown, absent = [], []
    for section in SECTIONS:
        content = section.build(sheet)
        if isinstance(content, Absent):
            absent.append((section.title, content.why))
        elif content is not None:
            shown.append((section, content))
    result = sheet.result
    headline, more = first_sentence(str(result.saving.get("text") or ""))
    return str(
        render(
            "report.html.j2",
            title=sheet.title,
            headline=headline or _sentence(sheet.title).removesuffix("."),
            kicker=sheet.title if headline else "Alignment report",
            lead=f"{more} {_sentence(result.task)}".strip(),
            shown=shown,
            absent=absent,
            attribution=result.attribution,
            weights=result.weights,
            version=str(sheet.versions.get("modalign", "")),
            style=source("style.css"),
            script=source("report.js"),
        )
    )


def _sentence(words: str) -> str:
    """Words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}." if words else ""


def source(name: str) -> Markup:
    """A file of ours to be put into the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
