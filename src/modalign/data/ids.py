"""The ids of rows: lines of a list, an array, or a column of a table, ``FILE#COLUMN`` where it has several."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ARROW, ModalignError, check_known, explained, few, require
from . import lance
from .arrays import read_numpy
from .lists import read_list
from .places import split_place
from .tables import parse_csv

LISTS = (".csv", ".tsv", ".txt", ".npy")


def read_ids(place: str | Path, modality: str, rows: int) -> list[str]:
    """The ids of the rows of one array, in their order.

    Args:
        place: .txt of an id a line; .csv or .tsv of one column, with or without its name, or ``FILE.csv#COLUMN``; .npy
            of (n,); ``FILE.parquet`` or a table of LanceDB, ``NAME.lance``, with a column "id" or a single one, or
            ``#COLUMN`` behind it.
        modality: whose they are, for messages. rows: how many there are to be.

    Raises:
        ModalignError: no such file or column, another number of ids, a row without an id or a line with several.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "captions.csv"
        >>> _ = path.write_text("key,caption\\nc1,a dog\\nc2,a cat\\n")
        >>> read_ids(f"{path}#key", "text", 2)
        ['c1', 'c2']
    """
    path, column = split_place(place)
    if lance.is_table(place):
        found = _texts(lance.read_ids(place), str(place))
    else:
        path = listed(path, "ids", (*LISTS, ".parquet"))
        ending = path.suffix.lower()
        if ending == ".parquet":
            found = _texts(_of_parquet(path, column), str(path))
        elif column and ending in (".csv", ".tsv"):
            found = _texts(_of_table(path, column), str(path))
        elif column:
            raise ModalignError(f"{path} has no columns: give the file of ids without '#{column}'")
        else:
            found = _of_list(path, rows)
    if len(found) != rows:
        raise ModalignError(
            f"{path} has {len(found):,} ids, but '{modality}' has {rows:,} rows: give each one, in their order"
        )
    return found


def listed(path: str | Path, what: str, endings: Sequence[str] = LISTS) -> Path:
    """A file that is there and has one of some endings. Raises ModalignError."""
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise ModalignError(f"a file of {what} ends in {few(endings)}, got: {path}")
    if not path.is_file():
        raise ModalignError(f"file of {what} not found: {path}")
    return path


def lines_of(path: Path, what: str) -> list[tuple[int, str]]:
    """Numbered lines, blank ones left out."""
    text = read_list(path, f"file of {what}")[0].replace("\r\n", "\n").replace("\r", "\n")
    return [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def array_of(path: Path, width: int) -> list[list[str]]:
    """Lines of a .npy of text or whole numbers, (n,) or (n, 2)."""
    table = read_numpy(path)
    if isinstance(table, np.ndarray) and table.ndim == 1:
        table = table[:, None]
    if not isinstance(table, np.ndarray) or table.shape[1:] != (width,) or table.dtype.kind not in "iuU":
        found = f"{table.dtype} of shape {table.shape}" if isinstance(table, np.ndarray) else "several arrays"
        raise ModalignError(f"ids must be text or whole numbers, {width} a row, but {path} holds {found}")
    return [[str(cell) for cell in line] for line in table.tolist()]


def is_name(cell: str, ids: Iterable[str]) -> bool:
    """Whether the first cell of a column is its name, and not one id more: ids are numbers, or words with digits.

    Example:
        >>> is_name("photo", ["img_1", "img_2"]), is_name("img_0", ["img_1", "img_2"]), is_name("7", ["8", "9"])
        (True, False, False)
    """
    kinds: tuple[Callable[[str], bool], ...] = (is_number, lambda c: any(map(str.isdigit, c)) and not is_number(c))
    return not any(kind(cell) and all(map(kind, ids)) for kind in kinds)


def is_number(cell: str) -> bool:
    """Whether a cell is any number: a header has none."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _of_list(path: Path, rows: int) -> list[str]:
    """A list or array of nothing else."""
    ending = path.suffix.lower()
    if ending == ".npy":
        return [cells[0] for cells in array_of(path, 1)]
    lines = lines_of(path, "ids")
    if ending == ".txt":
        return [line for _, line in lines]
    found = [_only(path, number, line, "\t" if ending == ".tsv" else ",") for number, line in lines]
    return found[1:] if len(found) == rows + 1 and is_name(found[0], found[1:]) else found


def _only(path: Path, number: int, line: str, delimiter: str) -> str:
    cells = next(csv.reader([line], delimiter=delimiter))
    if len(cells) != 1:
        first = cells[0].strip() if number == 1 else "COLUMN"
        then = f": name their column, {path.name}#{first}"
        raise ModalignError(f"{path}, line {number}: expected one id, got {few(map(repr, cells))}{then}")
    return cells[0].strip()


def _of_table(path: Path, column: str) -> Iterator[Any]:
    text = read_list(path, "file of ids")[0]
    columns, rows = parse_csv(text, path, what="file of ids", delimiter="\t" if path.suffix.lower() == ".tsv" else None)
    check_known(f"column of {path}", column, columns)
    return (row.fields[column] for row in rows)


def id_column(path: Path, column: str = "") -> str:
    """The column of ids of a Parquet file: the one that is named, else "id" or a single one.

    Raises:
        ModalignError: no such column, several, or one of neither text nor whole numbers.
    """
    arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    with explained(f"file of ids is damaged: {path}", *ARROW):
        schema = parquet.read_schema(path)
        names = [n for n in schema.names if not n.startswith("__index_level_")]  # pandas adds these
        if column:
            check_known(f"column of {path}", column, names)
        name = column or ("id" if "id" in names else names[0] if names else "")
        if names.count(name) != 1 or (not column and name != "id" and len(names) > 1):
            raise ModalignError(
                f"{path} has the columns {few(names) or 'none'}: name that of the ids behind a #, {path.name}#COLUMN"
            )
        kind = schema.field(name).type
        kind = kind.value_type if arrow.types.is_dictionary(kind) else kind  # of categories
        if not (arrow.types.is_integer(kind) or str(kind) in ("string", "large_string", "string_view")):
            raise ModalignError(f"ids must be text or whole numbers, but '{name}' of {path} is {kind}")
    return str(name)


def _of_parquet(path: Path, column: str) -> list[Any]:
    """A column of ids; vectors beside it are not read."""
    name, parquet = id_column(path, column), require("pyarrow.parquet", "data")
    with explained(f"file of ids is damaged: {path}", *ARROW):
        found: list[Any] = parquet.read_table(path, columns=[name]).column(0).to_pylist()
    return found


def _texts(cells: Iterable[Any], where: str) -> list[str]:
    found = ["" if cell is None else str(cell).strip() for cell in cells]
    if "" in found:
        raise ModalignError(f"{where}, row {found.index('')}: no id")
    return found
