"""Vectors in tables of LanceDB, in a folder or an object store: ``FOLDER_OR_ADDRESS/NAME.lance``, ``#COLUMN`` behind it
where there are several columns of vectors, ``#MODALITY`` for a table that ``modalign index --lance`` wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError, check_known, explained, few, require, unknown
from ..files import absolute

BLOCK = 16_384  # rows in one piece


class Column(NamedTuple):
    """A column of vectors: the table, its name, the width, and the modality that rows must have, "" for any."""

    table: Any
    name: str
    width: int
    modality: str = ""


def is_table(place: str | Path) -> bool:
    """Whether a place names a table.

    Example:
        >>> is_table("s3://bucket/items.lance#image"), is_table("items.npy")
        (True, False)
    """
    return str(place).partition("#")[0].endswith(".lance")


def note(place: Path) -> Path:
    """Beside a table, the file that says how far a mapping of it came; who writes the table holds the right to it.

    Example:
        >>> note(Path("db/items.lance")).name
        'items.mapping.json'
    """
    return place.with_name(f"{place.stem}.mapping.json")


def told(what: str) -> AbstractContextManager[None]:
    """What LanceDB cannot do, and why, in one line."""
    return explained(f"LanceDB cannot {what}", ValueError, OSError, RuntimeError)


def open_column(place: str | Path) -> Column:
    """Open a table where it lies; of its vectors, nothing is read.

    Raises:
        MissingExtraError: LanceDB is not installed.
        ModalignError: no such table, no column of vectors, several and none named.
    """
    table, whole, part = _opened(place)
    kinds = {f.name: f.type for f in table.schema if getattr(f.type, "list_size", 0) and _floating(f.type.value_type)}
    if part and part not in kinds and "modality" in table.schema.names and len(kinds) == 1:
        known = sorted({str(v) for v in table.search().select(["modality"]).to_arrow().column("modality").to_pylist()})
        if part not in known:
            raise unknown(f"column of vectors or modality of {whole}", part, [*kinds, *known])
        return Column(table, next(iter(kinds)), next(iter(kinds.values())).list_size, part)
    if part and part not in kinds:
        raise unknown(f"column of vectors of {whole}", part, kinds)
    if not part and len(kinds) != 1:
        raise ModalignError(f"{whole} has {len(kinds)} columns of vectors ({few(kinds)}): name one behind a #")
    column = part or next(iter(kinds))
    return Column(table, column, kinds[column].list_size)


def _opened(place: str | Path) -> tuple[Any, str, str]:
    """A table, where it lies, and what is named behind it."""
    whole, _, part = absolute(place).partition("#")
    folder, _, name = whole.rpartition("/")
    if "://" not in whole and not os.path.isdir(whole):
        raise ModalignError(f"no table of LanceDB at {whole}: the folder does not exist")
    with told(f"open {whole}"):
        return require("lancedb", "lance").connect(folder).open_table(name.removesuffix(".lance")), whole, part


def _floating(kind: Any) -> bool:
    return str(kind) in ("float", "double", "halffloat", "float16", "float32", "float64")


def read_column(place: str | Path) -> Tensor:
    """All vectors of a column, (n, d) float32, in the order of the table, read in pieces.

    Raises:
        ModalignError: as ``open_column``; no rows, or vectors that are missing (null), with their number.
    """
    column = open_column(place)
    out, filled = torch.empty(column.table.count_rows(), column.width), 0
    for start, piece in _pieces(column.table, [column.name, *(["modality"] if column.modality else [])]):
        vectors = piece.column(column.name).combine_chunks()
        if vectors.null_count:
            raise ModalignError(f"{place} lacks {vectors.null_count} vectors (null) from row {start} on")
        rows = torch.from_numpy(np.array(vectors.flatten(), np.float32).reshape(-1, column.width))
        if column.modality:
            rows = rows[torch.tensor([m == column.modality for m in piece.column("modality").to_pylist()])]
        out[filled : filled + len(rows)] = rows
        filled += len(rows)
    if not filled:
        raise ModalignError(f"the table is empty: {place}")
    return out[:filled]


def read_ids(place: str | Path) -> list[Any]:
    """The column that is named behind the # of a table, or "id", in the order of the table.

    Raises:
        ModalignError: no such table, or no such column of text or whole numbers.
    """
    table, whole, part = _opened(place)
    kinds = {f.name: str(f.type) for f in table.schema}
    ids = [n for n, kind in kinds.items() if kind in ("string", "large_string") or kind.lstrip("u").startswith("int")]
    check_known(f"column of ids of {whole}", part or "id", ids)
    return [cell for _, piece in _pieces(table, [part or "id"]) for cell in piece.column(0).to_pylist()]


def schema_of(place: str | Path) -> tuple[Any, str]:
    """The columns of a table as a schema of Arrow, and the name of that of the ids.

    Raises:
        ModalignError: no such table.
    """
    table, _, part = _opened(place)
    return table.schema, part or "id"


def read_rows(place: str | Path, names: list[str]) -> list[tuple[Any, ...]]:
    """Some columns, row by row, in the order of the table."""
    table, _, _ = _opened(place)
    if not names:
        return [()] * int(table.count_rows())
    rows: list[tuple[Any, ...]] = []
    for _, piece in _pieces(table, names):
        rows += zip(*(column.to_pylist() for column in piece.columns), strict=True)
    return rows


def _pieces(table: Any, names: list[str]) -> Iterator[tuple[int, Any]]:
    """Some columns in the order of the table, piece by piece, each with the number of its first row."""
    count = table.count_rows()
    for start in range(0, count, BLOCK):
        rows = list(range(start, min(start + BLOCK, count)))
        yield start, table.take_offsets(rows).select(names).to_arrow().select(names)
