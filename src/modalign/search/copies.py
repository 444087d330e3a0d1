"""Rows that are equal: an approximate index holds each vector once, and knows which rows it stands for.

A graph whose nodes are the same point many times links the copies with each other and loses the way to all others.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ModalignError, explained

BLOCK = 1 << 14


class Copies(NamedTuple):
    """Which rows each entry of an index stands for.

    entry: (n,) int64 entry of each row. order: (n,) rows, those of one entry together. start: (entries + 1,) where the
    rows of each entry begin in ``order``.
    """

    entry: np.ndarray
    order: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, entry: np.ndarray) -> Copies:
        """From the entry of each row."""
        order = np.argsort(entry, kind="stable")
        return cls(entry, order, np.concatenate([[0], np.cumsum(np.bincount(entry))]))

    def rows(self, entries: np.ndarray) -> np.ndarray:
        """All rows of some entries.

        Example:
            >>> Copies.of(np.array([0, 1, 0])).rows(np.array([0])).tolist()
            [0, 2]
        """
        begin, size = self.start[entries], np.diff(self.start)[entries]
        offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return self.order[np.repeat(begin, size) + offset]

    def any(self, allowed: np.ndarray) -> np.ndarray:
        """(entries,) bool: whether any row of an entry is allowed."""
        return np.logical_or.reduceat(allowed[self.order], self.start[:-1])


def distinct(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of every set of equal rows, and the entry of each row among them.

    Args:
        vectors: (n, d) float32.

    Returns:
        first (u,) int64, ascending; entry (n,) int64.

    Example:
        >>> first, entry = distinct(np.array([[1, 0], [0, 1], [1, 0]], np.float32))
        >>> first.tolist(), entry.tolist()
        ([0, 1], [0, 1, 0])
    """
    factor = np.random.default_rng(0).integers(1, 2**63, vectors.shape[1], np.uint64) | np.uint64(1)
    marks = np.empty(len(vectors), np.uint64)
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK] + np.float32(0)  # minus zero is zero
        marks[start : start + BLOCK] = (part.view(np.uint32).astype(np.uint64) * factor).sum(1)
    _, first, entry = np.unique(marks, return_index=True, return_inverse=True)
    if not all(
        np.array_equal(vectors[i : i + BLOCK], vectors[first[entry[i : i + BLOCK]]])
        for i in range(0, len(vectors), BLOCK)
    ):  # two rows share a mark by chance: one in 2^64
        _, first, entry = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    place = np.argsort(first, kind="stable")
    rank = np.empty(len(place), np.int64)
    rank[place] = np.arange(len(place))
    return first[place].astype(np.int64), rank[entry.ravel()]


def read_copies(path: Path, rows: int) -> Copies | None:
    """Copies from a file of the entry of each row; None where there is none: every row is an entry.

    Raises:
        ModalignError: damaged, or of another number of rows.
    """
    if not path.exists():
        return None
    with explained(f"index is damaged: {path}", ValueError, EOFError, OSError, then="; build it again"):
        entry = np.load(path, allow_pickle=False)
    if entry.shape != (rows,) or entry.dtype != np.int64 or (rows and not 0 <= entry.min() <= entry.max() < rows):
        raise ModalignError(f"index is damaged: {path} does not number {rows} rows; build it again")
    return Copies.of(entry)
