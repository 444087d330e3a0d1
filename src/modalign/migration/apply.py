"""A store rewritten once: streamed, resumed where it was killed, checked before the old one may go."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError, require
from ..files import atomic, read_json, reserve, write_json
from ..progress import Progress, silent
from ..search.ann import write as write_faiss
from .adapter import Adapter
from .lists import as_tensor
from .vectors import BLOCK, Vectors, open_vectors

FLUSH = 16  # blocks between two notes of how far it came
CHECKED = 256  # rows that are mapped again and compared before a store is called whole


def fingerprint(adapter: Adapter) -> str:
    """Identity of an adapter: its tensors and settings."""
    digest = hashlib.blake2b(json.dumps(adapter.settings(), sort_keys=True).encode(), digest_size=8)
    for name, value in sorted({"weight": adapter.weight, "bias": adapter.bias, **adapter.parts}.items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def map_file(adapter: Adapter, store: Vectors, out: Path, progress: Progress = silent) -> int:
    """Map a store into a .npy file, in blocks; memory does not grow with its size. Returns the number of rows.

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
    if adapter.width != store.width:
        raise ModalignError(f"the adapter takes rows of {adapter.width} numbers, but {store.path} has {store.width}")
    out.parent.mkdir(parents=True, exist_ok=True)
    part, note = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.note")
    job = {"adapter": fingerprint(adapter), "rows": store.rows, "width": adapter.dim, "store": _source(store)}
    done = _resumed(part, note, job)
    shape = (store.rows, adapter.dim)
    file = np.lib.format.open_memmap(part, "r+" if done else "w+", np.float32, shape)
    reserve(part)
    for number, (start, block) in enumerate(store.blocks(BLOCK, done)):
        file[start : start + len(block)] = adapter(as_tensor(block)).numpy()
        if number % FLUSH == FLUSH - 1:
            file.flush()
            write_json(note, {**job, "done": start + len(block)})
        progress(start + len(block), store.rows, "mapping")
    file.flush()
    check(adapter, store, open_memory(part))
    del file
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    os.replace(part, out)
    note.unlink(missing_ok=True)
    return store.rows


def _source(store: Vectors) -> str:
    """Which store it is: its path, and when it was last written."""
    path = Path(store.path)
    return f"{path.resolve()} {path.stat().st_mtime_ns}" if path.exists() else store.path


def open_memory(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of a .npy file whatever its name."""
    array = np.load(path, mmap_mode="r")
    return lambda rows: np.asarray(array[rows])


def _resumed(part: Path, note: Path, job: dict[str, Any]) -> int:
    """Rows that are there already."""
    if not (part.exists() and note.exists()):
        return 0
    found = read_json(note, "note of a mapping")
    if {k: found.get(k) for k in job} != job:
        raise ModalignError(f"{part} belongs to another store or adapter: remove it, or choose another --out")
    return int(found["done"])


def check(adapter: Adapter, store: Vectors, mapped: Callable[[np.ndarray], np.ndarray]) -> None:
    """Map a sample of rows again, the first and the last among them, and compare.

    Raises:
        ModalignError: a row is not what the adapter gives.
    """
    rows = np.unique(np.linspace(0, store.rows - 1, min(CHECKED, store.rows)).astype(np.int64))
    want, found = adapter(as_tensor(store.at(rows))).numpy(), mapped(rows)
    if found.shape != want.shape or not np.allclose(found, want, atol=1e-4, rtol=1e-3):
        raise ModalignError(f"the mapped rows of {store.path} are not what the adapter gives: map them again")


def map_faiss(adapter: Adapter, source: Path, out: Path, progress: Progress = silent) -> int:
    """A faiss index whose vectors are mapped: flat, HNSW or IVF-flat, with the ids of an IDMap. The source stays.

    Raises:
        ModalignError: an index that does not hold its vectors as they are (PQ, scalar quantiser), or another width.
    """
    faiss = require("faiss", "search")
    old = _read_faiss(faiss, source)
    ids = faiss.vector_to_array(old.id_map) if hasattr(old, "id_map") else None
    inner = faiss.downcast_index(old.index) if ids is not None else old
    if adapter.width != inner.d:
        raise ModalignError(f"the adapter takes rows of {adapter.width} numbers, but {source} has {inner.d}")
    if isinstance(inner, faiss.IndexIVFFlat):
        inner.make_direct_map()
    elif not isinstance(inner, faiss.IndexFlat | faiss.IndexHNSWFlat):
        raise ModalignError(f"{source} is a {type(inner).__name__}, which does not hold its vectors as they are")

    def read(a: int, b: int) -> np.ndarray:
        return np.asarray(inner.reconstruct_n(a, b - a), np.float32)

    store = Vectors(
        str(source), inner.ntotal, inner.d, lambda r: np.stack([inner.reconstruct(int(i)) for i in r]), read
    )
    flat = out.with_name(f"{out.name}.rows.npy")
    if not _holds(adapter, store, flat):
        flat.unlink(missing_ok=True)
        map_file(adapter, store, flat, progress)
    rows = np.load(flat, mmap_mode="r")
    made = _like(faiss, inner, rows)
    wrapped = faiss.IndexIDMap(made) if ids is not None else made
    for start in range(0, len(rows), BLOCK):
        block = np.ascontiguousarray(rows[start : start + BLOCK])
        if ids is None:
            wrapped.add(block)
        else:
            wrapped.add_with_ids(block, ids[start : start + BLOCK])
    with atomic(out) as partial:
        write_faiss(wrapped, partial)
    flat.unlink()
    return store.rows


def _holds(adapter: Adapter, store: Vectors, flat: Path) -> bool:
    """Whether a file is the whole of what a call that was killed while it built the index had mapped."""
    try:
        check(adapter, store, open_memory(flat))
    except (FileNotFoundError, ModalignError):
        return False
    return True


def _read_faiss(faiss: Any, source: Path) -> Any:
    if not source.is_file():
        raise ModalignError(f"no faiss index at {source}")
    try:
        return faiss.read_index(str(source))
    except RuntimeError as problem:
        raise ModalignError(
            f"{source} cannot be read as a faiss index ({str(problem).splitlines()[-1][:120]})"
        ) from None


def _like(faiss: Any, old: Any, rows: np.ndarray) -> Any:
    """An empty index of the same kind for rows of another width."""
    d, measure = rows.shape[1], old.metric_type
    if isinstance(old, faiss.IndexIVFFlat):
        made = faiss.IndexIVFFlat(faiss.IndexFlat(d, measure), d, old.nlist, measure)
        draw = np.random.default_rng(0).permutation(len(rows))[: 256 * old.nlist]
        made.train(np.ascontiguousarray(rows[np.sort(draw)]))
        made.nprobe = old.nprobe
        return made
    if isinstance(old, faiss.IndexHNSWFlat):
        made = faiss.IndexHNSWFlat(d, old.hnsw.nb_neighbors(1), measure)
        made.hnsw.efConstruction, made.hnsw.efSearch = old.hnsw.efConstruction, old.hnsw.efSearch
        return made
    return faiss.IndexFlat(d, measure)


def queries_in_faiss(adapter: Adapter, source: Path, out: Path) -> int:
    """The index as it is behind the adapter: it then takes vectors of the new model, and no row is rewritten.

    A linear transform, scaled to length 1, stands before the index. Queries must be of length 1.

    Raises:
        ModalignError: an adapter that is not linear, or of another width.
    """
    faiss = require("faiss", "search")
    index = _read_faiss(faiss, source)
    if adapter.bend:
        raise ModalignError(f"faiss has linear transforms only, but the adapter has a part '{adapter.bend}'")
    if adapter.dim != index.d:
        raise ModalignError(f"the adapter gives rows of {adapter.dim} numbers, but {source} has {index.d}")
    turn = faiss.LinearTransform(adapter.width, adapter.dim, True)
    faiss.copy_array_to_vector(adapter.weight.T.contiguous().numpy().ravel(), turn.A)
    faiss.copy_array_to_vector(adapter.bias.numpy(), turn.b)
    turn.is_trained = True
    chain = faiss.IndexPreTransform(faiss.NormalizationTransform(adapter.dim, 2.0), index)
    chain.prepend_transform(turn)
    with atomic(out) as partial:
        write_faiss(chain, partial)
    return int(index.ntotal)


def map_lance(
    adapter: Adapter,
    uri: str,
    table: str,
    column: str | None = None,
    replace: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Map the vectors of a LanceDB table into a table beside it, and put that in its place where asked.

    1. Batches go into ``TABLE_mapped``, each committed whole; killed, the next call counts its rows and goes on.
    2. The number of rows and a sample of vectors are checked.
    3. With ``replace`` the table becomes the new one in a single commit; LanceDB keeps the version before it, which
       ``table.restore(VERSION)`` brings back. Without it both tables stay.

    Returns: {"rows", "table", "version_before": of the old table, or None}.

    Raises:
        ModalignError: no such table, another width, or a table that changed while it was mapped.
    """
    database = require("lancedb", "lance").connect(uri)
    arrow = require("pyarrow", "lance")
    require("pyarrow.ipc", "lance")
    place = Path(uri) / f"{table}.lance"
    store = open_vectors(place, column)
    old = database.open_table(table)
    name = column or next(f.name for f in old.schema if str(f.type).startswith(("fixed_size_list", "list")))
    if adapter.width != store.width:
        raise ModalignError(f"the adapter takes rows of {adapter.width} numbers, but {place} has {store.width}")
    at = old.schema.get_field_index(name)
    schema = old.schema.set(at, arrow.field(name, arrow.list_(arrow.float32(), adapter.dim)))
    target, job = f"{table}_mapped", {"adapter": fingerprint(adapter), "version": old.version, "rows": store.rows}
    note = Path(uri) / f"{table}.mapping.json"
    fresh = not note.exists() or {k: read_json(note).get(k) for k in job} != job
    if not note.exists() and (Path(uri) / f"{target}.lance").exists():
        raise ModalignError(f"{uri} has a table '{target}' already: drop or rename it first")
    new = database.create_table(target, schema=schema, mode="overwrite") if fresh else database.open_table(target)
    write_json(note, job)
    for start in range(new.count_rows(), store.rows, BLOCK):
        rows = list(range(start, min(start + BLOCK, store.rows)))
        block = old.take_offsets(rows).to_arrow()
        mapped = adapter(as_tensor(store.at(np.array(rows)))).numpy()
        vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(mapped.ravel(), arrow.float32()), adapter.dim)
        new.add(block.select(old.schema.names).set_column(at, schema.field(at), vectors))
        progress(start + len(rows), store.rows, "mapping")
    if new.count_rows() != store.rows or database.open_table(table).version != job["version"]:
        raise ModalignError(f"{place} changed while it was mapped: start again")
    check(adapter, store, open_vectors(Path(uri) / f"{target}.lance", name).at)
    if not replace:  # the note stays: it tells the next call whose table that is
        return {"rows": store.rows, "table": target, "version_before": None}
    spool = Path(uri) / f"{table}.mapping.arrow"  # LanceDB cannot read one table while it writes another
    with atomic(spool) as partial, arrow.OSFile(str(partial), "wb") as sink, arrow.ipc.new_file(sink, schema) as file:
        for start in range(0, store.rows, BLOCK):
            found = new.take_offsets(list(range(start, min(start + BLOCK, store.rows)))).to_arrow()
            file.write_table(found.select(schema.names).cast(schema))
    with arrow.memory_map(str(spool)) as mapped_file:
        reader = arrow.ipc.open_file(mapped_file)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        database.create_table(table, data=batches, schema=schema, mode="overwrite")
    for left in (spool, note):
        left.unlink()
    database.drop_table(target)
    return {"rows": store.rows, "table": table, "version_before": job["version"]}
