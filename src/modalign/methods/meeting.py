"""Which rows without a link are kept where there are too many: a plan finds partners only where both are in it.

Of 100,000 rows a side, 8,192 drawn of each meet 8 % of their partners. So half of the rows are drawn, and the
others are those nearest to what was drawn from the other sides, in the canonical space of the known links. That helps
where a plan has a small share beside the links; a large one would confirm the space in which rows were chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.correlation import PrincipalAxes, canonical, cross_covariance
from ..model.heads import FeatureMap
from ..training import ranks
from ..views import Pair

BLOCK = 1 << 15  # rows read at once
NEAR = 1 << 12  # rows compared at once: with as many queries 67 MB of scores
FEWEST_LINKS = 10  # below which no space is worth searching in
MOST_LINKS = 8192  # by which the space is found
WIDTH, RIDGE = 64, 10.0  # of the space


class Side(NamedTuple):
    """A modality: its items, the group of each, the front of its head, and principal axes behind that."""

    items: Tensor
    place: Tensor
    front: FeatureMap
    axes: PrincipalAxes

    def means(self, wanted: Tensor) -> Tensor:
        """(wanted groups, r) means of the coordinates of each group's items; ``wanted``: mask of groups."""
        chosen = wanted[self.place].nonzero().flatten()
        where = (wanted.long().cumsum(0) - 1)[self.place[chosen]]
        own = ranks.share(len(chosen))
        total = torch.zeros(int(wanted.sum()), self.axes.axes.shape[1], dtype=self.axes.axes.dtype)
        for some, groups in zip(chosen[own].split(BLOCK), where[own].split(BLOCK), strict=True):
            total.index_add_(0, groups, self.axes.coordinates(self.front.phi(self.items[some].float())))
        return ranks.total(total).div_(torch.bincount(where, minlength=len(total))[:, None])


def partners(
    sides: Mapping[str, Side],
    links: Mapping[Pair, tuple[Tensor, Tensor]],
    alone: Mapping[str, Tensor],
    rows: int,
) -> dict[str, Tensor]:
    """Modality -> at most ``rows`` of its groups without a link.

    Args:
        links: (a, b) -> ((p, 2) pairs of groups, (p,) weights). alone: modality -> groups without any, in the order in
            which they are drawn.
    """
    drawn = {m: order[: rows - rows // 2] if len(order) > rows else order for m, order in alone.items()}
    near: dict[str, list[Tensor]] = {m: [] for m in alone}
    for (a, b), (pairs, weight) in links.items():
        if len(pairs) >= FEWEST_LINKS and max(len(alone[a]), len(alone[b])) > rows:
            maps = _maps(sides[a], sides[b], pairs[:MOST_LINKS], weight[:MOST_LINKS])
            for m, other, here, there in ((a, b, *maps), (b, a, *maps[::-1])):
                if len(alone[m]) > rows and len(drawn[other]):
                    near[m].append(_nearest(sides[m], here, alone[m], sides[other], there, drawn[other]))
    return {m: _filled(order, drawn[m], near[m], rows) for m, order in alone.items()}


def _filled(order: Tensor, drawn: Tensor, near: list[Tensor], rows: int) -> Tensor:
    """What was drawn, then what is near, as many for each other side, then what would be drawn next."""
    each = -(-(rows // 2) // max(1, len(near)))
    every = torch.cat([drawn, *(n[:each] for n in near), order]).numpy()
    first = np.unique(every, return_index=True)[1]
    return torch.from_numpy(every[np.sort(first)[:rows]])


def _maps(a: Side, b: Side, pairs: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 maps (r, k) of coordinates into the canonical space of these links."""
    rows = []
    for side, groups in ((a, pairs[:, 0]), (b, pairs[:, 1])):
        wanted = _mask(side, groups)
        rows.append(side.means(wanted)[wanted.long().cumsum(0)[groups] - 1])
    cross = cross_covariance(rows[0], rows[1], weight=weight)
    fit = canonical([a.axes, b.axes], {(0, 1): cross}, WIDTH, RIDGE)
    left, right = (s.axes.scale(RIDGE)[:, None] * d for s, d in zip((a, b), fit.directions, strict=True))
    return left, right


def _nearest(side: Side, into: Tensor, alone: Tensor, other: Side, across: Tensor, drawn: Tensor) -> Tensor:
    """The groups of the items nearest to each drawn group of the other side, among those without a link."""
    queries = normalize((other.means(_mask(other, drawn)) @ across).float())
    free = _mask(side, alone)
    best, found = torch.full((len(queries),), -torch.inf), torch.zeros(len(queries), dtype=torch.long)
    for start in range(0, len(side.items), NEAR):
        there = start + free[side.place[start : start + NEAR]].nonzero().flatten()
        if len(there):
            value, where = (queries @ _embedded(side, into, there).T).max(1)
            better = value > best
            best, found = torch.where(better, value, best), torch.where(better, side.place[there[where]], found)
    return found


def _embedded(side: Side, into: Tensor, rows: Tensor) -> Tensor:
    """Some items as unit rows of the canonical space, in float32 and one product."""
    whole = (side.axes.axes @ into).float()
    return normalize(side.front.phi(side.items[rows].float()) @ whole - side.axes.mean.float() @ whole)


def _mask(side: Side, groups: Tensor) -> Tensor:
    mask = torch.zeros(int(side.place.max()) + 1, dtype=torch.bool)
    mask[groups] = True
    return mask
