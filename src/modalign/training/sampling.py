"""Batches of groups: paired and unpaired items mixed at a ratio, each batch a function of seed and step alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views, linked_groups

Rows = dict[str, Tensor]


class Sampler:
    """Draws rows of views for each training step.

    Linked groups come in shuffled passes over all of them, without a short last batch: a batch that reaches the end
    of a pass goes on in the next one. Of a group's items of one modality, one is drawn. Items without a partner are
    drawn beside them, independently in each modality. There is nothing to save for a resume but the step.

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
        self.units = _links(x) if x.links else _groups(x)
        self.whole = bool(x.links)
        alone = {m: _alone(x, m) for m in x.modalities}
        self.alone = {m: rows for m, rows in alone.items() if len(rows)} if unpaired else {}
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
        return len(next(iter(self.units.values()))[0]) if self.units else 0

    def __call__(self, step: int) -> Rows:
        """Modality -> row numbers of the batch of one step."""
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
            pick = torch.randperm(len(alone), generator=generator)[: self.extra]
            rows.setdefault(m, []).append(alone[pick])
        return {m: torch.cat(parts) for m, parts in rows.items()}

    def order(self, number: int) -> Tensor:
        """The units in the order of one pass; that of the last one asked for is kept."""
        kept = self.kept
        if kept is None or kept[0] != number:
            generator = torch.Generator().manual_seed((self.seed * 7_368_787 + number + 1) % (1 << 62))
            kept = self.kept = (number, torch.randperm(self.count, generator=generator))
        return kept[1]

    def passes(self, start: int, size: int = 1) -> Tensor:
        """Units at places start .. start + size of the endless stream of shuffled passes, without doubles."""
        found: list[Tensor] = []
        while size > 0:
            number, place = divmod(start, self.count)
            part = self.order(number)[place : place + size]
            found.append(part)
            start, size = start + len(part), size - len(part)
        units = torch.cat(found)
        return units if len(found) == 1 else torch.unique(units)


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
            found[b].append((total + torch.searchsorted(items, p[:, 0]), p[:, 1]))
        total += len(items)
    table = {}
    for m, parts in found.items():
        unit, row = (torch.cat(column) for column in zip(*parts, strict=True))
        size = torch.bincount(unit, minlength=total)
        table[m] = (torch.cumsum(size, 0) - size, size, row[torch.argsort(unit, stable=True)])
    return table if total else {}


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
