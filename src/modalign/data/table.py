"""Any list of files and texts: CSV, TSV, JSON lines or Parquet, one row per thing or one row per item."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import ModalignError
from ..files import from_json
from ..parameters import Place
from ..registry import register
from .columns import (
    FIELDS,
    FILES,
    chosen_columns,
    kind_of,
    known_fields,
    named_columns,
    nothing,
    plain,
    text_of,
    values_of,
    words_of,
)
from .entries import Entry, read_entries
from .manifest import Manifest
from .places import inside
from .rows import Missing, Rows
from .tables import seconds


@register("dataset", "table")
def table(
    root: Place,
    split: str | None = None,
    *,
    columns: dict[str, str | list[str]] | None = None,
    words: Sequence[str] = ("text", "narration"),
    group: str | None = None,
    folder: str | None = None,
    anywhere: bool = False,
    missing: Missing = "keep",
) -> Manifest:
    """A list of your own: CSV, TSV, JSON lines or Parquet with one row per thing, or one row per item.

    Layout: *wide*, a column per modality, known by usual names: image, photo, filepath (its kind by its extension);
    audio, wav; video; text, caption, title, also caption_1, caption_2, ...; a cell may be empty (absent), in JSON lines
    and Parquet also a list. *Long*, where there is a column ``modality``: columns group, modality, uri or text, and
    start, end, split; that is what ``write_table`` writes. In both, start and end are seconds within sound or video,
    and all other columns go to extra.

    Args:
        root: the list. Commas, tabs, semicolons or bars are found out by the header line.
        split: value of the column ``split``; None for all.
        columns: modality -> name or names of its columns, where they are not known by themselves.
        words: modalities whose cells are texts, not files.
        group: column that tells which rows are the same thing. Without it: ``group`` if there is one; else, of wide
            lists, rows with the same first file are (five captions of one photo), of long ones each row is alone.
        folder: what file names are relative to; None means the folder of the list. Files outside it are refused, unless
            anywhere: any path is allowed, as you trust this list.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of the modalities there are.

    Raises:
        ModalignError: no list, a damaged one (with the line), no column that is known (with those there are), or paths
            that leave the folder.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "mine.csv")
        >>> _ = path.write_text('photo,caption\\na.jpg,"He said ""hi"", then left"\\na.jpg,a man\\n')
        >>> table(path)
        Manifest(table: image 1, text 2; 1 groups; splits: none)
    """
    path = Path(root).expanduser()
    rows = Rows("table", {"source": str(path)}, missing)
    names, entries = known_fields(*read_entries(path, rows.left_out), keep={group, *named_columns(columns)})
    home = Path(os.path.abspath(Path(folder).expanduser() if folder else path.parent))
    listed = _Listed(rows, path, home, anywhere, group or ("group" if "group" in names else None))
    if "modality" in names and columns is None:
        _long(listed, entries)
    else:
        chosen = chosen_columns(names, entries, columns, path)
        used = {c for several in chosen.values() for c in several}
        for name in names:
            if columns is None and plain(name) in FILES and name not in used:
                rows.left_out("columns", "files of no known kind: say what they are with columns={...}", name)
        _wide(listed, chosen, entries, words, mixed={c for c in used if columns is None and plain(c) in FILES})
    return rows.manifest(split)


def _wide(
    listed: _Listed, chosen: Mapping[str, list[str]], entries: Iterable[Entry], words: Sequence[str], mixed: set[str]
) -> None:
    rows = listed.rows
    used = {c for several in chosen.values() for c in several}
    given: dict[tuple[int, str, str], str] = {}

    def facts(entry: Entry) -> tuple[Times, int | str | None]:
        for modality, several in chosen.items():
            for value in () if modality in words else (v for c in several for v in values_of(entry.values.get(c))):
                listed.file_name(value, entry)
        return listed.times(entry), listed.key(entry)

    for entry, (times, own) in rows.readable(entries, facts, listed.path):
        extra = listed.extra(entry, {*used, *FIELDS})
        part = text_of(entry.values.get("split")) or ""
        cells = [
            (kind_of(value, m) if c in mixed else m, value)
            for m, several in chosen.items()
            for c in several
            for value in values_of(entry.values.get(c))
        ]
        if not cells:
            rows.left_out("rows", "neither a file nor a text", f"{listed.path.name}, line {entry.line}")
            continue
        files = [os.path.normpath(listed.file_name(v, entry).strip()) for m, v in cells if m not in words]
        number = rows.group(own if listed.group else files[0] if files else ("line", entry.line))
        for modality, value in cells:
            if modality in words:
                rows.text(number, words_of(value), part, modality, None, None, **extra)
                continue
            place = listed.place(value, entry)
            if place is None:
                continue
            this = (number, modality, str(place))
            if this in given and times == (None, None):  # a photo that stands in five rows is one item
                if given[this] != part:
                    rows.left_out("files", f"in split '{part}' too, and kept in '{given[this]}'", Path(place).name)
                continue
            given[this] = part
            rows.file(number, modality, place, part, *(times if modality in ("audio", "video") else ()), **extra)


def _long(listed: _Listed, entries: Sequence[Entry]) -> None:
    rows, group = listed.rows, listed.group
    keys = [_number(e.values.get(group)) if group else e.line for e in entries]
    as_numbers = all(k is None or isinstance(k, int) for k in keys)
    for entry, (times, key, modality, packed) in rows.readable(entries, listed.facts, listed.path):
        number = key if as_numbers and isinstance(key, int) else rows.group(key)
        part = text_of(entry.values.get("split")) or ""
        extra = listed.extra(entry, {*FIELDS, group, "extra"}) | packed
        uri = entry.values.get("uri")
        if nothing(uri):
            rows.text(number, words_of(entry.values.get("text")), part, modality, *times, **extra)
        elif (place := listed.place(uri, entry)) is not None:
            rows.file(number, modality, place, part, *times, **extra)


Times = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class _Listed:
    """What the rows of one list have in common, and what is read of a row. Each raises ModalignError, by the line.

    home: what file names are relative to. anywhere: they may lead out of it. group: column that tells which rows are
    the same thing.
    """

    rows: Rows
    path: Path
    home: Path
    anywhere: bool
    group: str | None

    def wrong(self, entry: Entry, what: str) -> ModalignError:
        return ModalignError(f"{self.path}, line {entry.line}: {what}")

    def facts(self, entry: Entry) -> tuple[Times, int | str, str, dict[str, Any]]:
        """Times, group, modality and packed extra of a row of a long list."""
        key = self.key(entry)
        modality = text_of(entry.values.get("modality"))
        if modality is None:
            raise self.wrong(entry, "the column modality is empty")
        bare = [nothing(entry.values.get(column)) for column in ("uri", "text")]
        if bare[0] == bare[1]:
            raise self.wrong(entry, f"{'neither' if bare[0] else 'both'} of uri and text is given; it needs one")
        if not bare[0]:
            self.file_name(entry.values.get("uri"), entry)
        return self.times(entry), entry.line if key is None else key, modality, self.packed(entry)

    def key(self, entry: Entry) -> int | str | None:
        """What tells which rows are the same thing; None where no column does."""
        key = _number(entry.values.get(self.group)) if self.group else None
        if self.group and key is None:
            raise self.wrong(entry, f"the column {self.group} is empty")
        return key

    def extra(self, entry: Entry, used: set[str | None]) -> dict[str, Any]:
        """What else a row says; bytes and vectors are counted, and left out."""
        found = {k: v for k, v in entry.values.items() if k not in used and not nothing(v)}
        for k in [k for k, v in found.items() if isinstance(v, bytes)]:
            self.rows.left_out(f"values of '{k}'", "bytes, which are no text or number", f"line {entry.line}")
            del found[k]
        for k in [k for k, v in found.items() if _is_vector(v)]:
            told = "features, and no fact of a row: modalign align takes them from FILE.parquet#COLUMN"
            self.rows.left_out(f"values of '{k}'", told, f"line {entry.line}")
            del found[k]
        return found

    def packed(self, entry: Entry) -> dict[str, Any]:
        """The column ``extra`` of a long list: JSON."""
        value = entry.values.get("extra")
        if nothing(value):
            return {}
        try:
            content = from_json(value) if isinstance(value, str) else value
        except json.JSONDecodeError as problem:
            raise self.wrong(entry, f"the column extra is no JSON ({problem.msg})") from None
        if not isinstance(content, dict):
            raise self.wrong(entry, "the column extra is no JSON object")
        return content

    def times(self, entry: Entry) -> Times:
        """Start and end."""
        found: list[float | None] = []
        for column in ("start", "end"):
            value = text_of(entry.values.get(column))
            try:
                found.append(None if value is None else seconds(value))
            except ValueError:
                raise self.wrong(entry, f"{column} is {value!r}, not a number of seconds") from None
        start, end = (0.0 if found[0] is None else found[0]), (math.inf if found[1] is None else found[1])
        if not 0 <= start < end or found[1] == math.inf:
            raise self.wrong(entry, f"times are not 0 <= start < end ({found[0]}, {found[1]})")
        return found[0], found[1]

    def file_name(self, value: Any, entry: Entry) -> str:
        """The name of a file as a cell holds it."""
        if not isinstance(value, str):
            kind = type(value).__name__
            raise self.wrong(entry, f"a file's name is expected, not {kind} (data set 'hf' reads bytes)")
        return url2pathname(urlsplit(value).path) if value.lower().startswith("file://") else value

    def place(self, value: Any, entry: Entry) -> Path | None:
        """Where a file of a list lies; None for one that is not on this machine, which is counted."""
        value = self.file_name(value, entry)
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", value):
            self.rows.left_out("files", "not on this machine, and nothing is downloaded", value)
            return None
        if value != value.strip() and not (self.home / value).is_file():
            value = value.strip()
        if self.anywhere:
            return self.home / value
        relative = os.path.relpath(value, self.home) if os.path.isabs(value) else value
        try:
            return inside(self.home, relative, f"{self.path}, line {entry.line},")
        except ModalignError as problem:
            raise ModalignError(f"{problem}; if you trust this list, allow it with anywhere=True") from None


def _is_vector(value: Any) -> bool:
    """Whether a cell holds features: more numbers than a box, a colour or a place has."""
    return isinstance(value, list) and len(value) > 16 and all(isinstance(v, int | float) for v in value)


def _number(value: Any) -> int | str | None:
    """A group as it is written, whole numbers as numbers: 7, "7" and "7.0" are the same thing."""
    text = text_of(value)
    return int(text.partition(".")[0]) if text and re.fullmatch(r"\d{1,18}(\.0+)?", text, re.ASCII) else text
