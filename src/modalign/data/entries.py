"""Rows of lists of any format: CSV, TSV, JSON lines, Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ARROW, ModalignError, explained, require
from ..files import from_json
from .lists import read_list
from .tables import Tell, parse_csv


class Entry(NamedTuple):
    """A row of any list: where it stands, for messages, and its values by column."""

    line: int
    values: Mapping[str, Any]


def read_entries(path: Path, tell: Tell | None = None) -> tuple[tuple[str, ...], list[Entry]]:
    """Columns and rows of a list of any of the formats, known by its extension (anything else is CSV).

    Args:
        tell: takes rows that are left out, see ``parse_csv``; None refuses them.
    """
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _parquet(path)
    text, _ = read_list(path, "list")
    if ending in (".json", ".jsonl", ".ndjson"):
        return _json_array(text, path) if text.lstrip().startswith("[") else _json_lines(text, path)
    columns, records = parse_csv(text, path, delimiter="\t" if ending == ".tsv" else None, spaced=True, tell=tell)
    return columns, [Entry(r.line, r.fields) for r in records]


def _parquet(path: Path) -> tuple[tuple[str, ...], list[Entry]]:
    parquet = require("pyarrow.parquet", "data")
    if not path.is_file():
        raise ModalignError(f"list not found: {path}")
    with explained(f"list is damaged: {path}", *ARROW):
        content = parquet.read_table(path)
    return tuple(content.column_names), [Entry(i, row) for i, row in enumerate(content.to_pylist(), 1)]


def _json_array(text: str, path: Path) -> tuple[tuple[str, ...], list[Entry]]:
    """One JSON array of objects; each is known by the line on which it ends."""
    decoder = json.JSONDecoder()
    entries: list[Entry] = []
    line, seen = 1, 0
    at = text.index("[") + 1
    while not text.startswith("]", at := _GAP.match(text, at).end()):  # type: ignore[union-attr]
        try:
            values, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as problem:
            why = problem.msg if isinstance(problem, json.JSONDecodeError) else "a value that cannot be read"
            raise ModalignError(f"list is damaged: {path}, entry {len(entries) + 1}: {why}") from None
        line, seen = line + text.count("\n", seen, at), at
        if not isinstance(values, dict):
            raise ModalignError(f"{path}, entry {len(entries) + 1}: a {type(values).__name__}, not an object")
        entries.append(Entry(line, values))
    return _columns(entries), entries


_GAP = re.compile(r"[\s,]*")


def _columns(entries: list[Entry]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for e in entries for column in e.values))


def _json_lines(text: str, path: Path) -> tuple[tuple[str, ...], list[Entry]]:
    entries = []
    for line, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            values = from_json(row)
        except json.JSONDecodeError as problem:
            shape = "" if line > 1 else " (a list is one JSON array of objects, or one object a line)"
            raise ModalignError(f"list is damaged: {path}, line {line}: {problem.msg}{shape}") from None
        if not isinstance(values, dict):
            raise ModalignError(f"{path}, line {line}: a {type(values).__name__}, not an object")
        entries.append(Entry(line, values))
    return _columns(entries), entries
