"""Who may write where: the one owner of what an output folder or file may replace.

A folder that modalign writes holds a small file that says what it is; while a program writes, it holds a lock on that
file. An output goes into a new folder, an empty one, or one of its own kind, and into no other.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from .errors import ModalignError, few
from .files import PARTIAL, RunFile, sweep, to_json, writing
from .progress import Progress, note, silent
from .values import whole_text

MARK = ".modalign.json"
KINDS = {
    "run": "a run",
    "store": "a feature store",
    "index": "a search index",
    "bench": "a bench",
    "migration": "a migration",
    "export": "an export",
}
TELLING = {
    "bench": ("suite.json",),
    "migration": ("migration.json",),
    "index": ("current.json",),
    "store": ("places.safetensors",),
    "run": (RunFile.RESULT, RunFile.VECTORS, RunFile.MODEL, RunFile.FIT),
}
"""Kind -> files of which one is enough to know a folder whose mark was lost, as in a copy without hidden files."""

_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


def kind_of(folder: Path) -> str | None:
    """What a folder holds: one of ``KINDS``, "other", or None where it is not there or holds nothing.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> kind_of(place)
        >>> size = (place / "thesis.tex").write_text("...")
        >>> kind_of(place)
        'other'
    """
    if not folder.is_dir():
        return None
    marked = _mark(folder).get("kind")
    if marked in KINDS:
        return str(marked)
    found = next((kind for kind, names in TELLING.items() if any((folder / n).exists() for n in names)), None)
    return found or ("other" if _others(folder) else None)


def refuse(folder: Path, kind: str, by: str = "", inputs: Iterable[Path | str | None] = ()) -> None:
    """Refuse an output folder that is something else.

    Args:
        kind: of the output, one of ``KINDS``.
        by: command that makes it; runs of one command are not replaced by another.
        inputs: files and folders that are read; none of them may be the output.

    Raises:
        ModalignError: the current folder, a name that is no UTF-8, a file, an input, a folder of another kind or of
            files that are not modalign's; what it holds, and what to do.
    """
    if folder == Path():
        raise ModalignError("the output would go into the current folder: name a folder of its own with --out")
    if whole_text(str(folder.absolute())) != str(folder.absolute()):
        raise ModalignError(f"the name of {whole_text(str(folder.absolute()))} is no UTF-8: choose another --out")
    if folder.is_symlink() and not folder.exists():
        raise ModalignError(f"{folder} links to {os.readlink(folder)}, which is not there: make that folder first")
    if folder.exists() and not folder.is_dir():
        raise ModalignError(f"{folder} is a file, and the output is a folder: choose another --out")
    for path in inputs:
        if path is not None and _same(Path(path), folder):
            raise ModalignError(f"{folder} is read as input: choose another --out")
    found = kind_of(folder)
    if found == "other":
        names = few(sorted(_others(folder)), 3)
        raise ModalignError(f"{folder} holds files that are not modalign's ({names}): choose another --out")
    if found not in (None, kind):
        raise ModalignError(f"{folder} holds {KINDS[str(found)]}, not {KINDS[kind]}: choose another --out")
    maker = _mark(folder).get("by")
    if by and maker and maker != by:
        raise ModalignError(
            f"{folder} holds {KINDS[kind]} of  modalign {maker}, which  modalign {by}  would replace: "
            "choose another --out, or remove it first"
        )


@contextmanager
def claim(folder: Path, kind: str, by: str = "", inputs: Iterable[Path | str | None] = ()) -> Iterator[None]:
    """Hold the right to write to an output folder; a second program is told so at once.

    Of several processes of one distributed training, the first holds it for all; what a command calls holds it already.

    Args, Raises: as ``refuse``; also where another program writes there, or the folder cannot be made.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "run"
        >>> with claim(place, "run", "align"):
        ...     pass
        >>> kind_of(place)
        'run'
    """
    refuse(folder, kind, by, inputs)
    place = Path(os.path.realpath(folder))
    if place in _HELD.get() or os.environ.get("RANK", "0") != "0":
        yield
        return
    fresh = not folder.exists()
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / MARK).open("ab+", buffering=0)  # nothing is left to write when a full disk refused it
    with handle:
        _lock(handle, folder)
        try:
            maker = by or _mark(folder).get("by")  # who measures or reports a run did not make it
            with _writing(folder):
                _sign(handle, (to_json({"kind": kind, **({"by": maker} if maker else {})}) + "\n").encode())
            _sweep(folder)
            held = _HELD.set(_HELD.get() | {place})
            try:
                yield
            finally:
                _HELD.reset(held)
        except BaseException:
            if fresh and [p.name for p in folder.iterdir()] == [MARK]:  # nothing came of it: leave nothing
                (folder / MARK).unlink()
                folder.rmdir()
            raise


def tell(folder: Path, what: str, progress: Progress = silent) -> None:
    """Say what an output replaces, where somebody listens."""
    if progress is not silent:
        note([f"{folder} held {what}: it is replaced"])


def file_out(out: Path, endings: tuple[str, ...] = (), inputs: Iterable[Path | str | None] = ()) -> None:
    """Refuse an output file that would replace what is read, a folder, or a file of another kind.

    Args:
        endings: that the output may have; none: any. inputs: files and folders that are read.

    Raises:
        ModalignError: what is in the way.
    """
    if endings and out.suffix.lower() not in endings:
        wanted = f"{out}{endings[0]}" if not out.suffix else out.with_suffix(endings[0])
        raise ModalignError(f"the output is written as {' or '.join(endings)}, so give it that ending: {wanted}")
    if out.is_dir():
        raise ModalignError(f"{out} is a folder, and the output is a file: choose another name")
    for path in inputs:
        if path is not None and _same(Path(path), out):
            raise ModalignError(f"{out} is read as input: choose another name for the output")


@contextmanager
def claim_file(
    out: Path, endings: tuple[str, ...] = (), inputs: Iterable[Path | str | None] = (), new: bool = False
) -> Iterator[None]:
    """Hold the right to write an output file; a second program is told so at once.

    Args, Raises: as ``file_out``; also where another program writes that file. new: it must not be there yet.
    """
    file_out(out, endings, inputs)
    if new and out.exists():
        raise ModalignError(f"{out} exists already: move it away, or choose another --out")
    guard = out.with_name(f".{out.name}.lock")
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        handle = guard.open("a")
    with handle:
        _lock(handle, out)
        try:
            sweep(out)
            yield
        finally:
            guard.unlink(missing_ok=True)


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """A place for files that serve only together: at its end they go into ``folder``, in the place of former ones.

    Former ones of these names go first: after a kill some are missing, and two versions never lie side by side.

    Raises:
        DiskError: the disk is full; what was there is there.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> with together(out) as place:
        ...     size = (place / "a.onnx").write_text("...")
        >>> [p.name for p in out.iterdir()]
        ['a.onnx']
    """
    place = folder / RunFile.NEXT
    shutil.rmtree(place, ignore_errors=True)  # what a killed call left
    with writing(folder, "what was there is kept"):
        try:
            place.mkdir(parents=True)
            yield place
            names = [p.relative_to(place) for p in place.rglob("*") if p.is_file()]
            for name in names:
                (folder / name).unlink(missing_ok=True)
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).replace(folder / name)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed calls left half-written; in folders with a mark of their own others may be writing."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, MARK).exists()]
        for name in filter(PARTIAL.fullmatch, names):
            with suppress(OSError):  # of another user
                Path(place, name).unlink()


def _mark(folder: Path) -> dict[str, Any]:
    try:
        table = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or cut off by a kill
        return {}
    return table if isinstance(table, dict) else {}


def _others(folder: Path) -> list[str]:
    """Files that somebody put there; those of the system and of writing do not count."""
    return [p.name for p in folder.iterdir() if not p.name.startswith(".")]


def _same(a: Path, b: Path) -> bool:
    try:
        return os.path.realpath(a) == os.path.realpath(b) or (a.exists() and b.exists() and a.samefile(b))
    except OSError:
        return False


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise ModalignError(f"the output cannot be written: {out} ({problem.strerror})") from None


def _sign(handle: IO[bytes], mark: bytes) -> None:
    """Write down what the folder is, in place: the lock is on this very file."""
    handle.seek(0)
    if handle.read() != mark:
        handle.truncate(0)
        handle.write(mark)


def from_here(place: Path) -> Path:
    """A place as people read it: seen from the working folder where it lies in it, else as it is.

    Example:
        >>> from_here(Path.cwd() / "runs" / "mine") == Path("runs/mine")
        True
    """
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _lock(handle: IO[Any], folder: Path) -> None:
    """Until the file is closed, also by a kill. Systems without such locks have none."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ModalignError(f"another program is writing to {from_here(folder)}: wait for it to end") from None
    except OSError:  # a file system without locks
        return
