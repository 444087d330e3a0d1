"""What a table says of the rows whose ids are one of its columns: words, numbers, dates, by column."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import ARROW, explained, require
from . import lance
from .columns import modality_of, nothing
from .ids import id_column, split_place
from .lists import read_list
from .parquet import vector_columns
from .tables import parse_csv

Facts = list[dict[str, Any]]


def read_facts(place: str | Path, taken: Collection[str] = ()) -> tuple[Facts, list[str]]:
    """One dictionary per row, and the columns that are left out: of no such type, and those of names that are taken.

    The first column of words by its name (text, caption, title, ...) is "text". Cells without a value are not there.

    Args:
        place: of ids, see ``ids.read_ids``: Parquet, or ``FILE.csv#COLUMN``; other files of ids say nothing else.
        taken: names that a fact cannot have.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "captions.csv"
        >>> _ = path.write_text("key,caption,row\\nc1,a dog,7\\n")
        >>> read_facts(f"{path}#key", ["row"])
        ([{'text': 'a dog'}], ['row'])
    """
    path, column = split_place(place)
    ending = path.suffix.lower()
    if lance.is_table(place) or not (ending == ".parquet" or (column and ending in (".csv", ".tsv"))):
        return [], []
    if ending == ".parquet":
        names, left, cells = _of_parquet(path, id_column(path, column), taken)
    else:
        text = read_list(path, "file of ids")[0]
        columns, rows = parse_csv(text, path, what="file of ids", delimiter="\t" if ending == ".tsv" else None)
        others = [n for n in columns if n not in ("", column)]  # pandas writes an index without a name
        left, names = [n for n in others if n in taken], [n for n in others if n not in taken]
        cells = [tuple(row.fields[n] for n in names) for row in rows]
    words = next((n for n in names if modality_of(n) == "text"), None) if "text" not in names else None
    called = ["text" if n == words else n for n in names]
    return [{n: v for n, v in zip(called, row, strict=True) if not nothing(v)} for row in cells], left


def _of_parquet(path: Path, ids: str, taken: Collection[str]) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    """Names of the columns that are facts, those of others, and the rows of the first ones."""
    parquet = require("pyarrow.parquet", "data")
    with explained(f"file of ids is damaged: {path}", *ARROW):
        fields = [f for f in parquet.read_schema(path) if f.name != ids and not f.name.startswith("__index_level_")]
        vectors = vector_columns(fields)
        names = [f.name for f in fields if f.name not in taken and _tells(f.type)]
        content = parquet.read_table(path, columns=names)
    columns = [column.to_pylist() for column in content.columns]
    rows = list(zip(*columns, strict=True)) if columns else [()] * content.num_rows
    return names, [f.name for f in fields if f.name not in (*names, *vectors)], rows


def _tells(kind: Any) -> bool:
    """Whether cells of this type of Arrow are words, numbers, dates, or lists of words."""
    types = require("pyarrow", "data").types
    if types.is_dictionary(kind):
        kind = kind.value_type
    lists = types.is_list(kind) or types.is_large_list(kind)
    text = (types.is_string, types.is_large_string, types.is_string_view)
    if lists:
        return any(is_kind(kind.value_type) for is_kind in text)
    others = (types.is_integer, types.is_floating, types.is_boolean, types.is_temporal, types.is_decimal)
    return any(is_kind(kind) for is_kind in (*text, *others))
