"""Rows of lists of any format: CSV, TSV, JSON lines, Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ModalignError, require
from ..files import from_json
from .tables import parse_csv, read_list


class Entry(NamedTuple):
    """A row of any list: where it stands, for messages, and its values by column."""

    line: int
    values: Mapping[str, Any]


def read_entries(path: Path) -> tuple[tuple[str, ...], list[Entry]]:
    """Columns and rows of a list of any of the four formats, known by its extension (anything else is CSV)."""
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _parquet(path)
    text, _ = read_list(path, "list")
    if ending in (".jsonl", ".ndjson"):
        return _json_lines(text, path)
    columns, records = parse_csv(text, path, delimiter="\t" if ending == ".tsv" else None)
    return columns, [Entry(r.line, r.fields) for r in records]


def _parquet(path: Path) -> tuple[tuple[str, ...], list[Entry]]:
    parquet = require("pyarrow.parquet", "data")
    if not path.is_file():
        raise ModalignError(f"list not found: {path}")
    try:
        content = parquet.read_table(path)
    except (OSError, ValueError) as problem:  # pyarrow's errors are both, with long texts
        raise ModalignError(f"list is damaged: {path} ({str(problem).splitlines()[0]})") from None
    return tuple(content.column_names), [Entry(i, row) for i, row in enumerate(content.to_pylist(), 1)]


def _json_lines(text: str, path: Path) -> tuple[tuple[str, ...], list[Entry]]:
    entries = []
    for line, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            values = from_json(row)
        except json.JSONDecodeError as problem:
            raise ModalignError(f"list is damaged: {path}, line {line}: {problem.msg}") from None
        if not isinstance(values, dict):
            raise ModalignError(f"{path}, line {line}: a {type(values).__name__}, not an object")
        entries.append(Entry(line, values))
    return tuple(dict.fromkeys(column for e in entries for column in e.values)), entries
