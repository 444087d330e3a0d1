"""What settings are chosen by: training views, dev views, and training items that crowd around the dev items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..model import Heads
from ..training.loop import dev_recalls
from ..views import Views, composed, linked_groups, queries_present, task_views
from ..views.links import held_out
from .canonical_space import CanonicalSpace
from .local_scaling import USUALLY, roughly_leading, scalings, some, without_hubs
from .prepared import Prepared, prepare
from .tuning import crowded, score_heads

TRIAL_ROWS = 2048  # unlinked rows of a side with which settings are tried
CROWD = 2048  # training items of a modality among which dev items are found when hubs are removed


class Fold(NamedTuple):
    """Training views and the dev views that judge what is fitted to them.

    p: the training views. trial: the same with fewer rows, for trials. dev: paired views.
    crowd: training items, at most CROWD of each modality.
    target: modality that queries composed of the others search, and by which alone is judged; None: all directions.
    """

    p: Prepared
    trial: Prepared
    dev: Views
    crowd: Views
    target: str | None = None

    def without_hubs(self, heads: Heads, seed: int) -> Heads:
        """Heads with `LocalScaling` behind them, fitted to the training items."""
        return without_hubs(heads, self.crowd, seed=seed, target=self.target)

    def asked(self, z: Views) -> Views:
        """What is compared: all modalities, or composed queries beside the target."""
        return task_views(z, self.target)

    def recalls(self, heads: Heads) -> Tensor:
        """(g,) what each dev group adds to recall."""
        return self.recalls_of(heads.embed(self.dev))

    def recalls_of(self, z: Views) -> Tensor:
        """The same of embedded dev views."""
        return dev_recalls(self.asked(z))

    @torch.no_grad()
    def recalls_in(self, space: CanonicalSpace, dim: int, hubs: bool, seed: int) -> Tensor:
        """The same in a space of ``dim`` directions of the crowd, hubs removed where asked: quicker than with heads."""
        z, dev = space.embed_new(self.crowd), space.embed_new(self.dev)
        if next(iter(z.data.values())).shape[1] > dim:
            axes = roughly_leading(z.data, dim)
            z, dev = (v.map(lambda m, rows: normalize(rows @ axes, dim=1)) for v in (z, dev))
        found = scalings(z, z.modalities, seed=seed, target=self.target, usual=USUALLY) if hubs else None
        if found is None:
            return self.recalls_of(dev)
        fewer, last = found
        return self.recalls_of(dev.map(lambda m, rows: last[m](normalize(rows @ fewer, dim=1))))

    def score(self, heads: Heads) -> float:
        """Recall of dev partners."""
        return score_heads(heads, self.dev, self.target)

    @torch.no_grad()
    def crowded_recalls(self, heads: Sequence[Heads]) -> list[Tensor]:
        """(g,) what each dev group adds to recall among dev and training items: a small dev set alone has few hubs.

        Args:
            heads: whose fronts are the same, and differ in what is behind.
        """
        dev = self.dev.only(*[m for m in self.dev.modalities if m in heads[0].modalities])
        out = []
        front = {m: heads[0][m].features(rows) for m, rows in dev.data.items()}
        around = {m: heads[0][m].features(self.crowd[m]) for m in front if m in self.crowd}
        for h in heads:
            z, others = ({m: h[m].behind(c) for m, c in part.items()} for part in (front, around))
            found = self.asked(replace(dev, data=z, row=None))
            if self.target is not None:
                others = dict(composed(Views(others, {m: self.crowd.group[m] for m in others}), self.target).data)
            out.append(dev_recalls(crowded(found, found.data, others)))
        return out


def folds_of(
    x: Views, p: Prepared, dev: Views | None, seed: int, target: str | None = None, lost: float = 0.0
) -> list[Fold]:
    """The fold of given dev views, or folds of linked groups held out of training.

    A fifth of the linked groups is held out, three times below 300 groups; with fewer than 10 there is no fold.

    Args:
        x: training views. p: the same, prepared with root and unit rows. dev: given dev views.
        target: of the folds. lost: rate at which dev queries lose their parts.
    """

    def posed(views: Views) -> Views:
        return views if target is None else queries_present(views, target, lost, seed)

    if dev is not None:
        return [Fold(p, p.thinned(TRIAL_ROWS, seed), posed(dev), sampled(x, seed), target)]
    linked = len(linked_groups(x))
    out = []
    for k in range(0 if linked < 10 else 3 if linked < 300 else 1):
        groups = held_out(x, seed=seed + k)
        if x.links:
            ids = x.group_ids()
            part = prepare(x.groups(ids[~torch.isin(ids, groups)]), root=True, unit=True, seed=seed, meet=True)
        else:
            part = p.without(groups)
        held = posed(x.groups(groups))
        out.append(Fold(part, part.thinned(TRIAL_ROWS, seed), held, sampled(x, seed, groups), target))
    return out


def sampled(x: Views, seed: int, without: Sequence[int] | Tensor = ()) -> Views:
    """At most CROWD items of each modality, of groups that are not left out."""
    gone = torch.as_tensor(without, dtype=torch.long)
    rows = {}
    for m, group in x.group.items():
        free = (~torch.isin(group.long(), gone)).nonzero().flatten()
        rows[m] = free[some(len(free), CROWD, seed)]
    return x if all(len(rows[m]) == len(x[m]) for m in rows) else x.select(rows)


def within(x: Views, p: Prepared) -> Views:
    """The views of the rows that were kept when they were prepared; all of them where links are explicit."""
    kept = torch.unique(torch.cat(list(p.ids.values())))
    return x if x.links or len(kept) == len(x) else x.groups(kept)
