"""What settings are chosen by: training views, dev views, and training items that crowd around the dev items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..model import Heads
from ..training.loop import dev_recall
from ..views import Views, linked_groups
from ..views.links import held_out
from .local_scaling import some, without_hubs
from .prepared import Prepared, prepare
from .tuning import crowded

TRIAL_ROWS = 2048  # unlinked rows of a side with which settings are tried
CROWD = 2048  # training items of a modality among which dev items are found when hubs are removed


class Fold(NamedTuple):
    """Training views and the dev views that judge what is fitted to them.

    p: the training views. trial: the same with fewer rows, for trials. dev: paired views.
    crowd: training items, at most CROWD of each modality.
    """

    p: Prepared
    trial: Prepared
    dev: Views
    crowd: Views

    def without_hubs(self, heads: Heads, seed: int) -> Heads:
        """Heads with `LocalScaling` behind them, fitted to the training items."""
        return without_hubs(heads, self.crowd, seed=seed)

    @torch.no_grad()
    def crowded_recalls(self, heads: Sequence[Heads]) -> list[float]:
        """Recall of dev partners among dev and training items: a small dev set alone has few hubs.

        Args:
            heads: whose fronts are the same, and differ in what is behind.
        """
        dev = self.dev.only(*[m for m in self.dev.modalities if m in heads[0].modalities])
        out = []
        front = {m: heads[0][m].features(rows) for m, rows in dev.data.items()}
        around = {m: heads[0][m].features(self.crowd[m]) for m in front if m in self.crowd}
        for h in heads:
            z, others = ({m: h[m].behind(c) for m, c in part.items()} for part in (front, around))
            out.append(dev_recall(crowded(dev, z, others)))
        return out


def folds_of(x: Views, p: Prepared, dev: Views | None, seed: int) -> list[Fold]:
    """The fold of given dev views, or folds of linked groups held out of training.

    A fifth of the linked groups is held out, three times below 300 groups; with fewer than 10 there is no fold.

    Args:
        x: training views. p: the same, prepared with root and unit rows. dev: given dev views.
    """
    if dev is not None:
        return [Fold(p, p.thinned(TRIAL_ROWS, seed), dev, sampled(x, seed))]
    linked = len(linked_groups(x))
    out = []
    for k in range(0 if linked < 10 else 3 if linked < 300 else 1):
        groups = held_out(x, seed=seed + k)
        if x.links:
            ids = x.group_ids()
            part = prepare(x.groups(ids[~torch.isin(ids, groups)]), root=True, unit=True, seed=seed)
        else:
            part = p.without(groups)
        out.append(Fold(part, part.thinned(TRIAL_ROWS, seed), x.groups(groups), sampled(x, seed, groups)))
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
