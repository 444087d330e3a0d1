"""Files that are either whole or not there: atomic writes, and reads whose errors name the file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from .errors import ModalignError


class RunFile(StrEnum):
    """The files of a run folder. Their names stand here and nowhere else."""

    SPECIFICATION = "config.toml"  # what was asked for, resolved
    ENVIRONMENT = "environment.json"  # versions, machine, command, time
    LOG = "metrics.jsonl"  # one line per logged training step
    CHECKPOINT = "checkpoint.pt"  # where a training that was killed goes on
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
    FITS = "fits"  # other methods and budgets that were fitted beside it
    INDEX = "index"
    REPORT = "report.html"  # all of it, to look at


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; on success it takes its place in one step, on failure it is removed.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic(target) as p:
        ...     _ = p.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        yield partial
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, readable by people."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path, what: str = "file") -> str:
    """Read a text file. Raises ModalignError where it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModalignError(f"{what} not found: {path}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise ModalignError(f"{what} cannot be read: {path} ({problem})") from None


def read_json(path: Path, what: str = "file") -> Any:
    """Read a JSON file. Raises ModalignError where it is missing or damaged."""
    text = read_text(path, what)
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path}, line {problem.lineno}: {problem.msg}") from None


def read_jsonl(path: Path, what: str = "file") -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; a last line cut off by a kill is left out."""
    rows = []
    lines = read_text(path, what).splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as problem:
            if number < len(lines):
                raise ModalignError(f"{what} is damaged: {path}, line {number}: {problem.msg}") from None
    return rows


def cache_folder() -> Path:
    """Where features are kept: ``MODALIGN_CACHE``, or else ``modalign`` in the user's cache folder."""
    chosen = os.environ.get("MODALIGN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "modalign"
