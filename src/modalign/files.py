"""Files that are either whole or not there: atomic writes, and reads whose errors name the file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError

from .errors import DiskError, ModalignError
from .values import plain, strict, whole_text


class RunFile(StrEnum):
    """The files of a run folder. Their names stand here and nowhere else."""

    SPECIFICATION = "config.toml"  # what was asked for, resolved
    ENVIRONMENT = "environment.json"  # versions, machine, command, time
    LOG = "metrics.jsonl"  # one line per logged training step
    CHECKPOINT = "checkpoint.pt"  # where a training that was killed goes on
    TRIALS = "trials.jsonl"  # settings that an unfinished fit has tried
    TRAININGS = "trials"  # logs of the trainings among them
    MODEL = "model.json"  # heads and what they belong to
    WEIGHTS = "model.safetensors"
    FIT = "fit.json"  # which data and settings the model was fitted with
    RESULT = "scores.json"  # what was measured when the run was made
    EVALUATION = "evaluation.json"  # what was measured later
    ROBUSTNESS = "robustness.json"
    VECTORS = "items.safetensors"  # embedded items in the shared space
    ITEMS = "items.jsonl"  # what they are
    PICTURES = "media"  # thumbnails of the items
    STORE = "store"  # features of encoders of its own
    NEXT = ".next"  # a fit that takes the place of this run's when it is done
    FITS = "fits"  # other methods and budgets that were fitted beside it
    INDEX = "index"
    REPORT = "report.html"  # all of it, to look at


TUNED = "encoder.{}."
"""Of a modality: what the names of its encoder's tensors begin with in ``RunFile.WEIGHTS``."""


PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")
"""Names of temporary files of ``atomic``; the group is that of the file."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; on success it takes its place in one step, on failure it is removed.

    Raises:
        DiskError: the disk is full, or the place takes no files.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic(target) as p:
        ...     _ = p.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with writing(path):
            yield partial
            with partial.open("rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, left: str = "nothing of it was left") -> Iterator[None]:
    """Say in one line which file a disk does not take.

    Args:
        left: what is there of the file now.

    Raises:
        DiskError: the disk is full, or the place takes no files.
    """
    try:
        yield
    except Exception as problem:
        if (refusal := refused(problem, path, left)) is not None:
            raise refusal from None
        raise


def sweep(path: Path) -> None:
    """Remove what killed calls left of a file that nobody else writes now."""
    for other in path.parent.iterdir():
        if (left := PARTIAL.fullmatch(other.name)) and left[1] == path.name:
            other.unlink(missing_ok=True)


def sweep_old(folder: Path) -> None:
    """Remove what killed calls left in a folder where others write too: what nobody has touched for a day."""
    for path in filter(lambda p: PARTIAL.fullmatch(p.name), folder.glob(".*.tmp")):
        with suppress(OSError):  # of another user, or gone
            if time.time() - path.stat().st_ctime > DAY:
                path.unlink()


def refused(problem: Exception, path: Path, left: str = "nothing of it was left") -> DiskError | None:
    """That a disk does not take a file, and why; None where something else went wrong.

    Libraries that write by themselves raise errors of their own, which do not say that the disk is full.
    """
    told = _told_by_rust(problem)
    if isinstance(told, OSError) and told.errno in FULL:
        how = " or choose another place by MODALIGN_CACHE=FOLDER" if _cached(path) else ""
        return DiskError(f"cannot write {path}: {told.strerror}; {left}: make room{how}, then run this again")
    if isinstance(told, OSError) and told.errno in CLOSED and _about(told.filename, path):
        how = " by MODALIGN_CACHE=FOLDER" if _cached(path) else ""
        return DiskError(f"cannot write {path}: {told.strerror}; {left}: choose another place{how}")
    if isinstance(problem, OSError | RuntimeError | SafetensorError) and not isinstance(problem, ModalignError):
        room = next((shutil.disk_usage(p).free for p in path.parents if p.is_dir()), LEAST_ROOM)
        if room < LEAST_ROOM:
            return DiskError(f"cannot write {path}: the disk is full; {left}: make room, then run this again")
    return None


def _told_by_rust(problem: Exception) -> Exception:
    """The error of the system that a library in Rust (safetensors, Lance) tells in words alone; else the problem."""
    if isinstance(problem, ModalignError) or getattr(problem, "errno", None) is not None:
        return problem
    found = re.search(r"\bos error (\d+)", str(problem))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else problem


LFS = b"version https://git-lfs"
"""What a file of a repository begins with where Git LFS has not brought its content."""


def _about(name: Any, path: Path) -> bool:
    """Whether an error names a file that is written, its temporary one, or a folder above; not one that is read."""
    place = Path(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else path
    return place == path or place in path.parents or place.name.startswith(f".{path.name}.")


def _cached(path: Path) -> bool:
    """Whether a file lies in the cache."""
    try:
        return cache_folder() in path.parents
    except ModalignError:
        return False


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DAY = 86_400  # seconds
CLOSED = (
    errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip
LEAST_ROOM = 1 << 16  # bytes below which a disk counts as full


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def save_array(path: Path, array: Any) -> None:
    """Write a numpy array as .npy, through Python's own file.

    ``numpy.save`` writes to a file through a stream of C, and does not look whether the last bytes reached the disk.

    Raises:
        OSError: the disk refuses.
    """
    import numpy as np

    with path.open("wb") as handle:
        np.save(_Through(handle.write), array)


def reserve(path: Path) -> None:
    """Have the disk give the room of a file that is written through memory: a full one would end the program later.

    Raises:
        DiskError: there is no room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with path.open("rb+") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
    except OSError as problem:
        if (refusal := refused(problem, path)) is not None:
            path.unlink(missing_ok=True)
            raise refusal from None  # file systems that reserve nothing say so in other words


class _Through:
    """Something to write to that numpy does not take for a file."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, readable by people; ``to_json`` says how."""
    write_text(path, to_json(value, indent=1) + "\n")


def to_json(value: Any, **layout: Any) -> str:
    """Plain values as strict JSON: the one way in which modalign writes it.

    A number that is not finite is null, and half of a surrogate pair is U+FFFD: neither can be written so that others
    read it. Numbers of numpy are numbers, paths and dates are texts.

    Args:
        layout: ``indent``, ``sort_keys`` and ``separators`` of ``json.dumps``.

    Example:
        >>> to_json({"a": float("nan"), "b": [1.5, float("inf")], "c": "\\ud83d"})
        '{"a": null, "b": [1.5, null], "c": "�"}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=plain, **layout)
    except ValueError:  # a number that is not finite
        text = json.dumps(strict(value), ensure_ascii=False, allow_nan=False, default=plain, **layout)
    return whole_text(text)


def from_json(text: str | bytes) -> Any:
    """What a JSON text holds; every way in which it can be damaged is a ``json.JSONDecodeError``.

    Example:
        >>> from_json("[" * 100_000)
        Traceback (most recent call last):
        json.decoder.JSONDecodeError: nested too deeply: line 1 column 1 (char 0)
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    except ValueError as problem:
        if isinstance(problem, json.JSONDecodeError):
            raise
        raise json.JSONDecodeError(str(problem), "", 0) from None  # no text, or a number of too many digits


def as_path(place: Any, what: str = "folder") -> Path:
    """A place that a caller of the library gave, as a path.

    Raises:
        ModalignError: None, a number or anything else that names no place.

    Example:
        >>> as_path("runs/mine").name
        'mine'
    """
    try:
        return Path(place)
    except TypeError:
        raise ModalignError(f"a {what} is a path or its name, got {type(place).__name__}") from None


def absolute(place: str | Path) -> str:
    """A place that holds in any folder: the address of an object store (a ``Path`` has lost a slash of it), or a path.

    Example:
        >>> absolute(Path("s3://bucket/items.lance")), absolute("/tmp/../x.npy")
        ('s3://bucket/items.lance', '/x.npy')
    """
    found = re.match(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", str(place))
    return f"{found[1]}://{str(place)[found.end() :]}" if found else os.path.abspath(os.path.expanduser(place))


def file_size(path: str | os.PathLike[str]) -> int:
    """Bytes of a file that has an end.

    Raises:
        OSError: it cannot be read, or is a pipe or a device: whoever opens one may wait for ever.
    """
    facts = os.stat(path)
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):  # a folder is refused where it is opened
        raise OSError(errno.ESPIPE, "a pipe or a device, not a file")
    return facts.st_size


def read_text(path: Path, what: str = "file") -> str:
    """Read a text file. Raises ModalignError where it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModalignError(f"{what} not found: {path}") from None
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise ModalignError(f"{what} cannot be read: {path} ({why})") from None


def read_json(path: Path, what: str = "file") -> Any:
    """Read a JSON file. Raises ModalignError where it is missing or damaged."""
    text = read_text(path, what)
    try:
        return from_json(text)
    except json.JSONDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path}, line {problem.lineno}: {problem.msg}") from None


def read_table(path: Path, what: str = "file") -> dict[str, Any]:
    """Read a JSON file that holds an object. Raises ModalignError where it is missing, damaged or anything else."""
    table = read_json(path, what)
    if not isinstance(table, dict):
        raise ModalignError(f"{what} is damaged: {path} must hold a JSON object, got a {type(table).__name__}")
    return table


def read_jsonl(path: Path, what: str = "file") -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; a last line cut off by a kill is left out."""
    rows = []
    lines = read_text(path, what).removesuffix("\n").split("\n")  # U+2028 and the like stand within a line
    for number, line in enumerate(lines, 1):
        try:
            rows.append(from_json(line))
        except json.JSONDecodeError as problem:
            if number < len(lines):
                raise ModalignError(f"{what} is damaged: {path}, line {number}: {problem.msg}") from None
    return rows


def write_tied(weights: Path, description: Path, blob: bytes, table: Mapping[str, Any]) -> None:
    """Write weights and a description of them, each atomically; the digest in the latter ties them together."""
    with atomic(weights) as partial:
        partial.write_bytes(blob)
    write_json(description, {**table, "sha256": hashlib.sha256(blob).hexdigest()})


def read_tied(weights: Path, description: Path, what: str, newest: int) -> tuple[bytes, dict[str, Any]]:
    """Weights and their description, as ``write_tied`` left them.

    Args:
        what: they are, for messages. newest: format of the description that can be read.

    Raises:
        ModalignError: files missing, damaged, of a newer format, or not of one save.
    """
    table = read_json(description, what)
    if not isinstance(table, dict) or not isinstance(table.get("format"), int):
        raise ModalignError(f"{what} is damaged: {description} has no format number")
    if table["format"] > newest:
        raise ModalignError(
            f"{description} has format {table['format']}, this version reads up to {newest}: update modalign"
        )
    try:
        blob = weights.read_bytes()
    except OSError as problem:
        raise ModalignError(f"weights cannot be read: {weights} ({problem.strerror})") from None
    if blob.startswith(LFS):
        raise ModalignError(f"{weights} is a Git LFS pointer, not the weights: run  git lfs pull  in its folder")
    if hashlib.sha256(blob).hexdigest() != table.get("sha256"):
        raise ModalignError(
            f"{weights} and {description.name} do not belong together: "
            "one of them is damaged or from another save; fit again"
        )
    return blob, table


def cache_folder() -> Path:
    """Where features are kept: ``MODALIGN_CACHE``, or else ``modalign`` in the user's cache folder.

    Raises:
        ModalignError: the user has no home, as in some containers.
    """
    chosen = os.environ.get("MODALIGN_CACHE")
    try:
        if chosen:
            return Path(chosen).expanduser()
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        elif sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise ModalignError(
            "no home folder is known, so no cache: say where it may be, MODALIGN_CACHE=FOLDER"
        ) from None
    return base / "modalign"
