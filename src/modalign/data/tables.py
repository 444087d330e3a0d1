"""Lists as they lie on disk: text of any encoding, CSV with line numbers, JSON of any size."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from ..errors import ModalignError, few
from ..files import from_json

csv.field_size_limit(1 << 28)  # characters of a cell; the library's own limit of 131,072 stops at a long transcript

LFS = b"version https://git-lfs.github.com/spec/"
BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
OTHERS = (
    (b"PK\x03\x04", "a zip archive, not text: unpack it first"),
    (b"\x1f\x8b", "a gzip archive, not text: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive, not text: unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an Excel file, not text: save it as CSV (UTF-8)"),
    (b"PAR1", "a Parquet file: give it the ending .parquet"),
    (b"SQLite format 3", "a database, not text: export the table as CSV"),
    (b"%PDF", "a PDF, not text"),
)
"""What begins a file that is no list, and what to do."""
SHEETS = (b"[Content_Types].xml", b"xl/", b"opendocument.spreadsheet", b"Index/Document.iwa")
"""What is named at the beginning of the zip archives that Excel, LibreOffice and Numbers write."""
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


def wrong_content(head: bytes) -> str | None:
    """What a file holds in place of data, judged by its first bytes, or None when nothing speaks against it.

    Example:
        >>> wrong_content(b"version https://git-lfs.github.com/spec/v1")
        'a Git LFS pointer, not the data: run  git lfs pull  or download the file itself'
    """
    if not head:
        return "empty"
    if head.startswith(LFS):
        return "a Git LFS pointer, not the data: run  git lfs pull  or download the file itself"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not the data: the download failed or needs a login"
    return None


def read_list(path: Path, what: str = "list") -> tuple[str, str]:
    """Text of a list file and the encoding it turned out to have.

    UTF-8 (with or without mark) and UTF-16 with mark are certain. Anything else is cp949 where it reads as Korean
    words, else cp1252, else latin-1.

    Raises:
        ModalignError: no such file, or it is empty, an archive, a spreadsheet or other binary data, a Git LFS pointer
            or a web page.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ModalignError(f"{what} not found: {path}") from None
    except OSError as problem:
        raise ModalignError(f"{what} cannot be read: {path} ({problem.strerror})") from None
    wrong = wrong_content(raw[:200])
    if wrong:
        raise ModalignError(f"{what} is {wrong} ({path})")
    if other := _binary(raw):
        raise ModalignError(f"{what} is {other} ({path})")
    return decode(raw)


def _binary(raw: bytes) -> str | None:
    """What bytes are that are no text, and what to do about it; None where they may be one."""
    found = next((said for magic, said in OTHERS if raw.startswith(magic)), None)
    if found and raw.startswith(b"PK") and any(name in raw[:4096] for name in SHEETS):
        return "a spreadsheet, not text: save it as CSV (UTF-8)"
    head = raw[:4096]
    marked = any(raw.startswith(mark) for mark, _ in BYTE_ORDER_MARKS)
    return found or ("binary data, not text" if not marked and head.count(0) > len(head) / 50 else None)


def decode(raw: bytes) -> tuple[str, str]:
    """Text and encoding of bytes; see ``read_list``.

    Example:
        >>> decode("개가 짖는다".encode("cp949"))
        ('개가 짖는다', 'cp949')
        >>> decode("a dog\N{RIGHT SINGLE QUOTATION MARK}s bark".encode("cp1252"))[1]
        'cp1252'
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace"), encoding  # it may be cut within a letter
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("cp949")
        # Single accented letters of cp1252 can pass for lone Hangul syllables; Korean words have runs of them.
        foreign = len(re.findall(r"[^\x00-\x7f]", text))
        if sum(map(len, re.findall(r"[가-힣]{2,}", text))) > foreign / 2:
            return text, "cp949"
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


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


def read_csv(
    path: Path,
    required: Sequence[str] = (),
    what: str = "list",
    delimiter: str | None = ",",
    tell: Tell | None = None,
) -> Table:
    """A CSV file with a header line as a ``Table``. Raises as ``read_list`` and ``parse_csv`` do."""
    text, encoding = read_list(path, what)
    columns, rows = parse_csv(text, path, required, what, delimiter, tell=tell)
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


def read_json(path: Path, what: str = "list", kind: type = dict) -> Any:
    """JSON of a file whose outermost value is of one kind (dict or list).

    Raises:
        ModalignError: as ``read_list``, or not JSON (with the line), or of another kind.
    """
    text, _ = read_list(path, what)
    try:
        value = from_json(text)
    except json.JSONDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path}, line {problem.lineno}: {problem.msg}") from None
    if not isinstance(value, kind):
        raise ModalignError(f"{what} {path} holds a JSON {type(value).__name__}, not a {kind.__name__}")
    return value


def stream_json(path: Path, what: str = "list", chunk: int = 1 << 20) -> Iterator[tuple[str, Any]]:
    """Key and value of each entry of a JSON object, one at a time: files of many gigabytes in little memory.

    Raises:
        ModalignError: the file is missing, a pointer, not a JSON object, or cut off; entries before that are given.
    """
    try:
        handle = path.open(encoding="utf-8-sig")
    except OSError as problem:
        raise ModalignError(f"{what} not found or not readable: {path} ({problem.strerror})") from None
    with handle:
        buffer = _read_on(handle, chunk, path, what).lstrip()
        wrong = wrong_content(buffer[:200].encode())
        if wrong:
            raise ModalignError(f"{what} is {wrong} ({path})")
        if not buffer.startswith("{"):
            raise ModalignError(f"{what} {path} does not hold a JSON object")
        at, given = 1, 0
        while True:
            at = _BETWEEN.match(buffer, at).end()  # type: ignore[union-attr]
            if buffer.startswith("}", at):
                return
            entry = _entry(buffer, at)
            if entry is None:
                # Reading as much as is held keeps the work linear in the size of one entry.
                held = len(buffer) - at
                more = _read_on(handle, max(chunk, held), path, what) if held < LARGEST_ENTRY else ""
                if not more:
                    raise ModalignError(f"{what} is cut off or damaged: {path}, after {given} entries")
                buffer, at = buffer[at:] + more, 0
                continue
            key, value, at = entry
            given += 1
            yield key, value


def _read_on(handle: TextIO, size: int, path: Path, what: str) -> str:
    try:
        return handle.read(size)
    except UnicodeDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path} is not UTF-8 ({problem.reason})") from None


_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_COLON = re.compile(r"\s*:\s*")
LARGEST_ENTRY = 1 << 28  # characters: more than any video's captions; stops a damaged file from filling the memory


def _entry(text: str, at: int) -> tuple[str, Any, int] | None:
    """The key and value at a place in text, and where they end; None where they are not all there yet."""
    try:
        key, end = _DECODER.raw_decode(text, at)
        colon = _COLON.match(text, end)
        if colon is None:
            return None
        value, end = _DECODER.raw_decode(text, colon.end())
    except (ValueError, RecursionError):
        return None
    # A number at the very end of the buffer may go on in the next piece.
    return (str(key), value, end) if end < len(text) else None
