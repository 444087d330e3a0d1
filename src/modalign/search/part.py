"""Items that were indexed together: exact search over them, or through an approximate index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..geometry.neighbours import knn
from . import ann
from .copies import Copies
from .exact import best, exact_scores, top
from .items import Metadata
from .origins import Batches, numbers_of
from .settings import AnnSettings

FEW = 20_000  # allowed items up to which a filter is answered exactly, without the approximate index
SCANNED = 100_000  # items up to which a correction is answered exactly: a scan takes less than a thousand candidates
LIFTED = 1000  # candidates of which one may be lifted by a correction, at least


class Place(NamedTuple):
    """Where an item is: its modality and its row among all of that modality, deleted ones counted."""

    modality: str
    row: int


class Match(NamedTuple):
    """A result of a vector search: score with correction, cosine, place."""

    score: float
    cosine: float
    place: Place


@dataclass(frozen=True)
class Hit:
    """One result: its place, its score (the cosine, unless a correction was asked for), and what it is."""

    rank: int
    score: float
    cosine: float
    modality: str
    id: str
    group: int | None
    name: str
    picture: str | None
    file: str | None
    split: str | None
    extra: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """The hit as plain values."""
        return vars(self) | {"extra": dict(self.extra)}


@dataclass(eq=False)
class Part:
    """Items of one modality that were indexed together.

    vectors: (n, d) float32 unit rows. items: their metadata. dead: (n,) bool, deleted or replaced; None: none.
    faiss: approximate index, which may own the vectors, and its settings; None for exact search.
    copies: rows of each entry of the approximate index, where rows are equal; None: every row is an entry.
    root: folder that the paths of pictures start from. home: of an index on disk, segment and place in it.
    batches: (number, rows) of what was indexed together, in the order of the rows; none: all of it, under number 0.
    """

    vectors: np.ndarray
    items: Metadata
    dead: np.ndarray | None = None
    faiss: Any = None
    settings: AnnSettings = field(default_factory=AnnSettings)
    copies: Copies | None = None
    root: Path | None = None
    home: tuple[int, int] = (0, 0)
    batches: Batches = ()

    @property
    def living(self) -> np.ndarray:
        """Rows that are not deleted."""
        return np.arange(len(self.vectors)) if self.dead is None else np.flatnonzero(~self.dead)

    def column(self, key: str) -> list[Any]:
        """One value per row that is not deleted, None where an item has none."""
        values = self.items.column(key)
        return values if self.dead is None else [values[row] for row in self.living]

    @cached_property
    def batch(self) -> np.ndarray:
        """(n,) number of each row's batch."""
        return numbers_of(self.batches or [(0, len(self.vectors))])

    def nearest(
        self, query: np.ndarray, k: int, allowed: np.ndarray | None, bias: np.ndarray | None, exact: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores and rows of the k best; exact unless there is an approximate index that may be asked."""
        few = allowed is not None and int(allowed.sum()) <= max(FEW, ann.RARE * len(allowed))
        if self.faiss is None or exact or few:
            return top(self.vectors, query, k, allowed, bias)
        if bias is not None:
            return self._lifted(query, k, allowed, bias)
        rows = self.candidates(query[None], k, allowed)[0]
        return best(self.vectors, query, rows, k) if len(rows) <= FEW else top(self.vectors, query, k, allowed)

    def _lifted(
        self, query: np.ndarray, k: int, allowed: np.ndarray | None, bias: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best by <y_i, q> + b_i, which need not be among the nearest, that an approximate index gives.

        What it has not given is at most as near as the last of these, so that an item can only be among the k best
        where its correction makes up for the rest; where these are many, more are asked for, at last all.
        """
        wide = max(LIFTED, 10 * k)
        while wide <= FEW and len(self.vectors) > SCANNED:
            rows = self.candidates(query[None], wide, allowed)[0]
            if not k <= len(rows) <= FEW:
                break
            near = exact_scores(self.vectors[rows], query)
            last = np.sort(near)[-wide:][0]
            lifted = bias > np.sort(near + bias[rows])[-k] - last
            if allowed is not None:
                lifted &= allowed
            if lifted.sum() <= FEW:
                return best(self.vectors, query, np.union1d(rows, np.flatnonzero(lifted)), k, bias)
            wide *= 4
        return top(self.vectors, query, k, allowed, bias)

    def nearest_many(self, queries: np.ndarray, k: int, exact: bool = False) -> np.ndarray:
        """Rows (n, k) of the k best of all for many queries; -1 where fewer were found."""
        out = np.full((len(queries), k), -1, np.int64)
        if exact or self.faiss is None:
            index = knn(torch.from_numpy(queries), torch.from_numpy(self.vectors), k, metric="dot")[1].numpy()
            out[:, : index.shape[1]] = index
            return out
        for i, rows in enumerate(self.candidates(queries, k)):
            found = best(self.vectors, queries[i], rows, k)[1]
            out[i, : len(found)] = found
        return out

    def candidates(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> list[np.ndarray]:
        """Rows that may be among the k best of each query, from the approximate index."""
        if self.copies is None:
            return ann.candidates(self.faiss, queries, k, self.settings, allowed)
        entries = None if allowed is None else self.copies.any(allowed)
        found = [self.copies.rows(e) for e in ann.candidates(self.faiss, queries, k, self.settings, entries)]
        return found if allowed is None else [rows[allowed[rows]] for rows in found]
