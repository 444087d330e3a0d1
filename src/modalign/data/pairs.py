"""Which rows of feature arrays are the same thing: pairs of row numbers or of ids, and the ids, from files."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError, few
from ..views import Views
from ..views.groups import turned
from .arrays import read_numpy
from .ids import array_of, is_name, is_number, lines_of, listed, read_ids

Ids = Mapping[str, Sequence[str]]
"""Modality -> the id of each row."""


def joined(x: Mapping[str, Tensor], pairs: Path | None = None, ids: Ids | None = None) -> Views:
    """Arrays as views: by a file of pairs, else by equal ids, else row by row.

    Args:
        x: modality -> (n, d). pairs: see ``load_pairs``; two arrays only. ids: of the rows of every array, see
            ``load_ids``; pairs then name these, and without pairs rows of one id are the same thing.

    Raises:
        ModalignError: as ``load_pairs`` and ``Views.from_arrays``; ids of which no two arrays share one.

    Example:
        >>> x = {"text": torch.eye(3), "image": torch.eye(2)}
        >>> joined(x, ids={"text": ["a", "b", "b"], "image": ["b", "c"]}).paired("text", "image").tolist()
        [[1, 0], [2, 0]]
    """
    if pairs is not None:
        return Views.from_arrays(load_pairs(pairs, tuple(x), ids or {}), **x)
    if not ids:
        return Views.from_arrays(**x)
    numbers: dict[str, int] = {}
    group = {m: torch.tensor([numbers.setdefault(i, len(numbers)) for i in ids[m]]) for m in x}
    if len(numbers) == sum(len(set(ids[m])) for m in x):
        first = ", ".join(f"'{ids[m][0]}' of '{m}'" for m in x)
        raise ModalignError(f"no two arrays share an id ({first}, ...): say which belong together with --pairs")
    return Views(dict(x), group)


def files_of(ids: Sequence[Path], modalities: Sequence[str]) -> dict[str, Path]:
    """Files of ids, in the order of the arrays, by modality; none at all is right too.

    Raises:
        ModalignError: another number of files than arrays.
    """
    if ids and len(ids) != len(modalities):
        raise ModalignError(f"{len(modalities)} arrays need as many files of ids, in their order, got {len(ids)}")
    return dict(zip(modalities, ids, strict=False))


def load_ids(files: Mapping[str, Path], rows: Mapping[str, int]) -> dict[str, list[str]]:
    """The ids of the rows of some arrays, in their order: lines, or an array or column of text or whole numbers.

    Args:
        files: modality -> a list, an array or a column of a table, see ``ids.read_ids``.
        rows: how many each array has.

    Raises:
        ModalignError: no file for an array or no array for a file, another number of ids than rows, a line without
            an id or with several, a table in which no column is the ids'.
    """
    if files and set(files) != set(rows):
        raise ModalignError(f"ids need one file per array: there are arrays of {few(rows)} and ids of {few(files)}")
    return {m: read_ids(files[m], m, n) for m, n in rows.items() if files}


def equal_ids(one: Sequence[str], other: Sequence[str]) -> Tensor:
    """(p, 2) rows of two arrays that have one id; where several rows of a side have it, each with the other's first.

    Such pairs contradict each other, and are told apart by that.

    Example:
        >>> equal_ids(["a", "b", "c", "c"], ["c", "b", "d"]).tolist()
        [[1, 1], [2, 0], [3, 0]]
    """
    mine, theirs = _all_rows(one), _all_rows(other)
    found = [
        pair
        for i, rows in mine.items()
        if (others := theirs.get(i))
        for pair in [*((row, others[0]) for row in rows), *((rows[0], row) for row in others[1:])]
    ]
    return torch.tensor(found, dtype=torch.long).reshape(-1, 2)


def load_pairs(path: str | Path, sides: Sequence[str] = (), ids: Ids | None = None) -> Tensor:
    """Read which row of the first array goes with which row of the second: by row numbers from 0, or by ids.

    Args:
        path: .csv, .tsv or .txt with two columns, with or without a line of column names; or .npy of shape (p, 2).
        sides: what the two arrays are called: column names in the other order are refused.
        ids: of the rows of both arrays, by those names; empty: the file has row numbers.

    Returns:
        (p, 2) int64 row numbers, in the order of the file, repeats included.

    Raises:
        ModalignError: missing file, other ending, a line that is not two whole numbers >= 0, or two ids that are
            there (with its number), columns in the other order, no pair at all.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pairs.csv"
        >>> _ = path.write_text("image,text\\n0,3\\n1,2\\n")
        >>> load_pairs(path).tolist()
        [[0, 3], [1, 2]]
    """
    path = listed(path, "pairs")
    if path.suffix.lower() == ".npy" and not ids:
        return _pairs_of_array(path)
    rows = [_rows_of(ids[m]) for m in sides] if ids else []
    lines = list(enumerate(array_of(path, 2))) if path.suffix.lower() == ".npy" else _table(path)
    if lines and _is_header(lines[0][1], rows):
        header = lines.pop(0)[1]
        if sides and turned(header, sides):
            raise ModalignError(f"{path} has the columns {', '.join(header)}: give the rows of {sides[0]} first")
    if not lines:
        raise ModalignError(f"file of pairs has no pairs: {path}")
    found = [
        _found(cells, rows, sides, f"{path}, line {number}") if rows else _counted(cells, f"{path}, line {number}")
        for number, cells in lines
    ]
    return torch.tensor(found, dtype=torch.long)


def _counted(cells: Sequence[str], where: str) -> tuple[int, int]:
    """A line of two row numbers."""
    values = [_whole(c) for c in cells]
    if len(values) != 2 or values[0] is None or values[1] is None:
        how = (
            ": pairs of ids need the ids of all rows (--ids)"
            if len(cells) == 2 and not any(map(is_number, cells))
            else ""
        )
        raise ModalignError(f"{where}: expected two row numbers (0, 1, ...), got {few(map(repr, cells))}{how}")
    return values[0], values[1]


def _found(cells: Sequence[str], rows: Sequence[Mapping[str, int]], sides: Sequence[str], where: str) -> list[int]:
    """A line of two ids as row numbers."""
    if len(cells) != 2:
        raise ModalignError(f"{where}: expected two ids, got {few(map(repr, cells))}")
    for cell, own, other, side in zip(cells, rows, rows[::-1], sides, strict=True):
        if cell not in own:
            how = f": the other array has it; give the ids of '{sides[0]}' first" if cell in other else ""
            raise ModalignError(f"{where}: '{side}' has no id '{cell}'{how}")
        if own[cell] < 0:
            raise ModalignError(
                f"{where}: several rows of '{side}' have the id '{cell}': ids that pairs name must differ"
            )
    return [own[cell] for cell, own in zip(cells, rows, strict=True)]


def _all_rows(ids: Sequence[str]) -> dict[str, list[int]]:
    """Id -> the rows that have it."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows.setdefault(name, []).append(row)
    return rows


def _rows_of(ids: Sequence[str]) -> dict[str, int]:
    """Id -> row, or -1 where several rows have it."""
    return {name: rows[0] if len(rows) == 1 else -1 for name, rows in _all_rows(ids).items()}


def _is_header(cells: Sequence[str], rows: Sequence[Mapping[str, int]]) -> bool:
    """Whether a line names columns: two words, no numbers and no ids, nor written as the ids are."""
    if len(cells) != 2:
        return False
    if not rows:
        return not any(map(is_number, cells))
    known = any(c in own for c in cells for own in rows)
    return not known and all(is_name(c, own) for c, own in zip(cells, rows, strict=True))


def _pairs_of_array(path: Path) -> Tensor:
    pairs = read_numpy(path)
    if not isinstance(pairs, np.ndarray) or pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        found = f"{pairs.dtype} of shape {pairs.shape}" if isinstance(pairs, np.ndarray) else "several arrays"
        raise ModalignError(f"pairs must be integers of shape (p, 2), but {path} holds {found}")
    if len(pairs) == 0:
        raise ModalignError(f"file of pairs has no pairs: {path}")
    if int(pairs.min()) < 0 or int(pairs.max()) > np.iinfo(np.int64).max:
        bad = int(np.argmax(((pairs < 0) | (pairs > np.iinfo(np.int64).max)).any(1)))
        raise ModalignError(f"{path}, row {bad}: row numbers must be 0, 1, ..., got {pairs[bad].tolist()}")
    return torch.from_numpy(np.array(pairs, dtype=np.int64, order="C"))  # a copy: the file is mapped read-only


def _table(path: Path) -> list[tuple[int, list[str]]]:
    """Numbered lines as lists of cells. The separator is the one the first line has."""
    lines = lines_of(path, "pairs")
    separator = next((s for s in ("\t", ",", ";") if lines and s in lines[0][1]), None)
    if separator is None:
        return [(i, line.split()) for i, line in lines]
    return [(i, [c.strip() for c in next(csv.reader([line], delimiter=separator))]) for i, line in lines]


def _whole(cell: str) -> int | None:
    """A whole number >= 0 that fits 64 bits, or None; "7.0" is one, as tables with gaps are written."""
    found = re.fullmatch(r"(\d{1,19})(\.0+)?", cell, re.ASCII)
    value = int(found.group(1)) if found else -1
    return value if 0 <= value <= np.iinfo(np.int64).max else None
