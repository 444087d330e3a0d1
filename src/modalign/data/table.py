"""Any list of files and texts: CSV, TSV, JSON lines or Parquet, one row per thing or one row per item."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModalignError, few, require
from ..files import from_json, to_json, write_text
from ..parameters import Place
from ..registry import register
from .entries import Entry, read_entries
from .manifest import Manifest, Row
from .places import KIND_OF, inside
from .rows import Missing, Rows

NAMES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_path", "image_file", "image_name", "img", "img_path", "photo", "picture"),
    "audio": ("audio", "audio_path", "audio_file", "sound", "wav", "wav_path"),
    "video": ("video", "video_path", "video_file", "clip"),
    "text": ("text", "caption", "captions", "title", "sentence", "description"),
}
FILES = ("filepath", "file_path", "file", "filename", "file_name", "path", "uri")
FIELDS = ("group", "modality", "uri", "text", "start", "end", "split")


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
    names, entries = read_entries(path)
    home = Path(folder).expanduser() if folder else path.parent
    rows = Rows("table", {"source": str(path)}, missing)
    if "modality" in names and columns is None:
        _long(rows, names, entries, group, home, anywhere, path)
    else:
        chosen = _chosen(names, entries, columns, path)
        used = {c for several in chosen.values() for c in several}
        for name in names:
            if columns is None and _plain(name) in FILES and name not in used:
                rows.left_out("columns", "files of no known kind: say what they are with columns={...}", name)
        _wide(rows, chosen, names, entries, group, words, home, anywhere, path)
    return rows.manifest(split)


def _chosen(
    names: Sequence[str], entries: Sequence[Entry], columns: Mapping[str, str | list[str]] | None, path: Path
) -> dict[str, list[str]]:
    """Modality -> its columns, as the user says or by their names."""
    if columns is not None:
        chosen = {m: [c] if isinstance(c, str) else list(c) for m, c in columns.items()}
        lost = [c for several in chosen.values() for c in several if c not in names]
        if lost:
            raise ModalignError(f"{path} has no column {few(lost)}: its columns are {few(names, 12)}")
        return chosen
    chosen = {}
    for name in names:
        modality = modality_of(name)
        if modality is None and _plain(name) in FILES:
            modality = _kind(e.values.get(name) for e in entries)
        if modality:
            chosen.setdefault(modality, []).append(name)
    if not chosen:
        raise ModalignError(
            f"{path} has no column of a known name: its columns are {few(names, 12) or 'none'}; "
            "say which is which with columns={'image': ..., 'text': ...}"
        )
    return chosen


def modality_of(name: str) -> str | None:
    """The modality of a column with a usual name; None for any other.

    Example:
        >>> modality_of("Caption_2"), modality_of("price")
        ('text', None)
    """
    return next((m for m, known in NAMES.items() if _plain(name) in known), None)


def _plain(name: str) -> str:
    """A column's name without its number: "Image_2" is "image"."""
    return re.sub(r"[_ -]?\d+$", "", name.strip().lower())


def _kind(values: Iterable[Any]) -> str | None:
    """The modality of a column of files: the kind of most of their endings."""
    kinds = Counter(KIND_OF.get(Path(str(v)).suffix.lower()) for several in values for v in _several(several))
    known = Counter({kind: n for kind, n in kinds.items() if kind is not None})
    return known.most_common(1)[0][0] if known else None


def _wide(
    rows: Rows, chosen: Mapping[str, list[str]], names: Sequence[str], entries: Iterable[Entry], group: str | None,
    words: Sequence[str], home: Path, anywhere: bool, path: Path,
) -> None:  # fmt: skip
    used = {c for several in chosen.values() for c in several}
    group = group or ("group" if "group" in names else None)
    given: set[tuple[int, str, str]] = set()
    for entry, times in rows.readable(entries, lambda e: _times(e, path), path):
        extra = {k: v for k, v in entry.values.items() if k not in used and k not in FIELDS and not _nothing(v)}
        part = _text(entry.values.get("split")) or ""
        cells = [
            (m, value) for m, several in chosen.items() for c in several for value in _several(entry.values.get(c))
        ]
        if not cells:
            rows.left_out("rows", "neither a file nor a text", f"{path.name}, line {entry.line}")
            continue
        files = [str(v) for m, v in cells if m not in words]
        key: object = _text(entry.values.get(group)) if group else (files[0] if files else ("line", entry.line))
        if key is None:
            raise ModalignError(f"{path}, line {entry.line}: the column {group} is empty")
        number = rows.group(key)
        for modality, value in cells:
            if modality in words:
                rows.text(number, _words(value), part, modality, None, None, **extra)
                continue
            place = _place(value, home, anywhere, path, entry.line)
            if (number, modality, str(place)) in given and times == (None, None):
                continue  # a photo that stands in five rows is one item
            given.add((number, modality, str(place)))
            rows.file(number, modality, place, part, *(times if modality in ("audio", "video") else ()), **extra)


def _long(
    rows: Rows,
    names: Sequence[str],
    entries: Sequence[Entry],
    group: str | None,
    home: Path,
    anywhere: bool,
    path: Path,
) -> None:
    group = group or ("group" if "group" in names else None)
    keys = [_text(e.values.get(group)) if group else str(e.line) for e in entries]
    as_numbers = all(k is not None and re.fullmatch(r"\d+", k) for k in keys)
    keyed = dict(zip((e.line for e in entries), keys, strict=True))
    for entry, times in rows.readable(entries, lambda e: _times(e, path), path):
        modality, key = _text(entry.values.get("modality")), keyed[entry.line]
        if modality is None or key is None:
            raise ModalignError(f"{path}, line {entry.line}: the column {'modality' if key else group} is empty")
        number = int(key) if as_numbers else rows.group(key)
        part = _text(entry.values.get("split")) or ""
        extra = {k: v for k, v in entry.values.items() if k not in (*FIELDS, group, "extra") and not _nothing(v)}
        extra |= _packed(entry, path)
        uri, text = entry.values.get("uri"), entry.values.get("text")
        if _nothing(uri) == _nothing(text):
            which = "neither" if _nothing(uri) else "both"
            raise ModalignError(f"{path}, line {entry.line}: {which} of uri and text is given; it needs one")
        if _nothing(uri):
            rows.text(number, _words(text), part, modality, *times, **extra)
        else:
            rows.file(number, modality, _place(uri, home, anywhere, path, entry.line), part, *times, **extra)


def _packed(entry: Entry, path: Path) -> dict[str, Any]:
    """The column ``extra`` of a long list: JSON."""
    value = entry.values.get("extra")
    if _nothing(value):
        return {}
    try:
        content = from_json(value) if isinstance(value, str) else value
    except json.JSONDecodeError as problem:
        raise ModalignError(f"{path}, line {entry.line}: the column extra is no JSON ({problem.msg})") from None
    if not isinstance(content, dict):
        raise ModalignError(f"{path}, line {entry.line}: the column extra is no JSON object")
    return content


def _nothing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _text(value: Any) -> str | None:
    return None if _nothing(value) else str(value).strip()


def _words(value: Any) -> Any:
    """A cell of a column of texts; numbers are texts too, as a title may be "1984"."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _several(value: Any) -> list[Any]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [v for v in values if not _nothing(v)]


def _times(entry: Entry, path: Path) -> tuple[float | None, float | None]:
    found: list[float | None] = []
    for column in ("start", "end"):
        value = _text(entry.values.get(column))
        try:
            found.append(None if value is None else float(value))
        except ValueError:
            raise ModalignError(f"{path}, line {entry.line}: {column} is {value!r}, not a number of seconds") from None
    start, end = (0.0 if found[0] is None else found[0]), (math.inf if found[1] is None else found[1])
    if not 0 <= start < end or found[1] == math.inf:
        raise ModalignError(f"{path}, line {entry.line}: times are not 0 <= start < end ({found[0]}, {found[1]})")
    return found[0], found[1]


def _place(value: Any, home: Path, anywhere: bool, path: Path, line: int) -> Path | str:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ModalignError(f"{path}, line {line}: a file's name is expected, not {kind} (data set 'hf' reads bytes)")
    base = Path(os.path.abspath(home))
    if anywhere:
        return base / value
    relative = os.path.relpath(value, base) if os.path.isabs(value) else value
    try:
        return inside(base, relative, f"{path}, line {line},")
    except ModalignError as problem:
        raise ModalignError(f"{problem}; if you trust this list, allow it with anywhere=True") from None


def write_table(manifest: Manifest, path: Path | str) -> None:
    """Write a manifest as a long list that ``table`` reads back; the format by the extension. Atomic.

    Files below the list's folder are written relative to it, so that both can be moved together; others stay absolute
    (reading those back takes ``anywhere=True``).

    Args:
        path: .csv, .tsv, .jsonl or .parquet.

    Raises:
        ModalignError: another extension, or pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> m = Manifest.from_rows([{"group": 4, "modality": "text", "text": 'a "b",\\nc'}])
        >>> path = Path(tempfile.mkdtemp(), "m.csv")
        >>> write_table(m, path)
        >>> table(path)[0] == m[0]
        True
    """
    path = Path(path)
    ending = path.suffix.lower()
    entries = [_entry(row, Path(os.path.abspath(path.parent))) for row in manifest]
    if ending in (".csv", ".tsv"):
        out = io.StringIO(newline="")
        # A carriage return within a field needs quotes, which older versions of the library leave out.
        mark = "\t" if ending == ".tsv" else ","
        quoted = any("\r" in str(v) for e in entries for v in e.values())
        writer = csv.DictWriter(
            out, (*FIELDS, "extra"), delimiter=mark, lineterminator="\n",
            quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
        )  # fmt: skip
        writer.writeheader()
        writer.writerows(entries)
        write_text(path, out.getvalue())
    elif ending == ".jsonl":
        lines = (to_json({k: v for k, v in e.items() if v is not None}) for e in entries)
        write_text(path, "".join(line + "\n" for line in lines))
    elif ending == ".parquet":
        _write_parquet(entries, path)
    else:
        raise ModalignError(f"cannot write '{path.name}': the extension must be .csv, .tsv, .jsonl or .parquet")


def _entry(row: Row, home: Path) -> dict[str, Any]:
    uri = row.uri
    if uri is not None and os.path.isabs(uri):
        relative = os.path.relpath(uri, home)
        uri = uri if relative.startswith("..") else relative
    extra = to_json(dict(row.extra)) if row.extra else None
    return {**row._asdict(), "uri": uri, "split": row.split or None, "extra": extra}


def _write_parquet(entries: list[dict[str, Any]], path: Path) -> None:
    arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    from ..files import atomic

    kinds = {"group": arrow.int64(), "start": arrow.float64(), "end": arrow.float64()}
    schema = arrow.schema([(c, kinds.get(c, arrow.string())) for c in (*FIELDS, "extra")])
    with atomic(path) as partial:
        parquet.write_table(arrow.Table.from_pylist(entries, schema=schema), partial)
