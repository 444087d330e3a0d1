"""Write the report of a run folder, or of a bench: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from ..files import as_path, write_text
from ..outputs import claim
from ..runs import Run
from .bench import is_bench, write_bench
from .page import page
from .sections import SECTIONS
from .sheet import Sheet, first_sentence, load


def write(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, or into the folder of a bench, from its files alone.

    Parts the folder lacks (no training log, no pictures, no scores) leave their section out, and the page says why.
    The same folder gives the same bytes.

    Args:
        folder: written by ``modalign demo``, ``align`` or ``train``; or by ``modalign bench``.

    Returns: path of the report.

    Raises:
        ModalignError: neither of them, a damaged file, which is named, or a folder that another program writes to.
    """
    place = as_path(folder)
    if is_bench(place):
        with claim(place, "bench"):
            return write_bench(place)
    report = Run.open(place).report  # says what is amiss with the folder before it is held
    with claim(place, "run"):
        write_text(report, run_page(load(place)))
    return report


def run_page(sheet: Sheet) -> str:
    """The HTML text of the report of a run."""
    result = sheet.result
    headline, more = first_sentence(str(result.saving.get("text") or ""))
    return page(
        ((section.id, section.title, section.build(sheet)) for section in SECTIONS),
        title=sheet.title,
        headline=headline or _sentence(sheet.title).removesuffix("."),
        kicker=sheet.title if headline else "Alignment report",
        lead=f"{more} {_sentence(result.task)}".strip(),
        attribution=result.attribution,
        weights=result.weights,
        version=str(sheet.versions.get("modalign", "")),
    )


def _sentence(words: str) -> str:
    """Words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}." if words else ""
