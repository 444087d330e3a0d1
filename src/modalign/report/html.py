"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

from ..files import write_text
from .load import Run, load
from .page import TEMPLATES, Absent, render
from .sections import SECTIONS


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
    write_text(path, page(load(Path(run))))
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
    saving = (run.scores or {}).get("saving")
    said = str(saving.get("text") or "") if isinstance(saving, dict) else ""
    headline, *more = re.split(r"(?<=[.!?]) (?=[A-Z])", said, maxsplit=1)
    task = str((run.scores or {}).get("task") or "")
    return str(
        render(
            "report.html.j2",
            title=run.title,
            headline=_capital(headline) or run.title,
            kicker=run.title if headline else "Alignment report",
            lead=" ".join([*more, f"The task: {task.rstrip('.')}." if task else ""]).strip(),
            shown=shown,
            absent=absent,
            attribution=run.attribution,
            version=str(((run.environment or {}).get("versions") or {}).get("modalign", "")),
            style=_source("style.css"),
            script=_source("report.js"),
        )
    )


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _source(name: str) -> Markup:
    """A file of ours to be put into the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
