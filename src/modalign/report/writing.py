"""Write the report of a run folder, or of a bench."""

from __future__ import annotations

from pathlib import Path

from ..files import as_path
from ..outputs import claim
from ..runs import Run
from . import html
from .bench import is_bench, write_bench


def write(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, or into the folder of a bench, from its files alone.

    Raises:
        ModalignError: neither of them, a damaged file, which is named, or a folder that another program writes to.
    """
    place = as_path(folder)
    bench = is_bench(place)
    if not bench:
        Run.open(place)  # says what is amiss with the folder before it is held
    with claim(place, "bench" if bench else "run"):
        return write_bench(place) if bench else html.write(place)
