"""Items of several modalities in the shared space, searched by a vector: in memory, or parts of an index on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch

from ..errors import ModalignError, check_known, unknown
from ..metrics.corrected import csls_bias, softmax_bias
from ..parameters import checked
from ..views.checks import LEAST, MOST
from ..views.tables import numbers
from .exact import exact_scores, scores
from .items import Condition, ListItems, check_order, item_id, mask
from .part import Match, Part, Place

CORRECTIONS = ("csls", "inverted_softmax")
BANK = 2000  # queries that a hubness correction looks at


class Gallery:
    """Searchable items by modality.

    Args:
        parts: modality -> parts, in the order in which they were added.
        dim: width of the shared space.
    """

    @checked
    def __init__(self, parts: Mapping[str, Sequence[Part]], dim: int) -> None:
        self.parts = {m: list(p) for m, p in parts.items()}
        self.dim = dim
        self._bias: dict[tuple[str, tuple[str, ...], str], np.ndarray] = {}
        self._masks: dict[tuple[str, tuple[Condition, ...]], np.ndarray] = {}

    # ------------------------------------------------------------------ looking

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that can be searched."""
        return tuple(self.parts)

    def rows(self, modality: str) -> int:
        """Rows of a modality, deleted ones counted."""
        return sum(len(p.vectors) for p in self._of(modality))

    def count(self, modality: str) -> int:
        """Items of a modality that can be found."""
        return sum(len(p.vectors) - (0 if p.dead is None else int(p.dead.sum())) for p in self._of(modality))

    def all_parts(self) -> Iterator[Part]:
        """The parts of every modality, in order."""
        return chain.from_iterable(self.parts.values())

    def _of(self, modality: str) -> list[Part]:
        check_known("modality to search in", modality, self.parts)
        return self.parts[modality]

    def alive(self, modality: str) -> np.ndarray:
        """(rows,) bool."""
        parts = self._of(modality)
        masks = [np.ones(len(p.vectors), bool) if p.dead is None else ~p.dead for p in parts]
        return np.concatenate(masks) if masks else np.empty(0, bool)

    def _split(self, modality: str, rows: np.ndarray) -> Iterator[tuple[Part, np.ndarray, np.ndarray]]:
        """(part, positions in ``rows``, rows of the part)."""
        start = 0
        for part in self._of(modality):
            here = np.flatnonzero((rows >= start) & (rows < start + len(part.vectors)))
            if len(here):
                yield part, here, rows[here] - start
            start += len(part.vectors)

    def vectors(self, modality: str, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, d) float32 unit rows."""
        index = np.asarray(rows, np.int64)
        out = np.empty((len(index), self.dim), np.float32)
        for part, here, own in self._split(modality, index):
            out[here] = part.vectors[own]
        return out

    def entry(self, place: Place) -> dict[str, Any]:
        """Metadata of an item.

        Raises:
            ModalignError: no such row, or it is deleted.
        """
        part, row = self.part(place)
        if part.dead is None or not part.dead[row]:
            return part.items.entry(row)
        raise self._absent(place)

    def entries(self, modality: str, rows: np.ndarray) -> list[dict[str, Any]]:
        """Metadata of the items of some rows, in ascending order, deleted or not."""
        return [e for part, _, own in self._split(modality, rows) for e in part.items.several(own)]

    def part(self, place: Place) -> tuple[Part, int]:
        """The part that an item is in, and its row there. Raises ModalignError where there is no such row."""
        for part, _, own in self._split(place.modality, np.asarray([place.row])):
            return part, int(own[0])
        raise self._absent(place)

    def _absent(self, place: Place) -> ModalignError:
        return ModalignError(f"no item {place.row} of '{place.modality}': it has {self.rows(place.modality)} rows")

    def id(self, place: Place) -> str:
        """An item's id: its own, or modality/row."""
        return item_id(self.entry(place).get("id"), *place)

    def find(self, id: str) -> Place:
        """The place of an item by its id.

        Raises:
            ModalignError: no item has this id.
        """
        if id not in self._ids:
            example = next(iter(self._ids), "none")
            raise ModalignError(f"no item '{id}' in this index ({len(self._ids):,} items; for example {example})")
        return self._ids[id]

    @cached_property
    def _ids(self) -> dict[str, Place]:
        return {
            ids[row]: Place(m, row) for m, ids in self.ids.items() for row in np.flatnonzero(self.alive(m)).tolist()
        }

    @cached_property
    def ids(self) -> dict[str, list[str]]:
        """Modality -> the id of each row, of deleted ones too."""
        given = {m: chain.from_iterable(p.items.column("id") for p in parts) for m, parts in self.parts.items()}
        return {m: [item_id(i, m, row) for row, i in enumerate(own)] for m, own in given.items()}

    def words(self, place: Place, entry: Mapping[str, Any]) -> str:
        """An item's words, else the first of its group in its batch, or among all where the batch has no words at all;
        or nothing."""
        if entry.get("text"):
            return str(entry["text"])
        part, row = self.part(place)
        batch = int(part.batch[row])
        return self._names.get((batch if (batch, None) in self._names else None, entry.get("group")), "")

    @cached_property
    def _names(self) -> dict[tuple[int | None, Any], str]:
        """Batch and group -> its first words; of all batches together under None, and of a whole batch too."""
        names: dict[tuple[int | None, Any], str] = {}
        for part in self.all_parts():
            for batch, group, text in zip(
                part.batch[part.living].tolist(), part.column("group"), part.column("text"), strict=True
            ):
                for own in ((batch, group), (None, group), (batch, None)) if text and group is not None else ():
                    names.setdefault(own, text)
        return names

    def batches(self, modality: str) -> np.ndarray:
        """(rows,) numbers: items of one number were indexed together, and their groups are of one data set."""
        return np.concatenate([p.batch for p in self._of(modality)])

    def sample(self, modality: str, limit: int) -> np.ndarray:
        """At most ``limit`` rows that are not deleted, evenly spaced."""
        rows = np.flatnonzero(self.alive(modality))
        return rows if len(rows) <= limit else rows[np.arange(limit) * len(rows) // limit]

    # ------------------------------------------------------------------ searching

    def nearest(
        self,
        query: Any,
        to: Sequence[str],
        k: int,
        where: Sequence[Condition] = (),
        bias: Mapping[str, np.ndarray] | None = None,
        exact: bool = False,
    ) -> list[Match]:
        """The k best items of some modalities for a unit vector.

        score = <y, q> + b_y, in float64; ties by order of modality and row.

        Raises:
            ModalignError: unknown modality or key, a condition that no value can meet (see ``items.check_order``), k
                below 1, a vector of another width or with NaN.
        """
        query = numbers(query, "query").detach().cpu().double().numpy().ravel()
        if len(query) != self.dim:
            raise ModalignError(f"the query has {len(query)} dimensions, the index {self.dim}")
        if not np.isfinite(query).all():
            raise ModalignError("the query vector has NaN or infinite values")
        if k < 1:
            raise ModalignError(f"k must be at least 1, got {k}")
        found: list[Match] = []
        for m in dict.fromkeys(to):
            allowed = self.allowed(m, where)
            start = 0
            for part in self._of(m):
                stop = start + len(part.vectors)
                own = None if allowed is None else allowed[start:stop]
                add = None if bias is None or m not in bias else bias[m][start:stop]
                value, rows = part.nearest(query, k, own, add, exact)
                cosine = value if add is None else exact_scores(part.vectors[rows], query)
                found += [
                    Match(float(v), float(c), Place(m, start + int(r)))
                    for v, c, r in zip(value, cosine, rows, strict=True)
                ]
                start = stop
        order = {m: i for i, m in enumerate(dict.fromkeys(to))}
        found.sort(key=lambda f: (-f.score, order[f.place.modality], f.place.row))
        return found[:k]

    @cached_property
    def keys(self) -> list[str]:
        """Names of what is known of any item."""
        return sorted({k for p in self.all_parts() for k in p.items.keys(p.living)})

    def values(self, key: str) -> list[Any]:
        """What is known of all items under a key; those of a part or a modality that lacks it are items without it."""
        return [v for p in self.all_parts() for v in p.column(key) if v is not None]

    @checked
    def allowed(self, modality: str, where: Sequence[Condition] = ()) -> np.ndarray | None:
        """(rows,) bool: not deleted and meeting the conditions; None: all rows."""
        parts = self._of(modality)
        key = (modality, tuple(where))
        if key not in self._masks:
            alive = self.alive(modality)
            for c in where if any(map(self.count, self.parts)) else ():
                values = self.values(c.key)
                if not values:
                    raise unknown("metadata key", c.key, self.keys)
                check_order(c, values)
            if where and alive.any():
                alive &= np.concatenate([mask(p.items, where) for p in parts])
            self._masks = {key: alive} if len(self._masks) > 32 else {**self._masks, key: alive}
        alive = self._masks[key]
        return None if alive.all() else alive

    def cosines(self, query: np.ndarray, modality: str) -> np.ndarray:
        """(rows,) float32 cosines of all rows with a unit vector, deleted ones included."""
        parts = [scores(p.vectors, np.asarray(query)) for p in self._of(modality)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def correction(self, way: str, sources: Sequence[str], to: Sequence[str]) -> dict[str, np.ndarray]:
        """What a hubness correction adds to the score of each row, by modality.

        Args:
            way: "csls" or "inverted_softmax".
            sources: modalities of the query: their items in the index stand for other queries (at most ``BANK``).
                Where the index has none of them, items of the other modalities do; where it has one modality alone,
                its other items.

        Raises:
            ModalignError: unknown way.
        """
        check_known("correction", way, CORRECTIONS)
        out, there = {}, [m for m in self.parts if self.count(m)]
        for m in to:
            near = tuple(s for s in sources if s in there and s != m)
            bank = near or tuple(s for s in there if s != m) or (m,)
            key = (way, bank, m)
            if key not in self._bias:
                chosen = {s: self.sample(s, BANK // len(bank)) for s in bank}
                queries = np.concatenate([self.vectors(s, own) for s, own in chosen.items()])
                rows = torch.from_numpy(self.vectors(m, np.arange(self.rows(m))))
                itself = torch.full((len(rows),), -1)
                if m in chosen:
                    itself[chosen[m]] = torch.arange(len(queries))
                method = csls_bias if way == "csls" else softmax_bias
                self._bias[key] = method(torch.from_numpy(queries), rows, own=itself).numpy().astype(np.float64)
            out[m] = self._bias[key]
        return out

    def nearest_many(self, queries: np.ndarray, to: str, k: int, exact: bool = False) -> np.ndarray:
        """Rows (n, k) of the k best for many queries (n, d); -1 where fewer were found."""
        out = np.full((len(queries), k), -1, np.int64)
        if self.allowed(to) is not None:
            for i, query in enumerate(queries):
                hits = self.nearest(query, [to], k, exact=exact)
                out[i, : len(hits)] = [f.place.row for f in hits]
            return out
        start, found = 0, []
        for part in self._of(to):
            rows = part.nearest_many(queries, k, exact)
            found.append(np.where(rows < 0, -1, rows + start))
            start += len(part.vectors)
        if len(found) == 1:
            return found[0]
        for i, rows in enumerate(np.concatenate(found, 1)):
            rows = np.sort(rows[rows >= 0])
            order = np.argsort(-exact_scores(self.vectors(to, rows), queries[i]), kind="stable")[:k]
            out[i, : len(order)] = rows[order]
        return out


@checked
def in_memory(z: Mapping[str, torch.Tensor], items: Mapping[str, Sequence[Mapping[str, Any]]]) -> Gallery:
    """A gallery of embeddings that are scaled to length 1.

    Args:
        z: modality -> (n, d). items: modality -> one entry per row.

    Raises:
        ModalignError: widths that differ.

    Example:
        >>> g = in_memory({"text": torch.eye(2)}, {"text": [{"text": "a"}, {"text": "b"}]})
        >>> g.nearest(np.array([0.0, 1.0]), ["text"], 1)[0].place
        Place(modality='text', row=1)
    """
    rows = {m: unit_rows(x, m) for m, x in z.items()}
    widths = {m: x.shape[1] for m, x in rows.items()}
    if len(set(widths.values())) > 1:
        raise ModalignError(f"the modalities have embeddings of unequal widths {widths}")
    parts = {m: [Part(x, ListItems(items[m]))] for m, x in rows.items()}
    return Gallery(parts, next(iter(widths.values()), 0))


def unit_rows(x: Any, modality: str) -> np.ndarray:
    """(n, d) contiguous float32 rows of length 1, of what ``views.tables.numbers`` reads.

    Raises:
        ModalignError: no (n, d) array of finite numbers, or rows of zeros.
    """
    x = numbers(x, modality).detach().cpu()
    if x.ndim != 2:
        raise ModalignError(f"vectors of '{modality}' must have the shape (rows, dimensions), got {tuple(x.shape)}")
    wide = x.double() if x.dtype == torch.float64 else x.float()
    bad = (~torch.isfinite(wide).all(1) | (wide == 0).all(1)).nonzero().flatten()
    if len(bad):
        raise ModalignError(
            f"vectors of '{modality}' have NaN, infinite or all-zero rows: {len(bad)} of {len(x)}, "
            f"the first is row {int(bad[0])}"
        )
    if len(x):
        peak = wide.abs().amax(1, keepdim=True)
        far = (peak < LEAST) | (peak > MOST)  # lengths of these are lost in float32
        wide = torch.where(far, wide / peak, wide) if far.any() else wide
    return np.ascontiguousarray(torch.nn.functional.normalize(wide, dim=1).float().numpy())
