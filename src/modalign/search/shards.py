"""An index in several shards: segments that are built side by side and searched together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError, few
from ..files import read_json, write_json
from ..outputs import claim
from ..progress import Progress, silent
from . import segments
from .ann import threads
from .settings import AnnSettings


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
        folder: of the index. vectors, items, settings, root: see ``segments.write_segment``.

    Returns: the names of the segments, in the order of the rows.
    """
    if shards == 1:
        return [segments.write_segment(folder, vectors, items, settings, root, progress)]

    def write(number: int) -> str:
        parts = {m: slice(len(x) * number // shards, len(x) * (number + 1) // shards) for m, x in vectors.items()}
        parts = {m: part for m, part in parts.items() if part.stop > part.start}
        own = {m: vectors[m][part] for m, part in parts.items()}
        rows = {m: items[m][part] for m, part in parts.items()}
        with threads(1):
            return segments.write_segment(folder, own, rows, settings, root, number=number)

    names = []
    with ThreadPoolExecutor(min(shards, len(os.sched_getaffinity(0)))) as pool:
        for name in pool.map(write, range(shards)):
            names.append(name)
            progress(len(names), shards, "indexing shards")
    return names


def join(folder: Path, indexes: Sequence[Path]) -> None:
    """Make one index of several, built by other processes or on other machines: their segments, side by side.

    Files are linked where the file system can, else copied; nothing is built again.

    Args:
        folder: of the new index. indexes: folders, in the order of the rows.

    Raises:
        ModalignError: indexes of other models, widths or kinds, or items of one id in two of them.
    """
    tables = [segments.read_current(index) for index in indexes]
    for name in ("dim", "settings", "model"):
        if any(table[name] != tables[0][name] for table in tables):
            raise ModalignError(f"the indexes differ in their {name}: {few(str(table[name]) for table in tables)}")
    with claim(folder, "index", inputs=indexes):
        names: list[str] = []
        gone: list[np.ndarray] = []
        ids: set[str] = set()
        for index, table in zip(indexes, tables, strict=True):
            rows = segments.read_deleted(index, table["deleted"])
            gone.append(rows + np.array([len(names), 0, 0]))
            for name in table["segments"]:
                _link(index, folder, name)
                names.append(name)
            own = _ids(index, table, rows)
            if twice := ids.intersection(own):
                raise ModalignError(f"{index} has {len(twice)} ids that another has too ({few(sorted(twice), 3)})")
            ids.update(own)
        if model := tables[0]["model"]:
            source = Path("model") / model["folder"]
            shutil.copytree(indexes[0] / source, folder / source, dirs_exist_ok=True)
        deleted = segments.write_deleted(folder, np.concatenate(gone))
        current = {**tables[0], "segments": names, "deleted": deleted, "recall": None}
        write_json(folder / segments.CURRENT, current)
        segments.tidy(folder, current)


def _link(index: Path, folder: Path, name: str) -> None:
    """A segment in another index, with its pictures where they were."""
    target, partial = folder / "segments" / name, folder / "segments" / f".{name}.tmp"
    if (target / segments.SEGMENT).exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(index / "segments" / name, partial, copy_function=_linked)
    facts = read_json(partial / segments.SEGMENT, "index segment")
    if facts["root"] is not None:
        facts["root"] = os.path.relpath((index / facts["root"]).resolve(), folder.resolve())
        (partial / segments.SEGMENT).unlink()
        write_json(partial / segments.SEGMENT, facts)
    os.replace(partial, target)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _ids(index: Path, table: Mapping[str, Any], deleted: np.ndarray) -> list[str]:
    """Ids of what an index holds."""
    found = []
    for s, name in enumerate(table["segments"]):
        for i, part in enumerate(segments.read_segment(index, name, table["dim"]).values()):
            gone = set(deleted[(deleted[:, 0] == s) & (deleted[:, 1] == i), 2].tolist())
            found += [str(id) for row, id in enumerate(part.items.column("id")) if row not in gone]
    return found
