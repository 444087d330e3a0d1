"""A store rewritten once into a file: streamed, resumed where it was killed, checked before it takes its name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError
from ..files import read_table, refused, reserve, write_json
from ..progress import Progress, kept, silent
from .adapter import Adapter
from .lists import as_tensor
from .vectors import BLOCK, Vectors

FLUSH = 16  # blocks between two notes of how far it came
LOOKED_AT, MARKED = 64, 2  # first rows of a store; those of them by which it is known again
NEAR = 1e-3  # of one number, halved precision included
CHECKED = 256  # rows that are mapped again and compared before a store is called whole


def fingerprint(adapter: Adapter) -> str:
    """Identity of an adapter: its tensors and settings."""
    digest = hashlib.blake2b(json.dumps(adapter.settings(), sort_keys=True).encode(), digest_size=8)
    for name, value in sorted({"weight": adapter.weight, "bias": adapter.bias, **adapter.parts}.items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


class Mapped(NamedTuple):
    """Rows of a store that were mapped, and how many of them have no direction: zero or not finite, as they were."""

    rows: int
    bare: int


def bare(rows: np.ndarray) -> int:
    """How many rows are zero or not finite.

    Example:
        >>> bare(np.array([[1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]]))
        2
    """
    square = np.einsum("nd,nd->n", rows, rows)
    return int(len(rows) - np.count_nonzero((square > 0) & np.isfinite(square)))


def fits(adapter: Adapter, store: Vectors) -> None:
    """Refuse a store of another width.

    Raises:
        ModalignError: both widths.
    """
    if adapter.width != store.width:
        raise ModalignError(f"the adapter takes rows of {adapter.width} numbers, but {store.path} has {store.width}")


def marks(adapter: Adapter, store: Vectors) -> dict[str, Any] | None:
    """Some of the first rows of a store and where the adapter takes them: by them it is known once it is mapped.

    Returns: {"rows": numbers, "vectors": mapped}; None where nothing can be mapped twice: the widths differ, or the
        rows stay where they are.
    """
    if adapter.width != adapter.dim:
        return None
    first = store.at(np.arange(min(LOOKED_AT, store.rows)))
    rows = np.flatnonzero(np.isfinite(first).all(1) & (first != 0).any(1))[:MARKED]
    mapped = adapter(as_tensor(first[rows])).numpy()
    same = np.allclose(mapped, first[rows], atol=NEAR)
    return None if same else {"rows": rows.tolist(), "vectors": mapped.astype(float).round(5).tolist()}


def refuse_mapped(known: Mapping[str, Any] | None, store: Vectors) -> None:
    """Refuse a store that holds what the adapter made of it.

    Args:
        known: what ``marks`` gave of the store that the adapter was fitted on.

    Raises:
        ModalignError: it is mapped already.
    """
    if known is None or store.rows <= max(known["rows"]) or store.width != len(known["vectors"][0]):
        return
    if np.allclose(store.at(np.asarray(known["rows"])), np.asarray(known["vectors"]), atol=NEAR):
        raise ModalignError(
            f"{store.path} holds vectors that this migration has mapped already: there is nothing to do"
        )


def map_file(adapter: Adapter, store: Vectors, out: Path, progress: Progress = silent) -> Mapped:
    """Map a store into a .npy file, in blocks; memory does not grow with its size.

    What is done goes into ``.OUT.part`` with a note ``.OUT.note`` of how far it came. Killed at any time, the next call
    goes on from the note; ``OUT`` appears in one step when all rows are there and a sample of them is right. The store
    is only read.

    Args:
        out: .npy to write; float32.

    Raises:
        ModalignError: ``out`` exists, is the store itself, or the part is of another store or adapter.
    """
    if out.suffix != ".npy":
        raise ModalignError(f"mapped vectors are written as .npy, got: {out}")
    if out.exists():
        raise ModalignError(f"{out} exists already: move it away, or choose another --out")
    fits(adapter, store)
    out.parent.mkdir(parents=True, exist_ok=True)
    part, note = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.note")
    job = {"adapter": fingerprint(adapter), "rows": store.rows, "width": adapter.dim, "store": source_of(store)}
    lost = _filled(adapter, store, part, note, job, progress)
    try:
        check(adapter, store, np.load(part, mmap_mode="r").__getitem__)
    except ModalignError:
        note.unlink(missing_ok=True)
        raise  # the next call begins anew
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    note.unlink(missing_ok=True)  # before: nothing is left to clear away once the file is there
    os.replace(part, out)
    return Mapped(store.rows, lost)


def _filled(adapter: Adapter, store: Vectors, part: Path, note: Path, job: dict[str, Any], progress: Progress) -> int:
    """Map what is not there yet; how many rows are bare."""
    done, lost = _resumed(part, note, job)
    file = _opened(part, (store.rows, adapter.dim), done > 0)

    def keep() -> str:
        file.flush()
        write_json(note, {**job, "done": done, "bare": lost})
        return f"{done:,} of {store.rows:,} mapped rows are kept"

    with kept(keep):
        for number, (start, block) in enumerate(store.blocks(BLOCK, done), 1):
            file[start : start + len(block)] = mapped = adapter(as_tensor(block)).numpy()
            done, lost = start + len(block), lost + bare(mapped)
            if number % FLUSH == 0:
                keep()
            progress(done, store.rows, "mapping")
    file.flush()
    return lost


def _opened(part: Path, shape: tuple[int, int], there: bool) -> np.memmap:
    """A mapped file of float32 whose room the disk has given; where there is none, it leaves nothing."""
    try:
        file = np.lib.format.open_memmap(part, "r+" if there else "w+", np.float32, shape)
    except ValueError:
        part.unlink(missing_ok=True)
        raise ModalignError(f"{part} was damaged, and is removed: run the same command again") from None
    except OSError as problem:
        if (refusal := refused(problem, part)) is None:
            raise
        part.unlink(missing_ok=True)
        raise refusal from None
    reserve(part)
    return file


def source_of(store: Vectors) -> str:
    """Which store it is: its path, and when it was last written."""
    path = Path(store.path)
    return f"{path.resolve()} {path.stat().st_mtime_ns}" if path.exists() else store.path


def _resumed(part: Path, note: Path, job: dict[str, Any]) -> tuple[int, int]:
    """Rows that are there already, and how many of them are bare."""
    if not (part.exists() and note.exists()):
        return 0, 0
    found = read_table(note, "note of a mapping")
    if {k: found.get(k) for k in job} != job:
        raise ModalignError(f"{part} belongs to another store or adapter: remove it, or choose another --out")
    for name in ("done", "bare"):
        given = found.get(name, 0)
        if not isinstance(given, int) or not 0 <= given <= job["rows"]:
            raise ModalignError(f"note is damaged: {note} ('{name}' is {given!r}); remove it and map again")
    return found.get("done", 0), found.get("bare", 0)


def check(adapter: Adapter, store: Vectors, mapped: Callable[[np.ndarray], np.ndarray]) -> None:
    """Map a sample of rows again, the first and the last among them, and compare.

    Raises:
        ModalignError: a row is not what the adapter gives.
    """
    rows = np.unique(np.linspace(0, store.rows - 1, min(CHECKED, store.rows)).astype(np.int64))
    want, found = adapter(as_tensor(store.at(rows))).numpy(), mapped(rows)
    if found.shape != want.shape or not np.allclose(found, want, atol=1e-4, rtol=1e-3, equal_nan=True):
        raise ModalignError(f"the mapped rows of {store.path} are not what the adapter gives: map them again")
