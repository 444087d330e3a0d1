"""A LanceDB table across a change of model: mapped beside itself, and put in its own place in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.lance import note
from ..errors import ModalignError, require
from ..files import atomic, read_table, sweep, write_json
from ..outputs import claim_file
from ..progress import Progress, silent
from .adapter import Adapter
from .apply import Mapped, bare, check, fingerprint, fits
from .lists import as_tensor
from .stores import lance_store, open_vectors
from .vectors import BLOCK, Vectors, not_empty

STAMP = b"modalign.adapter"  # metadata of a mapped column: the adapter that it went through
EMBEDDING = b"embedding_functions"  # metadata of a table: LanceDB embeds what is added and asked by them


class Move(NamedTuple):
    """A table on its way.

    Args:
        database, old: LanceDB's. place: folder of the table. column: of the vectors. store: them. schema: of the
            mapped table. job: what must be the same for a killed call to be gone on with. note: file that holds it.
    """

    database: Any
    old: Any
    place: Path
    column: str
    store: Vectors
    schema: Any
    job: dict[str, Any]
    note: Path

    @property
    def target(self) -> str:
        """Name of the table beside it."""
        return f"{self.place.stem}_mapped"


def map_lance(
    adapter: Adapter, uri: str, table: str, column: str | None = None, replace: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:  # fmt: skip
    """Map the vectors of a LanceDB table into a table beside it, and put that in its place where asked.

    1. Batches go into ``TABLE_mapped``, each committed whole; killed, the next call counts its rows and goes on.
    2. The number of rows and a sample of vectors are checked.
    3. With ``replace`` the table becomes the new one in a single commit; LanceDB keeps the version before it, which
       ``table.restore(VERSION)`` brings back with its indexes. Without it both tables stay.

    Returns: {"rows", "bare", "table", "version_before": of the old table, or None, "lost": what the new table has not:
        indexes and embedding functions}.

    Raises:
        ModalignError: no such table, another width, a table that changed while it was mapped, one that this adapter has
            mapped already, or one that another program maps now.
    """
    place = Path(uri) / f"{table}.lance"
    if not place.is_dir():
        raise ModalignError(f"no vectors at {place}: the folder does not exist")
    with claim_file(note(place)):
        return _moved(adapter, place, column, replace, progress)


def _moved(adapter: Adapter, place: Path, column: str | None, replace: bool, progress: Progress) -> dict[str, Any]:
    store, name, old = lance_store(place, column)
    move = _planned(adapter, require("lancedb", "lance").connect(str(place.parent)), old, place, name, store)
    if (move.old.schema.field(name).metadata or {}).get(STAMP) == move.job["adapter"].encode():
        return _finished(move)
    fits(adapter, not_empty(store))
    mapped = _filled(adapter, move, progress)
    if move.database.open_table(place.stem).version != move.job["version"]:
        raise ModalignError(f"{place} changed while it was mapped: start again")
    check(adapter, store, open_vectors(place.with_name(f"{move.target}.lance"), name).at)
    lost = [f"index {i.name} on {', '.join(i.columns)}" for i in old.list_indices()]
    lost += ["embedding functions"] if EMBEDDING in (old.schema.metadata or {}) else []
    told = {**mapped._asdict(), "lost": lost}
    if not replace:  # the note stays: it tells the next call whose table that is
        return {**told, "table": move.target, "version_before": None}
    write_json(move.note, {**read_table(move.note), "lost": lost})
    _put(move, progress)
    return {**told, "table": place.stem, "version_before": move.job["version"]}


def _planned(adapter: Adapter, database: Any, old: Any, place: Path, name: str, store: Vectors) -> Move:
    arrow = require("pyarrow", "lance")
    stamped = {**(old.schema.field(name).metadata or {}), STAMP: fingerprint(adapter).encode()}
    field = arrow.field(name, arrow.list_(arrow.float32(), adapter.dim), metadata=stamped)
    rest = {k: v for k, v in (old.schema.metadata or {}).items() if k != EMBEDDING}
    schema = old.schema.set(old.schema.get_field_index(name), field).with_metadata(rest)
    job = {"adapter": fingerprint(adapter), "version": old.version, "rows": store.rows, "column": name}
    return Move(database, old, place, name, store, schema, job, note(place))


def _finished(move: Move) -> dict[str, Any]:
    """The end of a call that was killed after its commit: what is left over goes, and nothing is mapped twice."""
    if not move.note.exists() or read_table(move.note).get("adapter") != move.job["adapter"]:
        raise ModalignError(f"{move.place} holds vectors that this adapter has mapped already: there is nothing to do")
    before = read_table(move.note)
    lost = sum(bare(rows) for _, rows in move.store.blocks())
    _tidy(move)
    return {"rows": move.store.rows, "bare": lost, "lost": before.get("lost", []), "table": move.place.stem,
            "version_before": before["version"]}  # fmt: skip


def _filled(adapter: Adapter, move: Move, progress: Progress) -> Mapped:
    """The table beside the old one, whole; what is there of it already stays."""
    arrow = require("pyarrow", "lance")
    there = move.place.with_name(f"{move.target}.lance").exists()
    if there and not move.note.exists():
        raise ModalignError(f"{move.place.parent} has a table '{move.target}' already: drop or rename it first")
    known = read_table(move.note) if move.note.exists() else {}
    if there and {k: known.get(k) for k in move.job} == move.job:
        new = move.database.open_table(move.target)
    else:
        known, mode = {}, "overwrite" if there else "create"
        write_json(move.note, move.job)
        new = move.database.create_table(move.target, schema=move.schema, mode=mode)
    begun = new.count_rows()
    counts = {int(k): n for k, n in known.get("bare", {}).items()}
    lost = counts.get(begun, 0)
    at = move.schema.get_field_index(move.column)
    for start in range(begun, move.store.rows, BLOCK):
        rows = np.arange(start, min(start + BLOCK, move.store.rows))
        block = move.old.take_offsets(rows.tolist()).to_arrow().select(move.schema.names)
        mapped = adapter(as_tensor(move.store.at(rows))).numpy()
        counts = {start: lost, start + len(rows): lost + bare(mapped)}  # the add below may or may not come to be
        lost = counts[start + len(rows)]
        write_json(move.note, {**move.job, "bare": counts})
        flat = arrow.array(mapped.ravel(), arrow.float32())
        none = arrow.array(~np.isfinite(mapped).all(1))  # LanceDB takes no vector that is not finite: none stays none
        vectors = arrow.FixedSizeListArray.from_arrays(flat, move.schema.field(at).type.list_size, mask=none)
        new.add(block.set_column(at, move.schema.field(at), vectors))
        progress(start + len(rows), move.store.rows, "mapping")
    if new.count_rows() != move.store.rows:
        raise ModalignError(f"{move.place} changed while it was mapped: start again")
    return Mapped(move.store.rows, lost)


def _put(move: Move, progress: Progress) -> None:
    """The mapped table in the place of the old one, in one commit."""
    arrow = require("pyarrow", "lance")
    require("pyarrow.ipc", "lance")
    new, rows = move.database.open_table(move.target), move.store.rows
    spool = move.place.with_name(f"{move.place.stem}.mapping.arrow")  # it cannot read one table and write another
    sweep(spool)
    with atomic(spool) as partial, arrow.OSFile(str(partial), "wb") as sink:  # noqa: SIM117
        with arrow.ipc.new_file(sink, move.schema) as file:
            for start in range(0, rows, BLOCK):
                found = new.take_offsets(list(range(start, min(start + BLOCK, rows)))).to_arrow()
                file.write_table(found.select(move.schema.names).cast(move.schema))
    with arrow.memory_map(str(spool)) as mapped:
        batches = _told(arrow.ipc.open_file(mapped), rows, progress)
        kept = {"mode": "overwrite", "on_bad_vectors": "null"}  # as they are: without a vector stays without
        move.database.create_table(move.place.stem, data=batches, schema=move.schema, **kept)
    _tidy(move)


def _told(reader: Any, rows: int, progress: Progress) -> Iterator[Any]:
    """Batches of an Arrow file, one after the other."""
    done = 0
    for i in range(reader.num_record_batches):
        yield (batch := reader.get_batch(i))
        done += batch.num_rows
        progress(done, rows, "putting the table in its place")


def _tidy(move: Move) -> None:
    """Remove what was beside the table; the note last, since it says what the rest is."""
    move.place.with_name(f"{move.place.stem}.mapping.arrow").unlink(missing_ok=True)
    if move.place.with_name(f"{move.target}.lance").exists():
        move.database.drop_table(move.target)
    move.note.unlink(missing_ok=True)
