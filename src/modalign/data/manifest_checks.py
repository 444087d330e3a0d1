"""What columns of a manifest must be like."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModalignError, few

if TYPE_CHECKING:
    from .manifest import Manifest


def group_ids(values: Any) -> np.ndarray:
    """(n,) int64 ids from 0. Raises ModalignError for others."""
    ids = np.asarray(values)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or ids.size == 0):
        raise ModalignError(f"group ids must be a list of integers, got {ids.dtype} of shape {ids.shape}")
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(np.int64).max):
        raise ModalignError("group ids must be integers from 0 to 2**63 - 1")
    return ids.astype(np.int64)


def times(values: Any, n: int, column: str) -> np.ndarray:
    """(n,) seconds, NaN where there are none. Raises ModalignError for what is no number."""
    if len(values) == 0:
        return np.full(n, math.nan)
    try:
        return np.asarray([math.nan if v is None else v for v in values], dtype=np.float64)
    except (TypeError, ValueError):
        raise ModalignError(f"column '{column}' must hold seconds as numbers") from None


def check_rows(m: Manifest) -> None:
    """Refuse rows that cannot mean anything, naming them."""

    def refuse(rows: Iterable[int], what: str) -> None:
        found = list(rows)
        if found:
            raise ModalignError(f"'{m.name}' has {len(found)} rows {what} (rows {few(found)})")

    refuse((i for i, v in enumerate(m.modality_names) if not isinstance(v, str) or not v), "without a modality name")
    refuse((i for i, v in enumerate(m.splits) if not isinstance(v, str)), "whose split is not a name")
    for column in ("uri", "text"):
        values = getattr(m, column)
        refuse(
            (i for i, v in enumerate(values) if v is not None and not isinstance(v, str)), f"whose {column} is no text"
        )
        refuse((i for i, v in enumerate(values) if v is not None and not v.strip()), f"with an empty {column}")
    pairs = list(zip(m.uri, m.text, strict=True))
    refuse((i for i, (u, t) in enumerate(pairs) if u is None and t is None), "with neither a file nor a text")
    refuse((i for i, (u, t) in enumerate(pairs) if u is not None and t is not None), "with both a file and a text")
    start, end = np.asarray(m.start), np.asarray(m.end)
    refuse(((start < 0) | (end <= 0) | (start >= end)).nonzero()[0].tolist(), "whose times are not 0 <= start < end")
    refuse((np.isinf(start) | np.isinf(end)).nonzero()[0].tolist(), "with an infinite time")
