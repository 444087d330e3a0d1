"""Matching where there are more rows without a link than a plan can hold: a few of one side among all of the other.

Of 100,000 rows a side, 8,192 drawn of each have 8 % of their partners among each other, and a plan must send the other
mass to strangers. So rows are drawn of one side alone, and each is matched with its nearest ones among all of the
other, softly: p_ij = exp((s_ij - r_j) / epsilon) / sum over the NEAREST j, in time linear in the rows. It is a plan
whose columns may take what they like; but r_j, the mean cosine of j to the CROWD nearest of the rows that are matched,
holds back what would draw many of them, as a column's potential does (CSLS: Conneau et al. 2018, section 2.3).
Each round asks twice as many rows as the one before: what follows overwrites the noise of the first ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from ..geometry.correlation import PrincipalAxes
from ..geometry.neighbours.rough import near
from ..model.heads import FeatureMap
from ..training import ranks
from ..views import Pair
from .base import at_most

BLOCK, CACHED = 1 << 15, 1 << 12  # rows read at once, and so few that they are in the cache from step to step
SOUGHT = 1 << 17  # rows among which matches are sought at once
ASKED = 1 << 15  # rows of a side that are matched in the last round, or more, see `asked_among`; of a crowd at most
FEWEST = 1024  # and in the first rounds at least
NEAREST, CROWD = 8, 10  # rows of the other side between which a row is shared, and rows near one by which it is a hub
WIDTH = 64  # of the space in which they are found


class Side(NamedTuple):
    """A modality: its items, the group of each, the front of its head, and principal axes behind that."""

    items: Tensor
    place: Tensor
    front: FeatureMap
    axes: PrincipalAxes

    def means(self, wanted: Tensor) -> Tensor:
        """(wanted groups, r) means of the coordinates of each group's items; ``wanted``: mask of groups."""
        return self._means(wanted, self.axes.coordinates)

    def centred(self, phi: Tensor) -> Tensor:
        """(n, d) items behind the front as they are turned onto the axes, in float32."""
        return phi.float() - self.axes.mean.float()

    def centred_means(self, wanted: Tensor) -> Tensor:
        """(wanted groups, d) means of each group's items, centred."""
        return self._means(wanted, self.centred)

    def _means(self, wanted: Tensor, turned: Callable[[Tensor], Tensor]) -> Tensor:
        chosen = wanted[self.place].nonzero().flatten()
        where = (wanted.long().cumsum(0) - 1)[self.place[chosen]]
        own = ranks.share(len(chosen))
        empty = turned(self.front.phi(self.items[:0].float()))
        total = empty.new_zeros(int(wanted.sum()), empty.shape[1])
        for some, groups in zip(chosen[own].split(BLOCK), where[own].split(BLOCK), strict=True):
            total.index_add_(0, groups, turned(self.front.phi(self.items[some].float())))
        return ranks.total(total).div_(torch.bincount(where, minlength=len(total))[:, None])

    def mask(self, groups: Tensor) -> Tensor:
        """(g,) whether a group is among these."""
        mask = torch.zeros(int(self.place.max()) + 1, dtype=torch.bool)
        mask[groups] = True
        return mask

    def embedded(self, rows: Tensor, into: Tensor) -> Tensor:
        """Some items as unit rows of a space; ``into``: (d, k) from behind the front."""
        origin = self.axes.mean.float() @ into
        parts = [self.front.phi(self.items[some].float()) @ into - origin for some in rows.split(CACHED)]
        return normalize(torch.cat(parts))

    def shared(self, rows: Tensor, weight: Tensor) -> Tensor:
        """(n, d) weighted means of some items, (n, k) each, centred; weights of a row sum to 1."""
        means = []
        for some, part in zip(rows.split(BLOCK // NEAREST), weight.split(BLOCK // NEAREST), strict=True):
            once, place = torch.unique(some, return_inverse=True)
            phi = self.front.phi(self.items[once].float())
            means.append(embedding_bag(place, phi, per_sample_weights=part, mode="sum"))
        return self.centred(torch.cat(means))


@dataclass(frozen=True, eq=False)
class Everyone:
    """All rows of all modalities, and those without a link.

    Args:
        sides: modality -> its items. ids: modality -> (g,) group of each place.
        free: (a, b) -> places of a and of b without a link to the other, where these are more than a plan holds.
        asked: rows that are drawn of either side to be matched in the last round, at most: the mean over fewer is
            noisier.
    """

    sides: Mapping[str, Side]
    ids: Mapping[str, Tensor]
    free: Mapping[Pair, tuple[Tensor, Tensor]]
    asked: int

    def without(self, groups: Tensor) -> Everyone:
        """The same, but no row of these groups."""

        def stay(m: str, places: Tensor) -> Tensor:
            return places[~torch.isin(self.ids[m][places], groups)]

        return replace(self, free={(a, b): (stay(a, x), stay(b, y)) for (a, b), (x, y) in self.free.items()})

    def moment(self, pair: Pair, into: Mapping[str, Tensor], epsilon: float, seed: int, rounds_left: int = 0) -> Tensor:
        """(r_a, r_b) mean of x y^T over rows x that are drawn of one side and their matches y among all of the other.

        Both ways; of a side with more rows than the other not all can have a partner, and it counts so much less.

        Args:
            into: modality -> (r, k) map of coordinates into the space in which rows are compared, by cosine.
            rounds_left: that follow; each halves the rows that are drawn, down to FEWEST.
        """
        (a, b), (left, right) = pair, self.free[pair]
        into = {m: (self.sides[m].axes.axes @ into[m]).float() for m in pair}
        asked = min(self.asked, max(FEWEST, self.asked >> rounds_left))
        one = self._matched(a, at_most(left, asked, seed), b, right, into, epsilon)
        other = self._matched(b, at_most(right, asked, seed + 1), a, left, into, epsilon).T
        share = [min(1.0, len(right) / len(left)), min(1.0, len(left) / len(right))]
        return (share[0] * one + share[1] * other) / sum(share)

    def _matched(
        self, m: str, asked: Tensor, other: str, there: Tensor, into: Mapping[str, Tensor], epsilon: float
    ) -> Tensor:
        own, others = self.sides[m], self.sides[other]
        rows = own.centred_means(own.mask(asked))
        queries = normalize(rows @ into[m])
        score, item = nearest(queries, others, there, into[other])
        score -= crowding(item, queries, others, into[other])
        shared = others.shared(item, (score / epsilon).softmax(1))
        return own.axes.axes.T @ (rows.T @ shared / len(rows)).double() @ others.axes.axes


def asked_among(rows: int, linked: int = 0) -> int:
    """Rows of a side that are matched in the last round: ASKED among 100,000, as many again for each factor of ten.

    The more rows there are, the fewer of the matches are partners, and the more of them it takes. Where 200 for each
    link are more than 100,000, ASKED are enough among so many: links tell the rest.
    """
    return round(ASKED * max(1.0, math.log10(rows / max(10_000, 20 * linked))))


def nearest(queries: Tensor, side: Side, groups: Tensor, into: Tensor) -> tuple[Tensor, Tensor]:
    """(q, k) cosines and items of the NEAREST items of these groups to each unit row, or most of these (`near`)."""
    score, item = queries.new_empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.long)
    for rows in side.mask(groups)[side.place].nonzero().flatten().split(SOUGHT):
        found, where = near(queries, side.embedded(rows, into), NEAREST)
        score, best = torch.cat([score, found], 1).topk(min(NEAREST, score.shape[1] + found.shape[1]))
        item = torch.cat([item, rows[where]], 1).gather(1, best)
    return score, item


def crowding(item: Tensor, queries: Tensor, side: Side, into: Tensor) -> Tensor:
    """Of each of these items the mean cosine to its CROWD nearest unit rows, of ASKED at most."""
    once, place = torch.unique(item, return_inverse=True)
    crowd = queries[:: -(-len(queries) // ASKED)]
    parts = (near(side.embedded(some, into), crowd, CROWD)[0].mean(1) for some in once.split(BLOCK))
    return torch.cat(list(parts))[place]
