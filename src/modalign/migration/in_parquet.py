"""A Parquet table across a change of model: its column of vectors mapped, all other columns as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.parquet import flat
from ..errors import ARROW, explained, require
from ..files import atomic
from ..progress import Progress, silent
from .adapter import Adapter
from .apply import Mapped, bare, check, fits
from .lists import as_tensor
from .stores import parquet_store
from .vectors import BLOCK

FEATURES = b"huggingface"  # metadata of a table: the types of its columns, the length of a vector among them


def map_parquet(
    adapter: Adapter, path: Path, out: Path, column: str | None = None, progress: Progress = silent
) -> Mapped:
    """Write a Parquet table anew with mapped vectors, in blocks.

    Vectors are float32, in lists of the kind they were in. ``out`` appears in one step when all rows are there and a
    sample of them is right; nothing is kept of a call that was killed.

    Args:
        out: .parquet to write. column: of the vectors; None: the only one.

    Raises:
        ModalignError: a damaged file, no column of vectors or several and none named, another width.
    """
    parquet = require("pyarrow.parquet", "data")
    store, name = parquet_store(path, column)
    fits(adapter, store)
    done = lost = 0
    with explained(f"vectors cannot be read: {path}", *ARROW), parquet.ParquetFile(path, memory_map=True) as file:
        schema = _mapped_schema(file.schema_arrow, name, adapter.dim)
        at = schema.get_field_index(name)
        with atomic(out) as partial:
            with parquet.ParquetWriter(partial, schema) as writer:
                for batch in file.iter_batches(BLOCK):
                    rows = adapter(as_tensor(flat(batch.column(at), str(path), store.width))).numpy()
                    writer.write_batch(batch.set_column(at, schema.field(at), _lists(rows, schema.field(at).type)))
                    lost += bare(rows)
                    done += len(rows)
                    progress(done, store.rows, "mapping")
            check(adapter, store, parquet_store(partial, name)[0].at)
    return Mapped(done, lost)


def _mapped_schema(schema: Any, name: str, width: int) -> Any:
    """The schema with lists of ``width`` float32, of the kind they were; names of types that no longer hold go."""
    arrow = require("pyarrow", "data")
    at = schema.get_field_index(name)
    old, metadata = schema.field(at), dict(schema.metadata or {})
    if arrow.types.is_fixed_size_list(old.type):
        kind = arrow.list_(arrow.float32(), width)
        if old.type.list_size != width:
            metadata.pop(FEATURES, None)
    else:
        kind = (arrow.large_list if arrow.types.is_large_list(old.type) else arrow.list_)(arrow.float32())
    return schema.set(at, old.with_type(kind)).with_metadata(metadata)


def _lists(rows: Any, kind: Any) -> Any:
    """An Arrow column of the rows."""
    arrow = require("pyarrow", "data")
    return arrow.FixedSizeListArray.from_arrays(arrow.array(rows.ravel()), rows.shape[1]).cast(kind)
