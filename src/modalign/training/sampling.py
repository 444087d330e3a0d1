"""Batches of groups: paired and unpaired items mixed at a ratio, each batch a function of seed and step alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views, linked_groups
from ..views.links import in_step

Rows = dict[str, Tensor]

WRITTEN = 1 << 19
"""Units up to which the order of a pass is a list, 4 MiB; that of more is computed place by place (`keyed`)."""
ROUNDS = 6  # of that


class Sampler:
    """Draws rows of views for each training step.

    Linked groups come in shuffled passes over all of them, without a short last batch: a batch that reaches the end
    of a pass goes on in the next one. Of a group's items of one modality, one is drawn. Items without a partner are
    drawn beside them, independently in each modality. There is nothing to save for a resume but the step. Where row i
    of every modality is the same thing, by ascending ids, nothing as long as the rows is held; else three tables are.

    Where links stand in for equal groups, an item comes with all its positives in the later modalities, so that a set
    of candidates is seen whole, and no item twice.

    Args:
        x: training views.
        batch: groups (with links: items and their positives) per batch, as far as there are so many.
        unpaired: share of the batch that is items without a partner, in [0, 1).
        seed: of all draws.

    Raises:
        ModalignError: nothing linked and no unpaired share, or settings out of range.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(5), b=torch.eye(5))
        >>> sampler = Sampler(x, batch=2)
        >>> len(set(torch.cat([sampler(step)["a"] for step in range(2)]).tolist()))  # no group twice in a pass
        4
        >>> torch.equal(sampler(7)["a"], Sampler(x, batch=2)(7)["a"])
        True
    """

    def __init__(self, x: Views, batch: int = 256, unpaired: float = 0.0, seed: int = 0) -> None:
        if batch < 1 or not 0.0 <= unpaired < 1.0:
            raise ModalignError(f"a batch of {batch} items with an unpaired share of {unpaired}: needs >= 1 and [0, 1)")
        self.seed = seed
        self.kept: tuple[int, Tensor] | None = None
        self.whole = bool(x.links)
        self.modalities = x.modalities
        self.rows = len(x[x.modalities[0]]) if in_step(x) else 0  # unit u is row u of every modality
        self.units = {} if self.rows else _links(x) if x.links else _groups(x)
        alone = {m: _alone(x, m) for m in x.modalities} if unpaired and not self.rows else {}
        self.alone = {m: rows for m, rows in alone.items() if len(rows)}
        if not self.count and not self.alone:
            raise ModalignError(
                "the training views have no linked groups: only methods that need no pairs can use them"
            )
        share = unpaired if self.alone else 0.0
        self.linked = min(self.count, max(1, round(batch * (1 - share)))) if self.count else 0
        self.extra = batch - round(batch * (1 - share)) if self.count else batch

    @property
    def count(self) -> int:
        """Number of linked units."""
        return len(next(iter(self.units.values()))[0]) if self.units else self.rows

    def __call__(self, step: int) -> Rows:
        """Modality -> row numbers of the batch of one step."""
        if self.rows:
            return dict.fromkeys(self.modalities, self.passes(step * self.linked, self.linked))
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + step) % (1 << 62))
        rows: dict[str, list[Tensor]] = {}
        if self.linked:
            units = self.passes(step * self.linked, self.linked)
            for m, (start, size, order) in self.units.items():
                here = units[size[units] > 0]
                if self.whole:
                    place = torch.repeat_interleave(start[here], size[here]) + _count_up(size[here])
                    rows.setdefault(m, []).append(torch.unique(order[place]))
                    continue
                draw = (torch.rand(len(here), generator=generator, dtype=torch.float64) * size[here]).long()
                rows.setdefault(m, []).append(order[start[here] + draw])
        for m, alone in self.alone.items():
            rows.setdefault(m, []).append(alone[_some(len(alone), self.extra, generator)])
        return {m: torch.cat(parts) for m, parts in rows.items()}

    def passes(self, start: int, size: int = 1) -> Tensor:
        """Units at places start .. start + size of the endless stream of shuffled passes, without doubles."""
        found: list[Tensor] = []
        while size > 0:
            number, place = divmod(start, self.count)
            part = self.part(number, place, min(size, self.count - place))
            found.append(part)
            start, size = start + len(part), size - len(part)
        units = torch.cat(found)
        return units if len(found) == 1 else torch.unique(units)

    def part(self, number: int, place: int, size: int) -> Tensor:
        """Units at places place .. place + size of one pass; a list of the last pass asked for is kept."""
        seed = (self.seed * 7_368_787 + number + 1) % (1 << 62)
        if self.count > WRITTEN:
            return keyed(torch.arange(place, place + size), self.count, seed)
        if self.kept is None or self.kept[0] != number:
            generator = torch.Generator().manual_seed(seed)
            self.kept = (number, torch.randperm(self.count, generator=generator))
        return self.kept[1][place : place + size]


def _groups(x: Views) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Modality -> (start, size, order): the rows of linked unit u are order[start[u] : start[u] + size[u]]."""
    linked = linked_groups(x)
    if not len(linked):
        return {}
    table = {}
    for m, g in x.group.items():
        order = torch.argsort(g.long(), stable=True)
        ordered = g.long()[order].contiguous()
        start = torch.searchsorted(ordered, linked)
        table[m] = (start, torch.searchsorted(ordered, linked, side="right") - start, order)
    return table


def _links(x: Views) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """The same where positives are explicit links: a unit is an item with all its positives in later modalities."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {m: [] for m in x.modalities}  # (unit, row)
    total = 0
    for k, a in enumerate(x.modalities):
        pairs = {b: x.paired(a, b) for b in x.modalities[k + 1 :]}
        items = torch.unique(torch.cat([p[:, 0] for p in pairs.values()])) if pairs else torch.empty(0).long()
        found[a].append((total + torch.arange(len(items)), items))
        for b, p in pairs.items():
            found[b].append((total + torch.searchsorted(items, p[:, 0].contiguous()), p[:, 1]))
        total += len(items)
    table = {}
    for m, parts in found.items():
        unit, row = (torch.cat(column) for column in zip(*parts, strict=True))
        size = torch.bincount(unit, minlength=total)
        table[m] = (torch.cumsum(size, 0) - size, size, row[torch.argsort(unit, stable=True)])
    return table if total else {}


def _some(count: int, size: int, generator: torch.Generator) -> Tensor:
    """So many different numbers below ``count``, all of them where there are fewer, in any order."""
    if count <= WRITTEN:
        return torch.randperm(count, generator=generator)[:size]
    key = int(torch.randint(1 << 62, (1,), generator=generator))
    return keyed(torch.arange(min(size, count)), count, key)


def _count_up(size: Tensor) -> Tensor:
    """0 .. size[0] - 1, 0 .. size[1] - 1 and so on, one after the other."""
    start = torch.cumsum(size, 0) - size
    return torch.arange(int(size.sum())) - torch.repeat_interleave(start, size)


def _alone(x: Views, m: str) -> Tensor:
    """Rows of a modality without a partner in any other."""
    alone = torch.ones(len(x[m]), dtype=torch.bool)
    for other in x.modalities:
        if other != m:
            alone[x.paired(m, other)[:, 0]] = False
    return alone.nonzero().flatten()


def keyed(places: Tensor, count: int, key: int) -> Tensor:
    """What stands at some places of a shuffled 0 .. count - 1; nothing as long as ``count`` is held.

    A number x is a row and a column of a table, x = column + width row with width about sqrt(count). In turn the
    columns are moved by a hash of their row and the rows by a hash of their column, modulo the sides of the table (a
    Feistel network): each turn can be undone, so that all of them are a permutation. Numbers beyond ``count``, of which
    there are fewer than ``width``, go round again.

    Args:
        places: (p,) integers in [0, count). count: how many are shuffled, at least 1.
        key: says which of the permutations.

    Returns:
        (p,) int64 in [0, count).

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.

    Example:
        >>> sorted(keyed(torch.arange(7), 7, key=1).tolist())
        [0, 1, 2, 3, 4, 5, 6]
        >>> keyed(torch.tensor([3]), 10**12, key=1).equal(keyed(torch.arange(5), 10**12, key=1)[3:4])
        True
    """
    width = math.isqrt(count - 1) + 1
    sides = (np.uint64(width), np.uint64(-(-count // width)))
    keys = _mixed(np.arange(1, ROUNDS + 1, dtype=np.uint64), np.uint64(key % (1 << 64)))
    found = _turned(places.numpy().astype(np.uint64), sides, keys)
    while (beyond := found >= count).any():
        found[beyond] = _turned(found[beyond], sides, keys)
    return torch.from_numpy(found.astype(np.int64))


def _turned(x: np.ndarray, sides: tuple[np.uint64, np.uint64], keys: np.ndarray) -> np.ndarray:
    """The permutation of all places of the table."""
    parts = [x % sides[0], x // sides[0]]
    for turn, key in enumerate(keys):
        moved = turn % 2
        parts[moved] = (parts[moved] + _mixed(parts[1 - moved], key)) % sides[moved]
    found: np.ndarray = parts[0] + sides[0] * parts[1]
    return found


def _mixed(x: np.ndarray, key: np.uint64) -> np.ndarray:
    """A hash of each number, in [0, 2^63): the finaliser of SplitMix64."""
    x = (x ^ key) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = (x ^ (x >> np.uint64(31))) >> np.uint64(1)
    return mixed
