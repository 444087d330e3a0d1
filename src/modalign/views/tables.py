"""Arrays and data frames of other libraries as tensors: numpy, pandas, polars, Arrow, torch, DLPack, lists."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError, few
from ..parameters import check_readable
from .groups import turned


class NotNumbersError(ModalignError, TypeError):
    """Something else than numbers, where numbers are needed."""


def numbers(x: Any, name: str) -> Tensor:
    """A table of numbers as a tensor of its own precision. Memory that torch can read is shared, not copied.

    Args:
        x: array, tensor, data frame of pandas or polars, a column of lists, what speaks DLPack, or nested lists.
        name: of the table, for messages.

    Raises:
        ModalignError: sparse or masked arrays, no real numbers, or none (the device "meta"), rows of unequal length.

    Example:
        >>> numbers(np.arange(2, dtype=">f8")[::-1], "x")
        tensor([1., 0.], dtype=torch.float64)
    """
    check_readable(x, f"'{name}'")
    if isinstance(x, Tensor):
        return x
    if _is_frame(x):
        x = _of_frame(x, name)
    elif not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__") and not hasattr(x, "__arrow_c_array__"):
        return numbers(torch.from_dlpack(x), name)  # Arrow's arrays give up what is absent or nested that way
    try:
        rows = _of_array(_stacked(np.asarray(x)), name)
    except ModalignError:
        raise
    except (TypeError, ValueError, RuntimeError) as problem:  # rows of unequal length, tensors that refuse
        raise NotNumbersError(f"'{name}' must hold numbers in rows of one length: {problem}") from None
    return rows.to(torch.get_default_dtype()) if _is_plain(x) and rows.is_floating_point() else rows


def matrix(x: Any, name: str, column: bool = False) -> Tensor:
    """A table of numbers as a float32 matrix. Memory that is float32 in C order already is shared, not copied.

    Args:
        x: (n, d), as for ``numbers``, on any device.
        name: of the table, for messages.
        column: take a vector as a table of one column.

    Raises:
        ModalignError: as ``numbers``; not two dimensions, no column, numbers that float32 cannot hold.

    Example:
        >>> matrix([[1, 2]], "x")
        tensor([[1., 2.]])
    """
    rows = numbers(x, name).detach().cpu()
    rows = rows[:, None] if column and rows.ndim == 1 else rows
    if rows.ndim != 2:
        raise ModalignError(
            f"'{name}' must be a 2-D array (rows, features), got shape {tuple(rows.shape)}. Reshape your data: "
            "x[:, None] is a single feature, x[None] a single sample"
        )
    if rows.shape[1] == 0:
        raise ModalignError(f"'{name}' has 0 feature(s) (shape={tuple(rows.shape)}) while a minimum of 1 is required.")
    narrow = rows.float().contiguous()
    if narrow.dtype != rows.dtype and bool(narrow.isinf().any()) and not bool(rows.isinf().any()):
        raise ModalignError(f"'{name}' holds numbers beyond those of float32 (3.4e38): scale it")
    return narrow


def names_of(x: Any) -> list[str] | None:
    """The names of a data frame's columns; None for what has none, or other than words.

    Example:
        >>> names_of(np.eye(2)) is None
        True
    """
    names = list(x.columns) if _is_frame(x) else []
    return names if names and all(isinstance(n, str) for n in names) else None


def require_one_order(tables: Mapping[str, Any]) -> None:
    """Refuse row-aligned data frames whose indices say that other rows belong together.

    Raises:
        ModalignError: two of them have the same index in another order, or, numbered otherwise than from 0, some labels
            in common and others not.
    """
    indexed = {m: t.index for m, t in tables.items() if hasattr(t, "iloc")}
    for (a, first), (b, other) in pairwise(indexed.items()):
        if len(first) != len(other) or first.equals(other):
            continue
        shared = len(set(first) & set(other))
        if shared == len(set(first)) == len(set(other)):
            how = f"the same index in another order: give {b}.loc[{a}.index]"
        elif shared and not (_counts(first) or _counts(other)):
            how = f"{shared} of {len(first)} labels in common: give the rows of {a}.index.intersection({b}.index)"
        else:
            continue
        raise ModalignError(
            f"'{a}' and '{b}' have {how} where equal labels belong together, or reset_index(drop=True) of both where "
            "row i belongs to row i"
        )


def require_order(pairs: Any, first: str, second: str) -> None:
    """Refuse a data frame of pairs whose columns name the two sides in the other order.

    Raises:
        ModalignError: they do.
    """
    columns = names_of(pairs)
    if columns is not None and len(columns) == 2 and turned(columns, (first, second)):
        raise ModalignError(f"pairs have the columns {', '.join(columns)}: give the rows of '{first}' first")


def _counts(index: Any) -> bool:
    """Whether an index numbers the rows, 0, 1, 2, ..., and says no more of them."""
    return list(index) == list(range(len(index)))


def _is_frame(x: Any) -> bool:
    return hasattr(x, "to_numpy") and hasattr(x, "columns")


def _is_plain(x: Any) -> bool:
    """Python's own numbers in lists, which have no precision."""
    while isinstance(x, list | tuple) and len(x):
        x = x[0]
    return isinstance(x, float)


def _of_frame(x: Any, name: str) -> np.ndarray:
    """The values of a data frame; what is absent is NaN."""
    other = [c for c in x.columns if _values(x[c]).dtype.kind not in "fiub"]
    if other:
        raise NotNumbersError(
            f"'{name}' must hold numbers, but its columns {few(map(repr, other))} do not (a column of lists is given "
            "by itself)"
        )
    return np.column_stack([_values(x[c]) for c in x.columns]) if len(x.columns) else np.empty((len(x), 0))


def _values(column: Any) -> np.ndarray:
    """A column as an array; those of nullable types as floats, with NaN for what is absent."""
    values: np.ndarray = column.to_numpy()
    if values.dtype != object:
        return values
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return values


def _stacked(x: np.ndarray) -> np.ndarray:
    """Rows that are arrays or lists each, as a column of embeddings holds them, as one array."""
    nested = x.dtype == object and x.ndim == 1 and len(x) and all(isinstance(r, np.ndarray | list | tuple) for r in x)
    return np.stack([np.asarray(r) for r in x]) if nested else x


def _of_array(x: np.ndarray, name: str) -> Tensor:
    """An array of any type, byte order and layout; maps that are read-only among them."""
    check_readable(x, f"'{name}'")
    short = x.dtype.kind == "V" and x.dtype.type is not np.void  # bfloat16 and the like, which ml_dtypes adds
    if x.dtype.kind not in "fiubO" and not short:
        alone = x.dtype.kind == "U" and not x.ndim
        how = f": read the file first, for example by numpy.load({str(x)[:80]!r})" if alone else ""
        raise NotNumbersError(f"'{name}' must hold numbers, got an array of {x.dtype}{how}")
    if x.dtype == object and not x.ndim:
        raise NotNumbersError(f"'{name}' must hold numbers, (rows, features), got {type(x.item()).__name__}")
    kind = np.dtype(np.float32 if short else np.float64 if x.dtype == object or x.dtype.itemsize > 8 else x.dtype)
    try:
        native = x.astype(kind.newbyteorder("="), copy=False)
    except (TypeError, ValueError) as problem:
        raise NotNumbersError(f"'{name}' must hold numbers, got an array of {x.dtype}: {problem}") from None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(native if all(s >= 0 for s in native.strides) else np.ascontiguousarray(native))
