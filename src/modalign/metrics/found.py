"""What each query found: the one container from which every retrieval measure follows, and its file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError
from ..files import atomic
from ..parameters import checked
from .key import Key

Direction = tuple[str, str]  # (query modality, gallery modality)


@dataclass(frozen=True, eq=False)
class Found:
    """Where the positives of each query stand. One entry per positive pair, by query, then from the best score down.

    Args:
        query: (p,) row of the query, ascending. item: (p,) row of the positive in the gallery.
        score: (p,) float64.
        above: (p,) gallery items with a higher score. tied: (p,) with the same score, the positive itself included.
        above_positive, tied_positive: (p,) the same counts among the query's positives only.
        queries: number of queries asked, with or without positives.
        gallery: number of gallery items that compete for a query (self not counted).
        group: (queries,) group of every query, the unit that intervals resample; None: each by itself.
    """

    query: Tensor
    item: Tensor
    score: Tensor
    above: Tensor
    tied: Tensor
    above_positive: Tensor
    tied_positive: Tensor
    queries: int
    gallery: int
    group: Tensor | None = None

    @cached_property
    def asked(self) -> Tensor:
        """(q,) rows of the queries that have a positive, ascending."""
        return torch.unique_consecutive(self.query)

    @cached_property
    def positives(self) -> Tensor:
        """(q,) number of positives of each asked query."""
        return torch.unique_consecutive(self.query, return_counts=True)[1]

    @cached_property
    def first(self) -> Tensor:
        """(q,) entry of the best positive of each asked query."""
        return torch.cumsum(self.positives, 0) - self.positives

    @property
    def asked_group(self) -> Tensor | None:
        """(q,) group of each asked query."""
        return None if self.group is None else self.group[self.asked.to(self.group.device)].cpu()

    @property
    def pair_group(self) -> Tensor | None:
        """(p,) group of each entry's query."""
        return None if self.group is None else self.group[self.query.to(self.group.device)].cpu()

    @property
    def best(self) -> Tensor:
        """(q,) gallery row of the best positive of each asked query."""
        return self.item[self.first]

    @property
    def last_rank(self) -> Tensor:
        """(q,) rank of the best positive, from 1, with every wrong item that ties with it ahead of it."""
        return 1 + (self.above + self.tied - self.tied_positive)[self.first]

    @property
    def skipped(self) -> int:
        """Queries without a positive."""
        return self.queries - len(self.asked)

    def per_query(self, values: Tensor) -> Tensor:
        """(q,) sums of an entry-wise quantity over the positives of each asked query."""
        where = torch.repeat_interleave(torch.arange(len(self.asked), device=values.device), self.positives)
        return torch.zeros(len(self.asked), dtype=values.dtype, device=values.device).index_add(0, where, values)

    def of_each(self, values: Tensor) -> Tensor:
        """(p,) an entry-wise copy of a quantity of the asked queries."""
        return torch.repeat_interleave(values, self.positives)

    def chance(self) -> Found:
        """The ranking of a scorer that knows nothing: everything tied."""
        nothing = torch.zeros_like(self.above)
        return replace(
            self,
            above=nothing,
            tied=torch.full_like(self.tied, self.gallery),
            above_positive=nothing,
            tied_positive=self.of_each(self.positives),
        )


@checked
def save(path: Path, found: Mapping[Direction, Found]) -> None:
    """Write what the queries of every direction found, compressed; scores in single precision.

    Args:
        path: of an ``.npz`` file. found: (query modality, gallery modality) -> found.
    """
    arrays: dict[str, np.ndarray] = {}
    for (a, b), one in found.items():
        for name, value in _columns(one).items():
            arrays[f"{Key('found', a, b)}|{name}"] = value
    with atomic(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> dict[Direction, Found]:
    """Read what ``save`` wrote.

    Raises:
        ModalignError: a file that is missing, damaged, or of an older version.

    Example:
        >>> import tempfile
        >>> nothing = torch.zeros(1, dtype=torch.long)
        >>> one = Found(nothing, nothing, torch.ones(1).double(), nothing, nothing + 1, nothing, nothing + 1, 1, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Path(folder) / "found.npz", {("text", "image"): one})
        ...     load(Path(folder) / "found.npz")["text", "image"].gallery
        3
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            tables: dict[str, dict[str, Tensor]] = {}
            for entry in held.files:
                name, _, column = entry.rpartition("|")
                tables.setdefault(name, {})[column] = torch.from_numpy(held[entry])
        return {_direction(name): _found(table) for name, table in tables.items()}
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, zlib.error) as problem:
        raise ModalignError(f"what queries found cannot be read: {path} ({problem}); delete it, run again") from None


def _columns(one: Found) -> dict[str, np.ndarray]:
    columns = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if value is None:
            continue
        array = np.asarray(value if isinstance(value, int) else value.cpu().numpy())
        if array.dtype.kind == "f":
            columns[field.name] = array.astype(np.float32)
        else:
            small = not array.size or np.abs(array).max() < 2**31
            columns[field.name] = array.astype(np.int32 if small else np.int64)
    return columns


def _direction(name: str) -> Direction:
    key = Key.parse(name)
    if key.source is None or key.target is None:
        raise ValueError(f"no direction in {name!r}")
    return key.source, key.target


def _found(table: Mapping[str, Tensor]) -> Found:
    tensors = {k: v.double() if v.is_floating_point() else v.long() for k, v in table.items()}
    numbers = {k: int(tensors.pop(k)) for k in ("queries", "gallery")}
    return Found(**tensors, **numbers)  # type: ignore[arg-type]
