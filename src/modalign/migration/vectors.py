"""Vectors by rows and by blocks, wherever they lie: a store of 10 M rows needs no more memory than a few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError
from ..views.tables import numbers

BLOCK = 16_384  # rows in one piece: 25 MB of 384 float32


@dataclass(frozen=True)
class Vectors:
    """A store of vectors that is read in pieces.

    Args:
        path: where it lies. rows, width: its shape.
        take: rising row numbers (k,) -> (k, width) float32.
        read: (start, stop) -> (stop - start, width) float32.
    """

    path: str
    rows: int
    width: int
    take: Callable[[np.ndarray], np.ndarray]
    read: Callable[[int, int], np.ndarray]

    def at(self, rows: np.ndarray) -> np.ndarray:
        """(k, width) float32 of any row numbers, in their order, repeats included.

        Raises:
            ModalignError: a row number beyond the store.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and int(rows.max()) >= self.rows:
            raise ModalignError(f"row {int(rows.max())} was asked for, but {self.path} has rows 0 to {self.rows - 1}")
        ids, where = np.unique(rows, return_inverse=True)
        return self.take(ids)[where] if len(ids) else np.empty((0, self.width), np.float32)

    def blocks(self, size: int = BLOCK, start: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, block) from ``start`` to the end."""
        for first in range(start, self.rows, size):
            yield first, self.read(first, min(first + size, self.rows))


def not_empty(store: Vectors) -> Vectors:
    """The store itself. Raises ModalignError where it holds no numbers."""
    if store.rows == 0 or store.width == 0:
        raise ModalignError(f"the store of vectors is empty: {store.path} has shape ({store.rows}, {store.width})")
    return store


def in_memory(x: Any, name: str = "array") -> Vectors:
    """Numbers (n, d) in memory, as ``views.tables.numbers`` reads them, as a store."""
    rows = numbers(x, name).detach().cpu()
    if rows.ndim != 2:
        raise ModalignError(f"{name} must be an array of numbers (rows, width), got shape {tuple(rows.shape)}")
    if 0 in rows.shape:
        raise ModalignError(f"{name} is empty: it has shape {tuple(rows.shape)}")
    return over_array(name, rows, lambda some: some.float().numpy())


def over_array(path: str | Path, array: Any, decode: Callable[[Any], np.ndarray] | None = None) -> Vectors:
    """A store over an array or tensor, mapped or not."""
    turn = decode or (lambda x: np.ascontiguousarray(x, np.float32))
    return Vectors(
        str(path), array.shape[0], array.shape[1], lambda rows: turn(array[rows]), lambda a, b: turn(array[a:b])
    )
