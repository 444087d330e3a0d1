"""Arrays and data frames of other libraries as tensors: numpy, pandas, polars, torch, DLPack, lists."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor

from ..data.arrays import tensor_of
from ..errors import ModalignError, few


class NotNumbersError(ModalignError, TypeError):
    """Something else than numbers, where numbers are needed."""


def matrix(x: Any, name: str, column: bool = False) -> Tensor:
    """A table of numbers as a float32 matrix. Memory that is float32 in C order already is shared, not copied.

    Args:
        x: (n, d) array, tensor on any device, pandas or polars data frame, what speaks DLPack, or nested lists.
        name: of the table, for messages.
        column: take a vector as a table of one column.

    Raises:
        ModalignError: sparse or masked arrays, no numbers, complex numbers, not two dimensions, no column.

    Example:
        >>> matrix([[1, 2]], "x")
        tensor([[1., 2.]])
    """
    rows = _tensor(x, name)
    rows = rows[:, None] if column and rows.ndim == 1 else rows
    if rows.ndim != 2:
        raise ModalignError(
            f"'{name}' must be a 2-D array (rows, features), got shape {tuple(rows.shape)}. Reshape your data: "
            "x[:, None] is a single feature, x[None] a single sample"
        )
    if rows.shape[1] == 0:
        raise ModalignError(f"'{name}' has 0 feature(s) (shape={tuple(rows.shape)}) while a minimum of 1 is required.")
    narrow = rows.float()
    if narrow is not rows and bool(narrow.isinf().any()) and not bool(rows.isinf().any()):
        raise _too_large(name)
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
        ModalignError: two of them have the same index in another order.
    """
    indexed = {m: t.index for m, t in tables.items() if hasattr(t, "iloc")}
    for (a, first), (b, other) in pairwise(indexed.items()):
        if len(first) == len(other) and not first.equals(other) and set(first) == set(other):
            raise ModalignError(
                f"'{a}' and '{b}' have the same index in another order: give {b}.loc[{a}.index] where equal labels "
                "belong together, or reset_index(drop=True) of both where row i belongs to row i"
            )


def _is_frame(x: Any) -> bool:
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def _tensor(x: Any, name: str) -> Tensor:
    if issparse(x) or (isinstance(x, Tensor) and x.layout != torch.strided):
        raise ModalignError(f"'{name}' is sparse, and sparse input is not supported: give it dense, as x.toarray()")
    if isinstance(x, np.ma.MaskedArray):
        raise ModalignError(f"'{name}' is a masked array: leave the masked rows out, or fill them in, and give x.data")
    if isinstance(x, Tensor):
        if x.is_meta:
            raise ModalignError(f"'{name}' is on the device 'meta', which holds no numbers")
        if x.is_complex():
            raise _complex(name, x.dtype)
        return x.detach().cpu()
    if _is_frame(x):
        x = _of_frame(x, name)
    elif not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__"):
        return _tensor(torch.from_dlpack(x), name)
    return _of_array(np.asarray(x), name)


def _of_frame(x: Any, name: str) -> np.ndarray:
    """The values of a data frame; what is absent is NaN."""
    other = [c for c in x.columns if _values(x[c]).dtype.kind not in "fiub"]
    if other:
        raise NotNumbersError(f"'{name}' must hold numbers, but its columns {few(map(repr, other))} do not")
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


def _of_array(x: np.ndarray, name: str) -> Tensor:
    if x.dtype.kind == "c":
        raise _complex(name, x.dtype)
    if x.dtype.kind not in "fiubO":
        raise NotNumbersError(f"'{name}' must hold numbers, got an array of {x.dtype}")
    try:
        with np.errstate(over="ignore"):
            rows = tensor_of(x)
    except (TypeError, ValueError) as problem:
        raise NotNumbersError(f"'{name}' must hold numbers, got an array of {x.dtype}: {problem}") from None
    if x.dtype != np.float32 and bool(rows.isinf().any()) and not np.isinf(x.astype(np.float64)).any():
        raise _too_large(name)
    return rows


def _too_large(name: str) -> ModalignError:
    return ModalignError(f"'{name}' holds numbers beyond those of float32 (3.4e38): scale it")


def _complex(name: str, kind: object) -> ModalignError:
    return ModalignError(f"Complex data not supported: '{name}' holds {kind}; give real and imaginary parts as columns")
