"""Pair budgets: training data in which only some groups are known to be the same thing.

"Hidden": both sides of an item stay, but the link between them is unknown. "Disjoint": an item loses a modality,
and what is lost does not exist elsewhere. Both leave unpaired items, which transport and neighbourhoods learn from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModalignError
from .views import Views


def linked_groups(x: Views, pairs: int | None, seed: int = 0) -> Tensor:
    """Groups that keep their links: a random set, nested over budgets for one seed.

    Args:
        x: training views. Candidates are the groups that have every modality.
        pairs: how many, 0 <= pairs <= candidates; None: all of them.
        seed: of the draw. Sets of one seed are nested: that of 100 pairs lies in that of 200.

    Returns: (pairs,) group ids.

    Raises:
        ModalignError: more pairs asked for than there are.

    Example:
        >>> x = Views({"a": torch.eye(4), "b": torch.eye(4)}, {"a": torch.arange(4), "b": torch.arange(4)})
        >>> small, large = linked_groups(x, 2), linked_groups(x, 3)
        >>> len(small), bool(torch.isin(small, large).all())
        (2, True)
    """
    whole = x.group_ids()
    for ids in x.group.values():
        whole = whole[torch.isin(whole, ids.long())]
    if pairs is None:
        return whole
    if not 0 <= pairs <= len(whole):
        raise ModalignError(f"{pairs} pairs were asked for, but the training data have {len(whole)} complete groups")
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    return whole[order[:pairs]]


def hide_links(x: Views, keep: Tensor) -> Views:
    """The same items, but only the groups in ``keep`` stay linked across modalities.

    In every other group, each modality's items get a group id of their own, so several captions of one unlinked
    photo still belong together, but to no photo.

    Example:
        >>> x = Views({"a": torch.eye(2), "b": torch.eye(2)}, {"a": torch.arange(2), "b": torch.arange(2)})
        >>> {m: g.tolist() for m, g in hide_links(x, torch.tensor([1])).group.items()}
        {'a': [0, 1], 'b': [2, 1]}
    """
    ids = x.group_ids()
    span = int(ids.max()) + 1 - min(0, int(ids.min())) if len(ids) else 1
    group = {
        m: torch.where(torch.isin(g.long(), keep.to(g.device)), g.long(), g.long() + k * span)
        for k, (m, g) in enumerate(x.group.items())
    }
    return Views(x.data, group, None, x.row)
