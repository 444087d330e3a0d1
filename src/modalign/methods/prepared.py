"""Training views as every closed form wants them: coordinates on principal axes, one row per group, known links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError
from ..geometry.correlation import Canonical, PrincipalAxes, principal_axes
from ..model import Heads
from ..model.heads import FeatureMap, Head, Projection
from ..views import Pair, Views, aligned, connected_groups
from ..views.groups import join

FEWEST_ANCHORS = 10


@dataclass(frozen=True)
class Prepared:
    """What closed forms work on.

    Args:
        features: modality -> front of the head, whose ``phi`` made the rows; no mean or basis set yet.
        principal: modality -> principal axes of phi over all items.
        rows: modality -> (g_m, r_m) float64 coordinates, the mean of each group's items.
        ids: modality -> (g_m,) group of each row, ascending; with links those of ``connected_groups``, by item.
        links: (a, b) -> ((p, 2) row pairs, (p,) weights). A linked group counts once however many items it has.
    """

    features: Mapping[str, FeatureMap]
    principal: Mapping[str, PrincipalAxes]
    rows: Mapping[str, Tensor]
    ids: Mapping[str, Tensor]
    links: Mapping[Pair, tuple[Tensor, Tensor]]

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

    def anchors(self, most: int, seed: int) -> dict[str, Tensor]:
        """Modality -> (k,) rows of the same k <= most things, drawn at random from more; -1 where one is absent.

        Things that every modality has; where those are fewer than ``FEWEST_ANCHORS``, as in a chain of pairs, things
        that two modalities have.
        """
        if len(self.rows) == 2:
            (a, b), (pairs, _) = next(iter(self.links.items()))
            found = {a: pairs[:, 0], b: pairs[:, 1]}
        else:
            things, holders = torch.unique(torch.cat([torch.unique(i) for i in self.ids.values()]), return_counts=True)
            whole = holders == len(self.ids)
            shared = things[whole if int(whole.sum()) >= FEWEST_ANCHORS else holders > 1]
            found = {m: _first(ids, shared) for m, ids in self.ids.items()}
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


def prepare(x: Views, root: bool = False, unit: bool = False, most: int = 512) -> Prepared:
    """Fit the fronts of the heads and bring the views on their principal axes.

    Args:
        x: features, paired and unpaired items mixed.
        root: signed square root of modalities without negative values (pooled activations).
        unit: scale rows to unit length before anything else.
        most: principal axes to keep per modality; what lies beyond is below the ridge and only costs time.

    Raises:
        ModalignError: rows that are not finite or all zero, or a modality with fewer than two items.
    """
    x.validate()
    features, principal, rows, ids = {}, {}, {}, {}
    tied = connected_groups(x)
    for m, items in x.data.items():
        items = items.float()
        features[m] = FeatureMap(items.shape[1], root=root and bool((items >= 0).all()), unit=unit)
        phi = features[m].phi(items)
        if len(phi) < 2:
            raise ModalignError(f"'{m}' has {len(phi)} items: at least two are needed")
        principal[m] = principal_axes(phi, most=most)
        rows[m], ids[m] = principal[m].coordinates(phi), tied[m]
        if not x.links:
            means = aligned(Views({m: rows[m]}, {m: ids[m]}))
            rows[m], ids[m] = means.data[m], means.group
    links = {}
    for a, b in x.pairs():
        pairs = x.paired(a, b) if x.links else join(ids[a], ids[b])
        links[a, b] = (pairs, _weights(pairs, len(rows[a]), len(rows[b])))
    return Prepared(features, principal, rows, ids, links)


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
