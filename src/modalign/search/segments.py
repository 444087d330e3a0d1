"""An index on disk: segments that are never changed, and one small file that says which of them count.

current.json             format, dimensions, settings, fingerprint of the model, segments, deleted rows, recall
segments/<content>/      segment.json, and for each modality: <i>.faiss and <i>.arrow; for IVF-PQ and where rows are
                         equal <i>.npy, all vectors, and then <i>.copies.npy, which entry of the index each row is
deleted/<content>.npy    rows that are deleted or replaced: (n, 3) segment, modality, row
model/<fingerprint>/     the model's own files, so that the index answers by itself

A write puts new files beside the old ones and then replaces current.json in one step: killed at any time, it leaves
the old index or the new one. Files that no current.json names are removed at the next write. Names are hashes of
content and nothing notes the time, so two builds from the same input are equal byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError, explained
from ..files import atomic, read_json, read_table, refused, save_array, write_json
from ..geometry.neighbours.flat import on_threads
from ..progress import Progress, kept, silent
from . import ann
from .copies import distinct, read_copies
from .items import ArrowItems, write_arrow
from .part import Part
from .settings import AnnSettings, settings_from

FORMAT = 1
BLOCK = 4096  # entries hashed at once
CURRENT, SEGMENT = "current.json", "segment.json"


def is_index(folder: Path) -> bool:
    """Whether a folder holds a search index."""
    return (folder / CURRENT).is_file()


def read_current(folder: Path) -> dict[str, Any]:
    """The description of an index.

    Raises:
        ModalignError: no index there, a damaged one, or one of a newer format.
    """
    if not is_index(folder):
        raise ModalignError(f"no search index in {folder}: it has no {CURRENT} (make one with  modalign index)")
    table = read_json(folder / CURRENT, "index")
    if not isinstance(table, dict) or not isinstance(table.get("format"), int):
        raise ModalignError(f"index is damaged: {folder / CURRENT} has no format number; build it again")
    if table["format"] != FORMAT:
        raise ModalignError(f"{folder / CURRENT} has format {table['format']}, this version reads {FORMAT}")
    missing = {"dim", "settings", "model", "segments", "deleted"} - set(table)
    if missing:
        raise ModalignError(f"index is damaged: {folder / CURRENT} lacks {', '.join(sorted(missing))}; build it again")
    return table


def content_name(vectors: Mapping[str, np.ndarray], items: Mapping[str, Sequence[Any]], facts: Any) -> str:
    """Name of a segment: a hash of all that is in it."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for m, x in vectors.items():
        digest.update(f"\0{m}\0{x.shape}\0".encode())
        digest.update(np.ascontiguousarray(x).data)
        for start in range(0, len(items[m]), BLOCK):
            some = items[m][start : start + BLOCK]
            digest.update(json.dumps(some, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def write_segment(
    folder: Path,
    vectors: Mapping[str, np.ndarray],
    items: Mapping[str, Sequence[Mapping[str, Any]]],
    settings: AnnSettings,
    root: str | None,
    progress: Progress = silent,
    number: int = 0,
) -> str:
    """Write a segment, whole or not at all; one that is there already is not written again.

    Args:
        folder: of the index. vectors: modality -> (n, d) unit rows. items: modality -> one entry per row.
        root: folder that "picture" paths start from, relative to the index.
        number: of this segment in the index, so that the same items can be added again after they were deleted.

    Returns: its name.
    """
    name = content_name(vectors, items, [vars(settings), root, number])
    target = folder / "segments" / name
    if (target / SEGMENT).exists():
        return name
    partial = target.with_name(f".{name}.tmp")  # one writer at a time: see ``writing``
    partial.mkdir(parents=True, exist_ok=True)
    try:
        with kept(lambda: "what is indexed is kept"):
            for i, (m, x) in enumerate(vectors.items()):
                progress(i, len(vectors), "indexing")
                _write_vectors(partial, i, x, settings, progress)
                write_arrow(partial / f"{i}.arrow", items[m])
        facts: dict[str, Any] = {
            "modalities": {m: len(x) for m, x in vectors.items()},
            "settings": vars(settings),
            "root": root,
        }
        facts["marks"] = [ann.mark(partial / f"{i}.faiss", settings.kind) for i in range(len(vectors))]
        write_json(partial / SEGMENT, facts)
        _sync(partial)
        os.replace(partial, target)
        progress(len(vectors), len(vectors), "indexing")
    except Exception as problem:  # an interruption leaves what is there for the next call
        shutil.rmtree(partial, ignore_errors=True)
        if (refusal := refused(problem, target)) is not None:
            raise refusal from None
        if isinstance(problem, OSError):
            raise ModalignError(f"index cannot be written: {target} ({problem.strerror or problem})") from None
        raise
    return name


def write_shards(
    folder: Path,
    vectors: Mapping[str, np.ndarray],
    items: Mapping[str, Sequence[Mapping[str, Any]]],
    settings: AnnSettings,
    root: str | None,
    shards: int = 1,
    progress: Progress = silent,
) -> list[str]:
    """Write items as so many segments, each with equal parts of every modality, as many at a time as there are cores.

    Each is indexed by one thread, so that several take no more threads than there are cores. A shard that was
    written before the work was interrupted is not written again.

    Args:
        folder: of the index. vectors, items, settings, root: see ``write_segment``.

    Returns: the names of the segments, in the order of the rows.
    """
    if shards == 1:
        return [write_segment(folder, vectors, items, settings, root, progress)]

    def write(number: int) -> str:
        parts = {m: slice(len(x) * number // shards, len(x) * (number + 1) // shards) for m, x in vectors.items()}
        parts = {m: part for m, part in parts.items() if part.stop > part.start}
        own = {m: vectors[m][part] for m, part in parts.items()}
        rows = {m: items[m][part] for m, part in parts.items()}
        with on_threads(1):
            return write_segment(folder, own, rows, settings, root, number=number)

    names = []
    with ThreadPoolExecutor(min(shards, len(os.sched_getaffinity(0)))) as pool:
        for name in pool.map(write, range(shards)):
            names.append(name)
            progress(len(names), shards, "indexing shards")
    return names


def link(index: Path, folder: Path, name: str) -> None:
    """A segment of one index in another too, with its pictures where they were; linked where the file system can."""
    target, partial = folder / "segments" / name, folder / "segments" / f".{name}.tmp"
    if (target / SEGMENT).exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(index / "segments" / name, partial, copy_function=_linked)
    facts = read_table(partial / SEGMENT, "index segment")
    if facts["root"] is not None:
        facts["root"] = os.path.relpath((index / facts["root"]).resolve(), folder.resolve())
        (partial / SEGMENT).unlink()
        write_json(partial / SEGMENT, facts)
    os.replace(partial, target)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _write_vectors(folder: Path, i: int, x: np.ndarray, settings: AnnSettings, progress: Progress) -> None:
    """The index of one modality, of different rows where it is approximate, and what it does not hold itself."""
    target, unfinished = folder / f"{i}.faiss", folder / f"{i}.unfinished"
    if target.exists():
        return
    once = x
    if settings.kind != "exact":
        first, entry = distinct(x)
        if len(first) < len(x):
            once = x[first]
            save_array(folder / f"{i}.copies.npy", entry)
        if len(first) < len(x) or settings.kind == "ivfpq":
            save_array(folder / f"{i}.npy", x)
    index = ann.build(once, settings, unfinished, progress)
    with atomic(target) as whole:
        ann.write(index, whole)
    unfinished.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def read_segment(folder: Path, name: str, dim: int) -> dict[str, Part]:
    """Parts of a segment, mapped into memory.

    Raises:
        ModalignError: files are damaged or do not fit. FileNotFoundError: the segment is gone.
    """
    place = folder / "segments" / name
    if not (place / SEGMENT).exists():
        raise FileNotFoundError(2, "No such file", str(place / SEGMENT))
    facts = read_table(place / SEGMENT, "index segment")
    kinds = (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError)
    with explained(f"index is damaged: {place}", *kinds, then="; build it again"):
        return _parts(folder, place, facts, dim)


def _parts(folder: Path, place: Path, facts: Mapping[str, Any], dim: int) -> dict[str, Part]:
    settings = settings_from(facts["settings"], str(place / SEGMENT))
    root = None if facts["root"] is None else (folder / facts["root"]).resolve()
    parts = {}
    for i, (m, n) in enumerate(facts["modalities"].items()):
        copies = read_copies(place / f"{i}.copies.npy", n)
        table = place / f"{i}.npy" if settings.kind == "ivfpq" or copies else None
        entries = n if copies is None else len(copies.start) - 1
        if "marks" in facts and facts["marks"][i] != ann.mark(place / f"{i}.faiss", settings.kind):
            raise ModalignError(f"index is damaged: {place / f'{i}.faiss'} is not what was written; build it again")
        opened = ann.read(place / f"{i}.faiss", table, settings.kind, entries, dim)
        items = ArrowItems(place / f"{i}.arrow")
        if len(items) != n:
            raise ModalignError(f"index is damaged: {place / f'{i}.arrow'} lists {len(items)} items, expected {n}")
        parts[m] = Part(opened.vectors, items, None, opened.faiss, settings, copies, root)
    return parts


def write_deleted(folder: Path, rows: np.ndarray) -> str | None:
    """Write the deleted rows, (n, 3) int64 of segment, modality and row. Returns the file's name; None for none."""
    if not len(rows):
        return None
    rows = np.unique(rows, axis=0)
    name = hashlib.blake2b(rows.tobytes(), digest_size=12).hexdigest() + ".npy"
    with atomic(folder / "deleted" / name) as partial:
        save_array(partial, rows)
    return name


def read_deleted(folder: Path, name: str | None) -> np.ndarray:
    """(n, 3) int64. Raises ModalignError where the file is damaged."""
    if name is None:
        return np.empty((0, 3), np.int64)
    path = folder / "deleted" / name
    with explained(f"index is damaged: {path}", ValueError, EOFError, then="; build it again"):
        return np.load(path)


def tidy(folder: Path, current: Mapping[str, Any]) -> None:
    """Remove what the current description does not name. Readers that have it open keep it."""
    named = {
        "segments": set(current["segments"]),
        "deleted": {current["deleted"]},
        "model": {current["model"]["folder"]} if current["model"] else set(),
    }
    for kind, keep in named.items():
        for path in (folder / kind).glob("*"):
            if path.name not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if (folder / kind).is_dir() and not any((folder / kind).iterdir()):
            (folder / kind).rmdir()
