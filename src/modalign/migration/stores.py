"""Vectors where they lie: .npy, safetensors, Parquet, Arrow, Lance, faiss or a search index, by rows and by blocks.

Nothing here holds a whole store: files are mapped into memory or read in pieces, so 10 M rows need no more than a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..data.parquet import flat, vector_columns
from ..data.places import split_place
from ..errors import ARROW, ModalignError, check_known, explained, few, require
from ..search.index import Index
from ..search.segments import is_index
from .gradual import model_rows
from .in_faiss import open_faiss
from .vectors import BLOCK, Vectors, not_empty, over_array

KINDS = (".npy", ".safetensors", ".parquet", ".arrow", ".feather", ".lance", ".faiss")


def open_vectors(path: str | Path, part: str | None = None) -> Vectors:
    """Open a store of vectors; nothing but its shape is read.

    Args:
        path: .npy (n, d); .safetensors; .parquet, .arrow or .feather with a column of lists; a Lance table
            (``DATABASE/NAME.lance``); a .faiss index that holds its vectors; or the folder of a search index.
        part: which tensor, column or modality, where there are several; it may stand behind the path, ``FILE#PART``.

    Raises:
        ModalignError: nothing there, another ending, damaged, no vectors in it, several and none chosen, empty.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "old.npy"
        >>> np.save(path, np.eye(3, dtype="float16"))
        >>> store = open_vectors(path)
        >>> store.rows, store.width, store.at(np.array([2, 0])).tolist()
        (3, 3, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    """
    place, part = split_part(path, part)
    if not place.exists():
        raise ModalignError(f"no vectors at {place}: the file or folder does not exist")
    if place.is_dir() and is_index(place):
        return _index(place, part)
    if place.suffix not in KINDS:
        raise ModalignError(f"a store of vectors ends in {few(KINDS, 7)}, or is a search index, got: {place}")
    kinds = (SafetensorError, *ARROW, KeyError, TypeError, EOFError)
    with explained(f"vectors cannot be read: {place}", *kinds):
        return not_empty(_OPENERS[place.suffix](place, part))


def split_part(path: str | Path, part: str | None = None) -> tuple[Path, str | None]:
    """Where a store lies, and its part, which may stand behind the path.

    Raises:
        ModalignError: one part is asked for, and another stands behind the path.

    Example:
        >>> split_part("old.parquet#clip")[1], split_part("old.parquet", "clip")[1], split_part("old.npy")[1]
        ('clip', 'clip', None)
    """
    place, named = split_place(path)
    if part and named and part != named:
        raise ModalignError(f"'{part}' of {place} is asked for, and '{named}' behind its #: name one of them")
    return place, part or named or None


def _npy(path: Path, part: str | None) -> Vectors:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    _check(path, tuple(array.shape), array.dtype.kind in "fiub", str(array.dtype))
    return over_array(path, array)


def _safetensors(path: Path, part: str | None) -> Vectors:
    with safe_open(path, framework="pt") as file:  # a tensor of torch's is mapped where it lies in the file
        tables = [name for name in file.keys() if len(file.get_slice(name).get_shape()) == 2]  # noqa: SIM118
        x = file.get_tensor(_choose(path, "tensor", tables, part))
    _check(path, tuple(x.shape), not x.is_complex(), str(x.dtype))
    return over_array(path, x, lambda rows: rows.float().numpy())


def parquet_store(path: Path, part: str | None = None) -> tuple[Vectors, str]:
    """The vectors of a Parquet file, and the name of their column.

    A row group may be the whole file, and takes three times its size to read at once: so it is read on from where the
    last piece ended, and from its start where an earlier one is asked for.

    Raises:
        ModalignError: a damaged file, no column of vectors, or several and none chosen.
    """
    arrow = require("pyarrow.parquet", "data")
    file = arrow.ParquetFile(path, memory_map=True)
    column = _column(path, file.schema_arrow, part)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    pieces = [(i, start) for i, n in enumerate(groups) for start in range(0, n, BLOCK)]
    coming: dict[int, Iterator[Any]] = {}  # number of the piece that comes next -> it and those behind it

    def read(number: int) -> Any:
        group, start = pieces[number]
        rest = coming.pop(number, None) if start else None  # each row group has its own
        coming.clear()
        if rest is None:
            rest = islice(file.iter_batches(BLOCK, row_groups=[group], columns=[column]), start // BLOCK, None)
        found = next(rest).column(0)
        coming[number + 1] = rest
        return found

    sizes = [min(BLOCK, groups[i] - start) for i, start in pieces]
    return _in_pieces(path, sizes, read, lambda number: f"row group {pieces[number][0]}"), column


def _arrow(path: Path, part: str | None) -> Vectors:
    arrow = require("pyarrow", "data")
    require("pyarrow.ipc", "data")
    try:
        file = arrow.ipc.open_file(arrow.memory_map(str(path)))
    except arrow.ArrowInvalid as problem:
        raise ValueError(f"{problem}; save it in the Arrow file format") from None
    column = _column(path, file.schema, part)
    sizes = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]
    return _in_pieces(path, sizes, lambda i: file.get_batch(i).column(column), "batch {}".format)


def _in_pieces(path: Path, sizes: list[int], read: Callable[[int], Any], name: Callable[[int], str]) -> Vectors:
    """A store in pieces, of which one at a time is held."""
    ends = np.cumsum([0, *sizes])
    held: dict[int, np.ndarray] = {}
    width = 0

    def piece(i: int) -> np.ndarray:
        if i not in held:
            held.clear()
            with explained(f"vectors cannot be read: {path}, {name(i)}", *ARROW):
                held[i] = flat(read(i), f"{path}, {name(i)}", width)
        return held[i]

    def take(rows: np.ndarray) -> np.ndarray:
        where = np.searchsorted(ends, rows, side="right") - 1
        return np.concatenate([piece(i)[rows[where == i] - ends[i]] for i in np.unique(where).tolist()])

    width = next((piece(i).shape[1] for i, n in enumerate(sizes) if n), 0)
    return Vectors(str(path), int(ends[-1]), width, take, lambda a, b: take(np.arange(a, b)))


def _column(path: Path, schema: Any, part: str | None) -> str:
    return _choose(path, "column of vectors", vector_columns(schema), part)


def lance_store(path: Path, part: str | None = None) -> tuple[Vectors, str, Any]:
    """The vectors of a LanceDB table, the name of their column, and the table. Items without a vector are rows of NaN.

    Raises:
        ModalignError: no such table, no column of vectors, or several and none chosen.
    """
    if not path.is_dir():
        raise ModalignError(f"no vectors at {path}: the folder does not exist")
    database = require("lancedb", "lance").connect(str(path.parent))
    with explained(f"{path} cannot be read as a LanceDB table", ValueError, OSError, RuntimeError):
        table = database.open_table(path.stem)
    column = _column(path, table.schema, part)
    fields = table.schema.field(column).type

    rows = table.count_rows()
    width = fields.list_size if hasattr(fields, "list_size") else 0

    def take(rows: np.ndarray) -> np.ndarray:
        found = table.take_offsets(rows.tolist()).select([column]).to_arrow()
        return flat(found.column(column), str(path), width, nulls=True)

    blocks = (np.arange(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))
    width = width or next((n for block in blocks if (n := take(block).shape[1])), 0)
    return Vectors(str(path), rows, width, take, lambda a, b: take(np.arange(a, b))), column, table


def _index(path: Path, part: str | None) -> Vectors:
    """Items that are not deleted. Those of a list of old and new items are what they were before it was made."""
    index = Index(path)
    modality = _choose(path, "modality", [m for m in index.modalities if index.count(m)], part)
    alive = np.flatnonzero(index.alive(modality))

    def take(rows: np.ndarray) -> np.ndarray:
        found = index.vectors(modality, rows)
        return model_rows(found) if mixed else found

    mixed = bool(index.current.get("mixed"))
    width = index.dim - 2 if mixed else index.dim
    return Vectors(str(path), len(alive), width, lambda rows: take(alive[rows]), lambda a, b: take(alive[a:b]))


def _choose(path: Path, what: str, known: Any, part: str | None) -> str:
    names = list(known)
    if part is not None:
        check_known(f"{what} of {path}", part, names)
        return part
    if not names:
        raise ModalignError(f"{path} has no {what}")
    if len(names) > 1:
        raise ModalignError(
            f"{path} has several ({few(names)}): say which {what} with --part, --old-part or --new-part"
        )
    return str(names[0])


def _check(path: Path, shape: tuple[int, ...], numbers: bool, kind: str) -> None:
    if len(shape) != 2:
        raise ModalignError(f"vectors must have two dimensions (rows, width), but {path} has shape {shape}")
    if not numbers:
        raise ModalignError(f"vectors must be real numbers, but {path} holds values of type {kind}")


_OPENERS: dict[str, Callable[[Path, str | None], Vectors]] = {
    ".npy": _npy,
    ".safetensors": _safetensors,
    ".parquet": lambda path, part: parquet_store(path, part)[0],
    ".arrow": _arrow,
    ".feather": _arrow,
    ".lance": lambda path, part: lance_store(path, part)[0],
    ".faiss": lambda path, part: open_faiss(path).vectors,
}
