"""Columns of a data set of the `datasets` library: features in, points of the shared space out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import tensor_of
from ..errors import ModalignError, check_known, explained, few
from ..model import Model
from ..registry import make
from ..views import Views


def views_of(dataset: Any, columns: Mapping[str, str], group: str | None = None) -> Views:
    """Columns of features as views; values that are None are absent.

    Args:
        dataset: of the library datasets, in memory or mapped. columns: modality -> column of lists of one length.
        group: column of whole numbers that tells which rows are the same thing; None: each row is one.

    Raises:
        ModalignError: no such column, values that are no lists of numbers of one length, or groups that are no whole
            numbers.

    Example:
        >>> from datasets import Dataset
        >>> rows = Dataset.from_dict({"see": [[1.0, 0.0], None], "read": [[1.0], [2.0]]})
        >>> views_of(rows, {"image": "see", "text": "read"})
        Views(image (1, 2), text (2, 1); 2 groups)
    """
    wanted = [*columns.values(), *([group] if group else [])]
    for column in wanted:
        check_known("column", column, dataset.column_names)
    plain = dataset.select_columns(wanted).with_format(None)
    known = plain[group][:] if group else list(range(len(plain)))
    if wrong := [f"row {i}: {v!r}" for i, v in enumerate(known) if not _is_whole(v)]:
        raise ModalignError(f"column '{group}' must hold whole numbers, but {len(wrong)} are none ({few(wrong)})")
    ids = torch.tensor([int(v) for v in known], dtype=torch.long)
    data, groups = {}, {}
    for modality, column in columns.items():
        values = plain[column][:]
        there = [i for i, v in enumerate(values) if v is not None]
        data[modality] = _rows([values[i] for i in there], column)
        groups[modality] = ids[there]
    return Views(data, groups).validate()


def with_points(dataset: Any, model: Model, columns: Mapping[str, str], batch_size: int = 256) -> Any:
    """The data set with a column ``<modality>_point`` for each modality: lists of ``model.heads.dim`` numbers.

    A column of lists of numbers holds features. Any other holds raw items, words or pictures, and goes through the
    encoder that the model names. None stays None.

    Args:
        dataset: of the library datasets. model: heads, and encoders where items are raw.
        columns: modality -> column. batch_size: rows that are mapped at once.

    Raises:
        ModalignError: unknown modality or column, features of another width, raw items without an encoder.
    """
    for modality, column in columns.items():
        model.heads[modality]
        check_known("column", column, dataset.column_names)
    encoders = {m: make("encoder", **model.encoders[m]) for m in columns if m in model.encoders}

    def add(batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        found = {m: _points(batch[column], model, m, encoders.get(m), column) for m, column in columns.items()}
        return {f"{m}_point": rows for m, rows in found.items()}

    return dataset.with_format(None).map(add, batched=True, batch_size=batch_size)


def _points(values: list[Any], model: Model, modality: str, encoder: Any, column: str) -> list[Any]:
    there = [i for i, v in enumerate(values) if v is not None]
    out: list[Any] = [None] * len(values)
    if not there:
        return out
    items = [values[i] for i in there]
    if isinstance(items[0], list):
        features = _rows(items, column)
    elif encoder is not None:
        features = encoder.encode(items)
    else:
        raise ModalignError(f"column '{column}' holds raw items, but the model names no encoder of {modality}")
    for i, row in zip(there, model.transform(features, modality).tolist(), strict=True):
        out[i] = row
    return out


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()


def _rows(values: list[Any], column: str) -> Tensor:
    with explained(f"column '{column}' must hold lists of numbers of one length", TypeError, ValueError):
        rows = np.array(values, dtype=np.float32)
    if rows.ndim != 2:
        raise ModalignError(f"column '{column}' must hold lists of numbers, got values of shape {few(rows.shape[1:])}")
    return tensor_of(rows)
