"""Files that must stay as they are while they are read: what comes of two versions of one is right for neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ModalignError, few
from .places import split_place


@contextmanager
def steady(files: Iterable[Path | str | None]) -> Iterator[None]:
    """Read files that nobody may write to meanwhile, as arrays are read where they lie, piece by piece.

    Args:
        files: with or without ``#COLUMN``; what is no file here is not looked at.

    Raises:
        ModalignError: at the end, where one of them is another than at the start.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.txt"
        >>> size = path.write_text("a")
        >>> with steady([path]):
        ...     size = path.write_text("another one")
        Traceback (most recent call last):
        modalign.errors.ModalignError: x.txt was written to while it was read: run this again when that is done
    """
    before = {path: _stamp(path) for path in files if path is not None}
    yield
    changed = [Path(path).name for path, stamp in before.items() if stamp is not None and stamp != _stamp(path)]
    if changed:
        raise ModalignError(f"{few(changed)} was written to while it was read: run this again when that is done")


def _stamp(path: Path | str) -> tuple[int, int, int] | None:
    """Which version of a file it is; None for what is no file."""
    place = split_place(path)[0]
    if not place.is_file():
        return None
    facts = place.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
