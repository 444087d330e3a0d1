"""Training views as every closed form wants them: coordinates on principal axes, one row per group, known links."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError
from ..geometry.correlation import Canonical, PrincipalAxes, principal_axes_of
from ..model import Heads
from ..model.heads import FeatureMap, Head, Projection
from ..training import ranks
from ..views import Pair, Views, connected_groups
from ..views.groups import join
from .base import at_least_two, drawn, order_of
from .meeting import BLOCK, Everyone, Side, asked_among

FEWEST_ANCHORS = 10
MOST_ROWS = 8192  # unlinked rows of a modality that are kept: a kernel of 8192 x 8192 float32 takes 268 MB
MOST_BANK = 8192  # rows of a smoothing bank


@dataclass(frozen=True, eq=False)
class Prepared:
    """What closed forms work on.

    Args:
        features: modality -> front of the head, whose ``phi`` made the rows; no mean or basis set yet.
        principal: modality -> principal axes of phi over all items.
        rows: modality -> (g_m, r_m) float64 coordinates, the mean of each group's items.
        ids: modality -> (g_m,) group of each row, ascending; with links those of ``connected_groups``, by item.
            Of more groups than are kept, some of those without a link.
        links: (a, b) -> ((p, 2) row pairs, (p,) weights). A linked group counts once however many items it has.
        free: (a, b) -> how many rows of either side have no link to the other, those left out included.
        bank: modality -> rows towards which smoothing moves, drawn from all. banked: the group of each.
        everyone: all rows, those that are not kept too, to be matched where asked for.
        memo: what is worth computing once for these rows.
        seen: coordinates of new items, for all rows on the same axes; with the items, so that their ids stay theirs.
    """

    features: Mapping[str, FeatureMap]
    principal: Mapping[str, PrincipalAxes]
    rows: Mapping[str, Tensor]
    ids: Mapping[str, Tensor]
    links: Mapping[Pair, tuple[Tensor, Tensor]]
    free: Mapping[Pair, tuple[int, int]]
    bank: Mapping[str, Tensor]
    banked: Mapping[str, Tensor]
    everyone: Everyone | None = None
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    seen: dict[tuple[str, int], tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def between(self, a: str, b: str) -> tuple[Tensor, Tensor]:
        """Links of a and b, whichever way round they are kept: (p, 2) rows of a and of b, (p,) weights."""
        if (a, b) in self.links:
            return self.links[a, b]
        pairs, weight = self.links[b, a]
        return pairs.flip(1), weight

    def unlinked(self, a: str, b: str) -> Tensor:
        """Rows of a that have no link to b."""
        alone = torch.ones(len(self.rows[a]), dtype=torch.bool)
        alone[self.between(a, b)[0][:, 0]] = False
        return alone.nonzero().flatten()

    def coordinates(self, m: str, x: Tensor) -> Tensor:
        """FeatureMap of one modality as rows."""
        return self.principal[m].coordinates(self.features[m].phi(x))

    def new(self, m: str, x: Tensor) -> Tensor:
        """`coordinates`, found once for the same items."""
        if (m, id(x)) not in self.seen:
            self.seen[m, id(x)] = x, self.coordinates(m, x)
        return self.seen[m, id(x)][1]

    def tilted(self, tilt: float) -> Prepared:
        """The same with ridges of (d / geometric mean of d) ** tilt times the size, d the features of a modality.

        The unit of the ridge is the mean variance of a feature, so that many features of little variance each are held
        back least; a tilt of 1 makes it their total variance.
        """
        if not tilt:
            return self
        if ("tilted", tilt) not in self.memo:
            usual = sum(math.log(len(a.mean)) for a in self.principal.values()) / len(self.principal)
            times = {m: math.exp(tilt * (math.log(len(a.mean)) - usual)) for m, a in self.principal.items()}
            axes = {m: a._replace(total=a.total * times[m]) for m, a in self.principal.items()}
            self.memo["tilted", tilt] = replace(self, principal=axes, memo={})
        return self.memo["tilted", tilt]

    def thinned(self, most: int, seed: int) -> Prepared:
        """All rows with a link, and at most so many of the others, drawn at random, of each side for itself.

        Among everyone no more than four times as many are asked for their matches.
        """
        kept = {}
        for k, (m, x) in enumerate(self.rows.items()):
            alone = _alone(m, len(x), self.links)
            kept[m] = torch.ones(len(x), dtype=torch.bool)
            kept[m][drawn(alone, seed + k)[most:]] = False
        if all(bool(mask.all()) for mask in kept.values()):
            return self
        everyone = None if self.everyone is None else replace(self.everyone, asked=min(self.everyone.asked, 4 * most))
        return replace(self._only(kept), everyone=everyone)

    def without(self, groups: Tensor) -> Prepared:
        """The same principal, but no row, link or row of the bank of these groups; not for explicit links."""
        p = self._only({m: ~torch.isin(ids, groups) for m, ids in self.ids.items()})
        gone = {q: len(self.unlinked(*q)) - len(p.unlinked(*q)) for a, b in self.links for q in ((a, b), (b, a))}
        stays = {m: ~torch.isin(ids, groups) for m, ids in self.banked.items()}
        return replace(
            p,
            free={(a, b): (n - gone[a, b], m - gone[b, a]) for (a, b), (n, m) in self.free.items()},
            bank={m: rows[stays[m]] for m, rows in self.bank.items()},
            banked={m: ids[stays[m]] for m, ids in self.banked.items()},
            everyone=None if self.everyone is None else self.everyone.without(groups),
        )

    def _only(self, kept: Mapping[str, Tensor]) -> Prepared:
        """Some rows, and the links between them."""
        return replace(
            self,
            rows={m: self.rows[m][mask] for m, mask in kept.items()},
            ids={m: self.ids[m][mask] for m, mask in kept.items()},
            links=_moved(self.links, kept),
            memo={},
        )

    def anchors(self, most: int, seed: int) -> dict[str, Tensor]:
        """Modality -> (k,) rows of the same k <= most things, drawn at random from more; -1 where one is absent.

        Of three modalities and more, things that two or more have.
        """
        if len(self.rows) == 2:
            (a, b), (pairs, _) = next(iter(self.links.items()))
            found = {a: pairs[:, 0], b: pairs[:, 1]}
        else:
            things, holders = torch.unique(torch.cat([torch.unique(i) for i in self.ids.values()]), return_counts=True)
            found = {m: _first(ids, things[holders > 1]) for m, ids in self.ids.items()}
        count = len(next(iter(found.values())))
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].sort().values
        return {m: rows[order] for m, rows in found.items()}

    def heads(self, fit: Canonical) -> Heads:
        """Linear heads of a canonical solution."""
        heads = {}
        for k, m in enumerate(self.modalities):
            front = self.front(m, fit.means[k], fit.bases[k])
            heads[m] = Head(front, linear_map(fit.directions[k]))
        return Heads(heads).eval()

    def front(self, m: str, mean: Tensor, basis: Tensor, **settings: Any) -> FeatureMap:
        """The front of a head with mean and basis set, and room for what the settings ask for."""
        features = FeatureMap(**{**self.features[m].settings, "rank": basis.shape[1], **settings})
        features.mean.copy_(mean)
        features.basis.copy_(basis)  # type: ignore[union-attr]
        return features


def linear_map(weight: Tensor) -> Projection:
    """The map z = normalise(c W)."""
    back = Projection(weight.shape[0], weight.shape[1])
    with torch.no_grad():
        back.weight.copy_(weight)
    return back


def prepare(
    x: Views,
    root: bool = False,
    unit: bool = False,
    most: int = 512,
    rows: int | None = None,
    seed: int = 0,
    meet: bool = False,
) -> Prepared:
    """Fit the fronts of the heads and bring the views on their principal axes.

    Features are read in blocks, and only what is kept is held: their number may exceed memory. Of several ranks each
    takes the sums over its share of the rows, and all end with the sums over all.

    Args:
        x: features, paired and unpaired items mixed.
        root: signed square root of modalities without negative values (pooled activations).
        unit: scale rows to unit length before anything else.
        most: principal axes to keep per modality; what lies beyond is below the ridge and only costs time.
        rows: of groups without any link, how many to keep per modality at most; None: MOST_ROWS.
        seed: draws them, and the bank.
        meet: where not all are kept, matches are sought among all (`meeting`), not by a plan of those that are.

    Raises:
        ModalignError: rows that are not finite or all zero, or a modality with fewer than two items.
    """
    x.validate()
    at_least_two(x)
    features, principal = {}, {}
    for m, items in x.data.items():
        positive = root and all(bool((part >= 0).all()) for part in items.split(BLOCK))
        features[m] = FeatureMap(items.shape[1], root=positive, unit=unit)
        try:
            principal[m] = _axes(items, features[m], most)
        except ModalignError as problem:
            narrow = " (and 1 feature(s) alone)" if items.shape[1] == 1 else ""
            raise ModalignError(f"'{m}' with {len(items)} rows: {problem}{narrow}") from None
    ids, place = connected_groups(x), {m: torch.arange(len(items)) for m, items in x.data.items()}
    if not x.links:  # with links every item is a row of its own
        for m, group in ids.items():
            ids[m], place[m] = torch.unique(group, return_inverse=True)
    links, free = {}, {}
    for a, b in x.pairs():
        pairs = x.paired(a, b) if x.links else join(ids[a], ids[b])
        links[a, b] = (pairs, _weights(pairs, len(ids[a]), len(ids[b])))
        free[a, b] = (len(ids[a]) - len(pairs[:, 0].unique()), len(ids[b]) - len(pairs[:, 1].unique()))
    rows = MOST_ROWS if rows is None else rows
    sides = {m: Side(x[m], place[m], features[m], principal[m]) for m in x.modalities}
    # Each side is drawn for itself, so that the order of rows without a link says nothing about partners.
    alone = {m: drawn(_alone(m, len(ids[m]), links), seed + k) for k, m in enumerate(ids)}
    kept, banks, banked, out = {}, {}, {}, {}
    for m, side in sides.items():
        kept[m], banked[m] = torch.ones(len(ids[m]), dtype=torch.bool), torch.zeros(len(ids[m]), dtype=torch.bool)
        kept[m][alone[m]] = False
        kept[m][alone[m][:rows]] = True
        banked[m][order_of(len(ids[m]), seed)[:MOST_BANK]] = True
        either = kept[m] | banked[m]
        coordinates = side.means(either)
        out[m], banks[m] = (coordinates[some[either]] for some in (kept[m], banked[m]))
    kept_ids, banked_ids = ({m: ids[m][some[m]] for m in ids} for some in (kept, banked))
    beyond = _beyond(links, ids, rows) if meet else {}
    most = max((len(side) for pair in beyond.values() for side in pair), default=0)
    linked = min((len(ids[a]) - free[a, b][0] for a, b in beyond), default=0)
    every = Everyone(sides, ids, beyond, asked_among(most, linked)) if beyond else None
    return Prepared(features, principal, out, kept_ids, _moved(links, kept), free, banks, banked_ids, every)


def _axes(items: Tensor, front: FeatureMap, most: int) -> PrincipalAxes:
    """Principal axes of phi, each rank reading its share."""
    blocks = (front.phi(part.float()) for part in items[ranks.share(len(items))].split(BLOCK) if len(part))
    if ranks.world() == 1:
        return principal_axes_of(blocks, most)
    return principal_axes_of(blocks, most, front.phi(items[:BLOCK].float()).double().mean(0), ranks.total)


def _alone(m: str, count: int, links: Mapping[Pair, tuple[Tensor, Tensor]]) -> Tensor:
    """Rows of a modality without any link."""
    alone = torch.ones(count, dtype=torch.bool)
    for pair, (pairs, _) in links.items():
        if m in pair:
            alone[pairs[:, pair.index(m)]] = False
    return alone.nonzero().flatten()


def _beyond(
    links: Mapping[Pair, tuple[Tensor, Tensor]], ids: Mapping[str, Tensor], rows: int
) -> dict[Pair, tuple[Tensor, Tensor]]:
    """Rows of either side without a link to the other, of pairs with more of them than are kept."""
    free = {
        (a, b): (_alone(a, len(ids[a]), {(a, b): known}), _alone(b, len(ids[b]), {(a, b): known}))
        for (a, b), known in links.items()
    }
    return {pair: (x, y) for pair, (x, y) in free.items() if max(len(x), len(y)) > rows and min(len(x), len(y)) > 0}


def _moved(
    links: Mapping[Pair, tuple[Tensor, Tensor]], kept: Mapping[str, Tensor]
) -> dict[Pair, tuple[Tensor, Tensor]]:
    """The links between kept rows, with the places that these have among the kept ones."""
    place = {m: mask.long().cumsum(0) - 1 for m, mask in kept.items()}
    out = {}
    for (a, b), (pairs, weight) in links.items():
        both = kept[a][pairs[:, 0]] & kept[b][pairs[:, 1]]
        pairs = pairs[both]
        out[a, b] = torch.stack([place[a][pairs[:, 0]], place[b][pairs[:, 1]]], 1), weight[both]
    return out


def _first(ids: Tensor, wanted: Tensor) -> Tensor:
    """(k,) the first place of each wanted id, -1 where there is none."""
    order = torch.argsort(ids, stable=True)
    place = order[torch.searchsorted(ids[order], wanted).clamp(max=len(ids) - 1)]
    return torch.where(ids[place] == wanted, place, -1)


def _weights(pairs: Tensor, n: int, m: int) -> Tensor:
    """1 / (links of the left row x links of the right row), so that a linked group counts once."""
    left = torch.bincount(pairs[:, 0], minlength=n)[pairs[:, 0]]
    right = torch.bincount(pairs[:, 1], minlength=m)[pairs[:, 1]]
    return 1.0 / (left * right).double()
