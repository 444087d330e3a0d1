"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from ..files import write_text
from .load import Run, first_sentence, load
from .page import TEMPLATES, Absent, render
from .sections import SECTIONS
from .svg import printable


def write(run: Path) -> Path:
    """Write ``report.html`` into a run folder, from the files of that folder alone.

    Parts the folder lacks (no training log, no pictures, no scores) leave their section out, and the page says why.
    The same folder gives the same bytes.

    Args:
        run: a folder written by ``modalign demo``, ``align`` or ``train``.

    Returns: path of the report.

    Raises:
        ModalignError: no run folder, or a damaged file, which is named.
    """
    path = Path(run) / "report.html"
    write_text(path, printable(page(load(Path(run)))))
    return path


def page(run: Run) -> str:
    """The HTML text of a report."""
    shown, absent = [], []
    for section in SECTIONS:
        content = section.build(run)
        if isinstance(content, Absent):
            absent.append((section.title, content.why))
        elif content is not None:
            shown.append((section, content))
    headline, more = first_sentence(str(run.saving.get("text") or ""))
    task = str((run.scores or {}).get("task") or "")
    return str(
        render(
            "report.html.j2",
            title=run.title,
            headline=headline or _sentence(run.title).removesuffix("."),
            kicker=run.title if headline else "Alignment report",
            lead=f"{more} {_sentence(task)}".strip(),
            shown=shown,
            absent=absent,
            attribution=run.attribution,
            weights=run.weights,
            version=str(((run.environment or {}).get("versions") or {}).get("modalign", "")),
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
