"""Where the items of an index come from: batches, which were indexed together, and the folders of their pictures.

The groups of two data sets are both numbered from 0, so that a group says what belongs together within a batch alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .items import Entries

if TYPE_CHECKING:
    from .gallery import Gallery

Batches = Sequence[tuple[int, int]]
"""(number of a batch, how many rows of it come next)."""

Told = Mapping[str, Batches]
"""Modality -> batches of a segment's rows."""


def runs(numbers: np.ndarray) -> Batches:
    """Equal neighbours as one: (number, how often).

    Example:
        >>> runs(np.array([3, 3, 0, 3]))
        [(3, 2), (0, 1), (3, 1)]
    """
    ends = np.flatnonzero(np.diff(numbers, append=numbers[-1:] - 1)) + 1
    return list(zip(numbers[ends - 1].tolist(), np.diff(ends, prepend=0).tolist(), strict=True))


def numbers_of(batches: Batches) -> np.ndarray:
    """The batch of each row: ``runs`` undone.

    Example:
        >>> numbers_of([(3, 2), (0, 1)]).tolist()
        [3, 3, 0]
    """
    numbers, rows = np.array(batches, np.int64).reshape(-1, 2).T
    return np.repeat(numbers, rows)


def unused(told: Iterable[Told]) -> int:
    """The first number that no batch of some segments has.

    Example:
        >>> unused([{"text": [(0, 5)]}, {"text": [(3, 2)]}])
        4
    """
    return 1 + max((number for own in told for batches in own.values() for number, _ in batches), default=-1)


def read(table: Any, modality: str, rows: int) -> Batches:
    """What the description of an index tells of a segment: one number for all of it, or ``Told``.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    batches = [(table, rows)] if isinstance(table, int) else [(int(b), int(n)) for b, n in table[modality]]
    if sum(n for _, n in batches) != rows or any(n < 0 for _, n in batches):
        raise ValueError(f"the batches of '{modality}' are not those of {rows} rows")
    return batches


def told(gallery: Gallery, more: int = 0) -> list[Told]:
    """Of each segment of an index, which rows of a modality were indexed together; ``more`` is added to the numbers."""
    out: dict[int, dict[str, Batches]] = {}
    for m, part in ((m, part) for m, parts in gallery.parts.items() for part in parts):
        out.setdefault(part.home[0], {})[m] = [(number + more, rows) for number, rows in part.batches]
    return [out[segment] for segment in sorted(out)]


def joining(gallery: Gallery, entries: Entries) -> Told:
    """The batches of new items: a new one, or that of the item whose place one takes, also of a deleted one."""
    new = unused(told(gallery))
    own = {m: {str(e["id"]): new for e in some} for m, some in entries.items()}
    for m in gallery.modalities:
        for id, batch in zip(gallery.ids[m], gallery.batches(m).tolist(), strict=True):
            for some in own.values():
                if id in some:
                    some[id] = batch
    return {m: runs(np.array(list(some.values()))) for m, some in own.items()}


def common(galleries: Iterable[Gallery]) -> Path | None:
    """The folder that holds all pictures of some indexes; None where they have none."""
    roots = {str(part.root) for gallery in galleries for part in gallery.all_parts() if part.root is not None}
    return Path(os.path.commonpath(roots)) if roots else None


def entries(gallery: Gallery, modality: str, rows: np.ndarray, root: Path | None) -> list[dict[str, Any]]:
    """``Gallery.entries``, with pictures as they are seen from another folder."""
    out = gallery.entries(modality, rows)
    for part, here, _ in gallery._split(modality, rows):
        own = None if part.root is None or part.root == root else part.root
        for entry in (out[i] for i in here.tolist() if out[i].get("picture")) if own is not None else ():
            entry["picture"] = os.path.relpath(own / entry["picture"], root)
    return out
