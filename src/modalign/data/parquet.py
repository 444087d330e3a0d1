"""Columns of vectors in Parquet files: ``FILE.parquet``, ``#COLUMN`` behind it where there are several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ARROW, ModalignError, check_known, explained, few, require
from .places import split_place


def is_parquet(place: str | Path) -> bool:
    """Whether a place names a Parquet file, or a column of one.

    Example:
        >>> is_parquet("items.parquet#image"), is_parquet("items.npy")
        (True, False)
    """
    return split_place(place)[0].suffix.lower() == ".parquet"


def read_column(place: str | Path) -> Tensor:
    """All vectors of a column, (n, d) float32; other columns are not read.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ModalignError: no such file or a damaged one, no column of vectors, several and none named, vectors that are
            missing (null) or of unequal lengths.
    """
    whole, name = split_place(place)
    parquet = require("pyarrow.parquet", "data")
    if not whole.is_file():
        raise ModalignError(f"array file not found: {whole}")
    with explained(f"array file is damaged or not in its format: {whole}", *ARROW):
        file = parquet.ParquetFile(whole, memory_map=True)
        columns = vector_columns(file.schema_arrow)
        if name:
            check_known(f"column of vectors of {whole}", name, columns)
        elif len(columns) != 1:
            then = f": name one behind a #, {whole}#{columns[0]}" if columns else ""
            raise ModalignError(f"{whole} has {len(columns)} columns of vectors ({few(columns) or 'none'}){then}")
        rows = flat(file.read(columns=[name or columns[0]]).column(0), str(place))
    if not rows.size:
        raise ModalignError(f"array is empty: {place} has shape {rows.shape}")
    return torch.from_numpy(rows)


def vector_columns(schema: Any) -> list[str]:
    """The columns of an Arrow schema that hold lists of floating-point numbers, which are taken for vectors."""
    types = require("pyarrow", "data").types
    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    lists = [f for f in schema if any(kind(f.type) for kind in kinds)]
    return [f.name for f in lists if types.is_floating(f.type.value_type)]


def flat(column: Any, where: str, width: int = 0, nulls: bool = False) -> np.ndarray:
    """An Arrow column of equally long lists as (n, d) float32.

    Args:
        where: it lies, for messages. width: that the lists have, 0: any. nulls: a missing vector is a row of NaN.

    Raises:
        ModalignError: vectors that are missing, or of unequal lengths.
    """
    compute = require("pyarrow.compute", "data")
    if column.null_count and not nulls:
        raise ModalignError(f"{where}: {column.null_count} vectors are missing (null): write a store without them")
    there = column.drop_null()
    lengths = {int(n) for n in compute.unique(compute.list_value_length(there)).to_pylist()} | ({width} - {0})
    if len(lengths) > 1:
        raise ModalignError(f"{where}: the vectors have unequal lengths ({few(sorted(lengths))}): make them equal")
    chunks = there.chunks if hasattr(there, "chunks") else [there]
    parts = [np.asarray(c.flatten().to_numpy(zero_copy_only=False), np.float32) for c in chunks]
    rows = np.concatenate([np.empty(0, np.float32), *parts]).reshape(len(there), max(lengths, default=0))
    if not column.null_count:
        return rows
    found = np.full((len(column), rows.shape[1]), np.nan, np.float32)
    found[np.asarray(column.is_valid())] = rows
    return found
