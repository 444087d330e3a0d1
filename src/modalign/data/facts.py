"""What a table says of the rows whose ids are one of its columns: words, numbers, dates, files, by column."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ..errors import ARROW, explained, few, require
from . import lance
from .columns import FILES, modality_of, nothing, plain, values_of
from .ids import id_column
from .lists import read_list
from .parquet import vector_columns
from .places import KIND_OF, split_place
from .tables import parse_csv

SHOWN = ("image", "audio", "video")
Facts = list[dict[str, Any]]


def read_facts(place: str | Path, taken: Collection[str] = ()) -> tuple[Facts, list[str]]:
    """One dictionary per row, and sentences on what of the table is in none of them.

    The first column of words by its name (text, caption, title, ...) is "text", several words of a cell as one text.
    Of the first column of pictures, sounds or videos (image, photo, audio, file_name, ...) those that lie in the folder
    of the table are "uri", by absolute path. Cells without a value are not there.

    Args:
        place: of ids, see ``ids.read_ids``: Parquet, LanceDB, or ``FILE.csv#COLUMN``; other files of ids say nothing
            else.
        taken: names that a fact cannot have.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "captions.csv"
        >>> _ = path.write_text("key,caption,row\\nc1,a dog,7\\n")
        >>> read_facts(f"{path}#key", ["row"])[0]
        [{'text': 'a dog'}]
    """
    path, column = split_place(place)
    ending = path.suffix.lower()
    if lance.is_table(place):
        names, others, cells = _of_lance(place)
    elif ending == ".parquet":
        names, others, cells = _of_parquet(path, column)
    elif column and ending in (".csv", ".tsv"):
        names, others, cells = _of_list(path, column)
    else:
        return [], []
    words = next((n for n in names if modality_of(n) == "text"), "") if "text" not in names else "text"
    files = next((n for n in names if modality_of(n) in SHOWN or plain(n) in FILES), "")
    called = {n: "text" if n == words else n for n in names if n == words or n not in taken}
    facts = [{called[n]: v for n, v in zip(names, row, strict=True) if n in called and not nothing(v)} for row in cells]
    for fact in facts if words else ():
        _with_words(fact)
    lost = {
        "no words, numbers or dates": [n for n in others if others.count(n) == 1],
        "a name of several columns": list(dict.fromkeys(n for n in others if others.count(n) > 1)),
        "items have such a name": [n for n in names if n not in called and n != files],
        f"files of {files} that are not in its folder": _with_files(
            facts, [row[names.index(files)] for row in cells] if files else [], path.parent, files in called
        ),
    }
    return facts, [f"{path.name}: items do not get {few(names)} ({why})" for why, names in lost.items() if names]


def _with_words(fact: dict[str, Any]) -> None:
    """Make one text of a cell of words, numbers or dates, as a title may be "1984"; without words there is none."""
    value = fact.pop("text", None)
    if told := "; ".join(str(v).strip() for v in values_of(value)):
        fact["text"] = told


def _with_files(facts: Facts, values: Sequence[Any], folder: Path, kept: bool) -> list[str]:
    """Add the files of a column to the facts; those that are not in the folder are returned.

    Args:
        kept: cells are facts too: those that name no file are not lost.
    """
    home, lost = os.path.abspath(folder), []
    for fact, value in zip(facts, values, strict=False):
        known = isinstance(value, str) and KIND_OF.get(Path(value).suffix.lower()) in SHOWN
        place = os.path.normpath(os.path.join(home, value)) if known else ""
        if place.startswith(home + os.sep) and os.path.isfile(place):
            fact["uri"] = place
        elif known or not (kept or nothing(value)):
            lost.append(str(value))
    return lost


def _of_list(path: Path, ids: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    text = read_list(path, "file of ids")[0]
    columns, rows = parse_csv(text, path, what="file of ids", delimiter="\t" if path.suffix.lower() == ".tsv" else None)
    names = [n for n in columns if n not in ("", ids)]  # pandas writes an index without a name
    return names, [], [tuple(row.fields[n] for n in names) for row in rows]


def _of_parquet(path: Path, column: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    """Names of the columns that can be facts, those that cannot, but for vectors, and the rows of the first ones."""
    ids, parquet = id_column(path, column), require("pyarrow.parquet", "data")
    with explained(f"file of ids is damaged: {path}", *ARROW):
        schema = parquet.read_schema(path)
        names, others = _sorted(schema, ids)
        content = parquet.read_table(path, columns=names)
    columns = [column.to_pylist() for column in content.columns]
    return names, others, list(zip(*columns, strict=True)) if columns else [()] * content.num_rows


def _of_lance(place: str | Path) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    """As ``_of_parquet``, of a table of LanceDB."""
    schema, ids = lance.schema_of(place)
    names, others = _sorted(schema, ids)
    return names, others, lance.read_rows(place, names)


def _sorted(schema: Any, ids: str) -> tuple[list[str], list[str]]:
    """Names of the columns that can be facts, and of those that cannot; vectors, ids and an index are neither."""
    fields = [f for f in schema if f.name != ids and not f.name.startswith("__index_level_")]
    names = [f.name for f in fields if _tells(f.type) and schema.names.count(f.name) == 1]
    return names, [f.name for f in fields if f.name not in (*names, *vector_columns(fields))]


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
