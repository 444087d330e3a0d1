"""Where an index goes when it outgrows one machine: LanceDB, embedded files or object storage."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ..data.lance import note, told
from ..errors import ModalignError, few, require
from ..files import to_json
from ..outputs import claim_file
from ..progress import Progress, silent
from .gallery import Gallery
from .items import item_id
from .part import Place

BATCH = 4096  # rows in one write


class LanceSink:
    """A table of a LanceDB database.

    Columns: id, modality, group, text, uri, split, extra (JSON of all other metadata), vector (d float32).

    Args:
        uri: folder, or address of an object store such as s3://bucket/prefix (with the credentials that LanceDB finds).
        table: its name.

    Raises:
        MissingExtraError: LanceDB is not installed.
        ModalignError: the place cannot be opened.
    """

    def __init__(self, uri: str, table: str = "items") -> None:
        self.uri, self.table = str(uri), table
        with told(f"open {uri}"):
            self.database = require("lancedb", "lance").connect(self.uri)

    def write(self, gallery: Gallery, progress: Progress = silent) -> int:
        """Write all items of a gallery, in place of the table that may be there. Returns their number.

        Raises:
            ModalignError: no items, a table of others, or one in a folder that another program writes now.
        """
        place = Path(self.uri) / f"{self.table}.lance"
        with nullcontext() if "://" in self.uri else claim_file(note(place)):
            return self._written(gallery, progress)

    def _written(self, gallery: Gallery, progress: Progress) -> int:
        arrow = require("pyarrow", "search")
        fields = [(name, arrow.string()) for name in ("id", "modality", "text", "uri", "split", "extra")]
        schema = arrow.schema(
            [*fields, ("group", arrow.int64()), ("vector", arrow.list_(arrow.float32(), gallery.dim))]
        )
        total = sum(gallery.count(m) for m in gallery.modalities)
        if not total:
            raise ModalignError("there is nothing to write: the index has no items")
        there = self._open()
        if there is not None and set(there.schema.names) != set(schema.names):
            raise ModalignError(
                f"{self.uri} has a table '{self.table}' that is not modalign's (columns {few(there.schema.names)}): "
                "choose another folder"
            )
        done = 0

        def batches() -> Iterator[Any]:
            nonlocal done
            for rows, vectors in _batches(gallery):
                columns = {name: [r[name] for r in rows] for name in schema.names if name != "vector"}
                flat = arrow.array(vectors.ravel(), arrow.float32())
                columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, gallery.dim)
                yield arrow.RecordBatch.from_pydict(columns, schema=schema)
                done += len(rows)
                progress(done, total, "writing to LanceDB")

        with told(f"write to {self.uri}"):
            self.database.create_table(self.table, data=batches(), schema=schema, mode="overwrite")
        return total

    def _open(self) -> Any:
        """The table; None where there is none."""
        try:
            return self.database.open_table(self.table)
        except (ValueError, FileNotFoundError):
            return None

    def search(self, vector: np.ndarray, to: str | None = None, k: int = 10) -> list[dict[str, Any]]:
        """The k items nearest to a unit vector (d,), by cosine; for all of what LanceDB can do, use ``database``.

        Raises:
            ModalignError: no such table, or a vector of another width, with both.
        """
        table = self._open()
        if table is None:
            call = f"modalign index INDEX --lance {shlex.quote(self.uri)}"
            raise ModalignError(f"no table '{self.table}' in {self.uri}: write one with  {call}")
        width = table.schema.field("vector").type.list_size
        if len(vector) != width:
            raise ModalignError(f"the query has {len(vector)} dimensions, the table {width}")
        if k < 1:
            raise ModalignError(f"k must be at least 1, got {k}")
        asked = table.search(np.asarray(vector, np.float32)).distance_type("cosine").limit(k)
        if to is not None:
            asked = asked.where("modality = '" + to.replace("'", "''") + "'", prefilter=True)
        # Cosines come from the vectors: the distances of an indexed table are those of its codes, some of them doubled.
        found = [
            {"id": r["id"], "modality": r["modality"], "text": r["text"], "cosine": float(np.dot(r["vector"], vector))}
            for r in asked.to_list()
        ]
        return sorted(found, key=lambda hit: -hit["cosine"])


def _batches(gallery: Gallery) -> Iterator[tuple[list[dict[str, Any]], np.ndarray]]:
    for m in gallery.modalities:
        rows = np.flatnonzero(gallery.alive(m))
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            known = zip(part.tolist(), gallery.entries(m, part), strict=True)
            yield [_row(entry, Place(m, r)) for r, entry in known], gallery.vectors(m, part)


def _row(entry: dict[str, Any], place: Place) -> dict[str, Any]:
    known = {"text", "uri", "split", "group", "id", "modality"}
    extra = {k: v for k, v in entry.items() if k not in known}
    return {
        "id": item_id(entry.get("id"), *place),
        "modality": place.modality,
        "text": entry.get("text"),
        "uri": entry.get("uri"),
        "split": entry.get("split"),
        "extra": to_json(extra),
        "group": entry.get("group"),
    }
