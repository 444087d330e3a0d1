"""A manifest as a list that the data set `table` reads back."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from ..errors import ModalignError, require
from ..files import atomic, to_json, write_text
from .manifest import Manifest, Row
from .table import FIELDS


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
        >>> from modalign.data.table import table
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
    kinds = {"group": arrow.int64(), "start": arrow.float64(), "end": arrow.float64()}
    schema = arrow.schema([(c, kinds.get(c, arrow.string())) for c in (*FIELDS, "extra")])
    with atomic(path) as partial:
        parquet.write_table(arrow.Table.from_pylist(entries, schema=schema), partial)
