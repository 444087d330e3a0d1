"""The data of one cell: which training items there are, which are linked or lost, and what is lost at test time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views, hide_links, keep_items, linked_groups
from ..views.presence import by_group
from .setting import Setting


@dataclass(frozen=True, eq=False)
class Draw:
    """What a setting and a seed make of the training groups.

    Args:
        groups: ids that take part. present: modality -> ids that keep it. linked: ids whose links are known.
    """

    groups: Tensor
    present: Mapping[str, Tensor]
    linked: Tensor

    @property
    def pairs(self) -> int:
        """Groups with known links of two modalities at least."""
        kept = sum(torch.isin(self.linked, ids).long() for ids in self.present.values())
        return int((kept >= 2).sum()) if isinstance(kept, Tensor) else 0


def draw(setting: Setting, x: Views, seed: int, anchor: str | None = None) -> Draw:
    """Draw who takes part. Items, links and losses (but of the anchor) of one seed are nested over numbers and rates.

    Args:
        x: training views with all links.
        anchor: modality that stays where an item would lose all of three and more; None: the first.

    Raises:
        ModalignError: more items or pairs asked for than there are.
    """
    ids = x.group_ids()
    order = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(1000 + seed))]
    if setting.items is not None:
        if not 1 <= setting.items <= len(ids):
            raise ModalignError(f"{setting.items} items were asked for, but the training data have {len(ids)}")
        order = order[: setting.items]
    chosen = order.sort().values
    part = x.groups(chosen)
    whole = {m: torch.unique(g.long()) for m, g in part.group.items()}
    if setting.regime == "disjoint":
        present = losses(chosen, whole, setting.missing, 2000 + seed, anchor, ids)
        return Draw(chosen, present, chosen)
    if setting.regime == "hidden":
        pairs = setting.pairs
        if pairs is None:
            pairs = round((1 - setting.missing) * len(linked_groups(part)))
        return Draw(chosen, whole, linked_groups(part, pairs, seed))
    return Draw(chosen, whole, chosen)


def losses(
    ids: Tensor,
    whole: Mapping[str, Tensor],
    rate: float,
    seed: int,
    anchor: str | None = None,
    among: Tensor | None = None,
) -> dict[str, Tensor]:
    """Modality -> ids that keep it.

    Two modalities: an item keeps both with probability 1 - rate, else it loses one of them at random. More: each is
    lost independently at the rate. Where all that an item has would be lost the anchor stays, or the first it has.

    Args:
        ids: of the groups. whole: modality -> ids that have it.
        among: ascending ids of the larger set that ``ids`` are chosen from, whose draws they keep; default: ``ids``.

    Example:
        >>> ids = torch.arange(1000)
        >>> kept = losses(ids, {"a": ids, "b": ids}, 0.3, seed=0)
        >>> both = torch.isin(kept["a"], kept["b"]).sum()
        >>> 660 < int(both) < 740, len(torch.unique(torch.cat(list(kept.values()))))
        (True, 1000)
    """
    names = list(whole)
    draw = by_group(ids, len(names), seed, among)
    lost = draw < rate
    if len(names) == 2:
        lost = lost[:, :1] & ((draw[:, 1:] < 0.5) == torch.tensor([False, True]))
    have = torch.stack([torch.isin(ids, whole[m]) for m in names], 1)
    wanted = names.index(anchor) if anchor in names else 0
    stays = torch.where(have[:, wanted], wanted, have.long().argmax(1))
    bare = have.any(1) & ~(have & ~lost).any(1)
    lost[bare, stays[bare]] = False
    return {m: whole[m][torch.isin(whole[m], ids[~lost[:, k]])] for k, m in enumerate(names)}


def training(x: Views, p: Draw, seed: int) -> Views:
    """The training views of a draw; items without known links get ids and places that say nothing of their partners."""
    part = keep_items(x.groups(p.groups), p.present)
    if len(p.linked) == len(p.groups):
        return part
    hidden = hide_links(part, p.linked)
    generator = torch.Generator().manual_seed(3000 + seed)
    group, order = {}, {}
    for m, g in hidden.group.items():
        free = torch.unique(g[~torch.isin(g, p.linked)])
        renamed = free[torch.randperm(len(free), generator=generator)]
        where = torch.searchsorted(free, g).clamp(max=max(0, len(free) - 1))
        group[m] = torch.where(torch.isin(g, p.linked), g, renamed[where]) if len(free) else g
        order[m] = torch.randperm(len(g), generator=generator)
    return replace(hidden, group=group).select(order)


def dev_views(dev: Views, setting: Setting, pairs: int, seed: int) -> Views:
    """The dev groups that settings are chosen on: all, or a share of the number of training pairs, at least 4."""
    if setting.dev is None:
        return dev
    most = len(linked_groups(dev))
    return dev.groups(linked_groups(dev, min(most, max(4, round(setting.dev * pairs))), seed))
