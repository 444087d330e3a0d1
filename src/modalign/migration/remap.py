"""What ``modalign remap`` does: any store of ours or others through the adapter of a migration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.steady import steady
from ..errors import ModalignError, few
from ..files import absolute
from ..outputs import claim_file, refuse
from ..progress import Progress, silent
from ..search import origins
from ..search.gallery import unit_rows
from ..search.index import Index
from ..search.segments import is_index
from . import gradual
from .adapter import Adapter
from .apply import fits, map_file, refuse_mapped
from .in_faiss import map_faiss, queries_in_faiss
from .in_lance import map_lance
from .in_parquet import map_parquet
from .migrating import Migration, load_migration
from .stores import open_vectors, split_part

FAISS = (".faiss", ".index")


def remap(
    folder: Path,
    store: Path,
    out: Path | None = None,
    *,
    new_items: Path | None = None,
    queries: bool = False,
    replace: bool = False,
    part: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Move a store into the new space (or, with ``queries``, put the adapter before it).

    - a LanceDB table (``DATABASE/NAME.lance``): mapped beside it; ``replace`` puts it in its place.
    - a faiss index (.faiss, .index): mapped to ``out``; with ``queries`` the old index behind the adapter.
    - a search index of modalign, to a folder ``out``: an index of the mapped items; with ``new_items``, an index that
      the new model made or will make vectors for, both in one list with scores calibrated per origin.
    - a Parquet table, to ``out`` .parquet: its other columns stay as they are.
    - that, and anything else that holds vectors, to ``out`` .npy; with ``queries`` new-model vectors go into the old
      space.

    Returns: {"store", "out", "rows", "direction"} and what the kind of store adds.

    Raises:
        ModalignError: what cannot be read, does not fit, or would be overwritten.
    """
    moved = load_migration(folder)
    direction = "queries" if queries else "rows"
    adapter = moved._of(direction)
    store, part = split_part(store, part)
    told: dict[str, Any] = {"store": str(store), "out": None if out is None else str(out), "direction": direction}
    if store.suffix == ".lance":
        if out is not None or queries:
            raise ModalignError("a LanceDB table is mapped beside itself: leave out --out and --queries")
        found = map_lance(adapter, str(store.parent), store.stem, part, replace, progress)
        return {**told, **found, "out": str(store.parent / f"{found['table']}.lance")}
    if out is None:
        raise ModalignError("say where the mapped vectors go: --out FILE.npy, FILE.parquet, FILE.faiss or a folder")
    if store.is_dir() and is_index(store) and out.suffix != ".npy":
        if queries:
            raise ModalignError("queries need no other index: search the folder of the migration itself")
        refuse(out, "index", inputs=[store, folder, new_items])
        return {**told, **map_index(moved, store, out, new_items, progress)}
    endings = FAISS if store.suffix in FAISS else (".npy", ".parquet") if store.suffix == ".parquet" else (".npy",)
    marks = moved.facts[direction].get("marks")
    with claim_file(out, endings, [store, folder], new=True):
        try:
            with steady([store]):
                return {**told, **_mapped(adapter, store, out, marks, queries, part, progress)}
        except ModalignError:
            out.unlink(missing_ok=True)  # it was not there before
            raise


def _mapped(
    adapter: Adapter,
    store: Path,
    out: Path,
    marks: Mapping[str, Any] | None,
    queries: bool,
    part: str | None,
    progress: Progress,
) -> dict[str, Any]:
    """A store as the file ``out``: what the kind of store tells of it."""
    if store.suffix in FAISS:
        if queries:
            return {"rows": queries_in_faiss(adapter, store, out)}
        return map_faiss(adapter, store, out, progress, marks)._asdict()
    rows = open_vectors(store, part)
    refuse_mapped(marks, rows)
    if out.suffix == ".parquet":
        return map_parquet(adapter, store, out, part, progress)._asdict()
    return map_file(adapter, rows, out, progress)._asdict()


def map_index(
    moved: Migration, store: Path, out: Path, new_items: Path | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """A search index of mapped items, with new ones beside them where given. The old index stays as it is."""
    if is_index(out):
        raise ModalignError(f"{out} holds a search index already: choose another --out")
    assert moved.folder is not None  # it was read from there
    old = Index(store)
    if (before := old.current.get("migration")) is not None and Path(before).resolve() == moved.folder.resolve():
        raise ModalignError(f"{store} was mapped by this migration already: there is nothing to do")
    new = None if new_items is None else _of_new_model(new_items, moved._of("rows").dim)
    root = origins.common([old] if new is None else [old, new])
    vectors: dict[str, np.ndarray] = {}
    items: dict[str, list[dict[str, Any]]] = {}
    numbers: dict[str, np.ndarray] = {}
    line = calibration(moved) if new is not None else None
    for m in old.modalities:
        alive = np.flatnonzero(old.alive(m))
        if not len(alive):
            continue
        rows = open_vectors(store, m)
        refuse_mapped(moved.facts["rows"].get("marks"), rows)  # by this migration, at another place
        fits(moved._of("rows"), rows)
        mapped = moved.rows(torch.from_numpy(np.array(rows.read(0, rows.rows))))
        vectors[m] = unit_rows(mapped if line is None else gradual.mixed_rows(mapped, line), m)
        items[m] = _entries(old, m, alive, "old", root)
        numbers[m] = old.batches(m)[alive]
        progress(len(items), len(old.modalities), "mapping the index")
    if new is not None:
        _with_new(new, vectors, items, numbers, root)
    facts = {**old.facts, "migration": absolute(moved.folder), "mixed": new_items is not None}
    index = Index._built(out, vectors, items, old.settings, None, root, facts, 1, progress, numbers)
    counts = {m: index.count(m) for m in index.modalities}
    return {"rows": counts, "mixed": facts["mixed"], "new_items": None if new_items is None else str(new_items)}


def _of_new_model(place: Path, width: int) -> Index:
    """An index of vectors of the new model.

    Raises:
        ModalignError: mapped items, which the new model has not made, or vectors of another width.
    """
    new = Index(place)
    if "migration" in new.current:
        raise ModalignError(f"{new} holds items that were mapped: --new-items are those with vectors of the new model")
    if new.dim != width:
        raise ModalignError(f"{new} has vectors of {new.dim} numbers, but those of the new model have {width}")
    return new


def _with_new(
    new: Index,
    vectors: dict[str, np.ndarray],
    items: dict[str, list[dict[str, Any]]],
    numbers: dict[str, np.ndarray],
    root: Path | None,
) -> None:
    """Items with vectors of the new model join those of their modality."""
    more = 1 + max((int(own.max()) for own in numbers.values()), default=-1)
    for m in new.modalities:
        alive = np.flatnonzero(new.alive(m))
        if not len(alive):
            continue
        rows = unit_rows(gradual.mixed_rows(torch.from_numpy(new.vectors(m, alive))), m)
        entries = _entries(new, m, alive, "new", root)
        old = {e["id"] for e in items.get(m, [])}
        taken = old | {e["id"] for e in entries}
        for e in entries:
            if e["id"] in old:
                while e["id"] in taken:
                    e["id"] = f"new/{e['id']}"
                taken.add(e["id"])
        vectors[m] = np.concatenate([vectors[m], rows]) if m in vectors else rows
        own = new.batches(m)[alive] + more
        numbers[m] = np.concatenate([numbers[m], own]) if m in numbers else own
        items[m] = [*items.get(m, []), *entries]


def _entries(index: Index, modality: str, rows: np.ndarray, origin: str, root: Path | None) -> list[dict[str, Any]]:
    known = origins.entries(index, modality, rows, root)
    return [{**{k: v for k, v in entry.items() if k != "row"}, "origin": origin} for entry in known]


def calibration(moved: Migration) -> gradual.Calibration:
    """The line of a migration, fitted on its held-out pairs.

    Raises:
        ModalignError: too few pairs were tested to fit one.
    """
    found: Mapping[str, Any] | None = moved.facts.get("mixed")
    if found is None:
        raise ModalignError(
            "scores of old and new items cannot be compared: 40 tested pairs are needed for a calibration"
        )
    return gradual.Calibration(float(found["slope"]), float(found["level"]))


def remapped(result: Mapping[str, Any]) -> str:
    """The result for people."""
    rows = result["rows"]
    count = f"{rows:,} rows" if isinstance(rows, int) else ", ".join(f"{n:,} of '{m}'" for m, n in rows.items())
    kept = ""
    if result.get("version_before") is not None:
        kept = f" (the table before it is version {result['version_before']}: table.restore brings it back)"
    source = " and ".join(x for x in (result["store"], result.get("new_items")) if x)
    lines = [f"{count} of {source} -> {result['out']}{kept}"]
    if result.get("bare"):
        lines.append(f"note: {result['bare']:,} rows are zero or not finite, and stay so: no query finds them")
    if result.get("lost") and result.get("version_before") is not None:
        lines.append(f"note: the table has no longer: {few(result['lost'])}; make them again for the new model")
    return "\n".join(lines)
