"""Tables as people write them: CSV with line numbers, numbers, times."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import ModalignError, few
from .lists import read_list

csv.field_size_limit(1 << 28)  # characters of a cell; the library's own limit of 131,072 stops at a long transcript

SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n')
"""The first line by which Excel is told the delimiter."""

Tell = Callable[[str, str, str], None]
"""Takes what is left out, why, and where: ``Rows.left_out``."""


class Record(NamedTuple):
    """A row of a table: the line of the file on which it ends, counted from 1, and its fields by column."""

    line: int
    fields: dict[str, str]


class Table(NamedTuple):
    """A table with named columns. encoding: the one that the file turned out to have."""

    path: Path
    columns: tuple[str, ...]
    rows: list[Record]
    encoding: str


def parse_csv(
    text: str,
    path: Path,
    required: Sequence[str] = (),
    what: str = "list",
    delimiter: str | None = ",",
    header: Sequence[str] | None = None,
    first_line: int = 1,
    spaced: bool = False,
    tell: Tell | None = None,
) -> tuple[tuple[str, ...], list[Record]]:
    """Columns and rows of CSV text; quoted fields may hold commas, quotes and newlines.

    Tab-separated text in which a quote stands where no quoting program puts one has quotes that are plain letters.

    Args:
        delimiter: None finds it in the header, among comma, tab, semicolon and bar, or in Excel's line ``sep=;``.
        header: names of the columns, for files without a header line.
        first_line: line number of the text's first line, for the messages.
        spaced: a blank may follow the delimiter, before the quote.
        tell: takes the rows of another width than the header, which are then left out; None refuses them.

    Raises:
        ModalignError: required columns missing, rows of the wrong width (with tell: most of them), or an unclosed
            quote, with line numbers.
    """
    if delimiter is None:
        if said := SEPARATOR.match(text):
            text, first_line = text[said.end() :], first_line + 1
        first = text.lstrip("\r\n").partition("\n")[0]
        delimiter = said.group(1) if said else max(",\t;|", key=first.count)
    try:
        return _parsed(text, path, required, what, delimiter, header, first_line, spaced, tell, csv.QUOTE_MINIMAL)
    except csv.Error as problem:
        if delimiter == "\t":
            return _parsed(text, path, required, what, delimiter, header, first_line, spaced, tell, csv.QUOTE_NONE)
        line, why = problem.args
        raise ModalignError(f"{what} is damaged: {path}, line {line}: {why}") from None


def _parsed(
    text: str, path: Path, required: Sequence[str], what: str, delimiter: str, header: Sequence[str] | None,
    first_line: int, spaced: bool, tell: Tell | None, quoting: Literal[0, 1, 2, 3],
) -> tuple[tuple[str, ...], list[Record]]:  # fmt: skip
    """``parse_csv`` with one way of quoting. Raises csv.Error with a line and what is wrong with its quotes."""
    # strict: a quote that is never closed would otherwise swallow the rest of the file as one field.
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=spaced, strict=True, quoting=quoting)
    rows: list[Record] = []
    uneven: list[int] = []
    columns = tuple(header) if header else ()
    try:
        for cells in reader:
            line = reader.line_num + first_line - 1
            if not columns:
                columns = _distinct(c.strip() for c in cells)
                _require(columns, required, path, what)
            elif not cells or (len(cells) == 1 and not cells[0].strip() and len(columns) > 1):
                continue
            elif len(cells) != len(columns):
                uneven.append(line)
            else:
                rows.append(Record(line, dict(zip(columns, cells, strict=True))))
    except csv.Error as problem:
        stray = "expected after" in str(problem)
        why = "a quote within a quoted field is written twice" if stray else f"{problem}: is a quote never closed?"
        raise csv.Error(reader.line_num + first_line - 1, why) from None
    if tell is not None and len(uneven) < len(rows):
        for line in uneven:
            tell("rows", f"not of {len(columns)} fields, as the first line has", f"{path.name}, line {line}")
    elif uneven:
        raise ModalignError(
            f"{what} is damaged: {path} has {len(uneven)} row{'' if len(uneven) == 1 else 's'} without the "
            f"{len(columns)} fields of its first line (lines {few(uneven)}): a field that holds the delimiter "
            f"{delimiter!r} needs quotes around it"
        )
    return columns, rows


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Column names, each once: a second "caption" is "caption_2", so that both can be told apart and none is lost.

    Example:
        >>> _distinct(["photo", "caption", "caption"])
        ('photo', 'caption', 'caption_2')
    """
    known: list[str] = []
    for name in names:
        count = 2
        fresh = name
        while name and fresh in known:
            fresh, count = f"{name}_{count}", count + 1
        known.append(fresh)
    return tuple(known)


def _require(columns: Sequence[str], required: Iterable[str], path: Path, what: str) -> None:
    missing = [c for c in required if c not in columns]
    if missing:
        raise ModalignError(
            f"{what} {path} has no column {', '.join(missing)}: its columns are {few(columns, 12) or 'none'}"
        )


def read_csv(path: Path, required: Sequence[str] = (), what: str = "list", tell: Tell | None = None) -> Table:
    """A CSV file with a header line as a ``Table``. Raises as ``read_list`` and ``parse_csv`` do."""
    text, encoding = read_list(path, what)
    columns, rows = parse_csv(text, path, required, what, tell=tell)
    return Table(path, columns, rows, encoding)


def number(record: Record, column: str, path: Path) -> float:
    """A finite number from a field, or one line that names the file, the line and the column.

    Example:
        >>> number(Record(2, {"start": " 1.5"}), "start", Path("a.csv"))
        1.5
    """
    try:
        value = float(record.fields[column])
    except ValueError:
        value = float("nan")
    if value != value or value in (float("inf"), float("-inf")):
        raise ModalignError(f"{path}, line {record.line}: {column} is {record.fields[column]!r}, not a number")
    return value


def seconds(text: str) -> float:
    """Seconds as people and their programs write them: with a decimal point or comma, also behind hours and minutes.

    Raises:
        ValueError: none of these.

    Example:
        >>> seconds("75.5"), seconds("75,5"), seconds("0:01:15,500")
        (75.5, 75.5, 75.5)
    """
    try:
        return float(text)
    except ValueError:
        found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)", text.strip(), re.ASCII)
        if found is None:
            raise
        hours, minutes, rest = found.groups(default="0")
        return 3600 * float(hours) + 60 * float(minutes) + float(rest.replace(",", "."))
