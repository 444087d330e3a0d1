"""What metrics of whole sets share: one row per common group, the value of shuffled pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..geometry.procrustes import spread
from ..geometry.similarity import permuted
from ..views import Views, aligned


class SameItems(NamedTuple):
    """x (g, d_a) and y (g, d_b): row i of both belongs to group[i] (g,), ascending."""

    x: Tensor
    y: Tensor
    group: Tensor


def same_items(z: Views, a: str, b: str, pick: str = "first") -> SameItems:
    """One row per group that both modalities have.

    Args:
        z: views. a, b: modalities; their widths may differ.
        pick: the "first" item of a group, or the "mean" of its items.

    Example:
        >>> z = Views({"a": torch.eye(3), "b": torch.eye(2)}, {"a": torch.tensor([5, 5, 6]), "b": torch.tensor([5, 7])})
        >>> same_items(z, "a", "b").group.tolist()
        [5]
    """
    both = aligned(z, (a, b), pick).complete()
    return SameItems(both.data[a], both.data[b], both.group)


def item_sets(
    z: Views, pick: str = "first", *, least: int, rows: int | None = None, varied: bool = False
) -> Iterator[tuple[str, str, SameItems]]:
    """What both modalities of every pair have, names in alphabetical order: what a measure of two sets is taken of.

    Args:
        z: views. pick: one row per group: its "first" item or the "mean" of its items.
        least: pairs with fewer common groups are left out. rows: at most so many groups enter; None: all.
        varied: leave out pairs of which one side has collapsed to one point.

    Example:
        >>> z = Views.from_arrays(b=torch.eye(3), a=torch.eye(3))
        >>> [(a, b, len(items.group)) for a, b, items in item_sets(z, least=2, rows=2)]
        [('a', 'b', 2)]
    """
    for pair in z.pairs():
        a, b = sorted(pair)
        items = same_items(z, a, b, pick)
        items = items if rows is None else few_rows(items, rows)
        if len(items.group) >= least and not (varied and 0.0 in (spread(items.x), spread(items.y))):
            yield a, b, items


def few_rows(items: SameItems, rows: int) -> SameItems:
    """At most ``rows`` of the items, drawn at random (the same ones each time), in their order.

    Example:
        >>> few_rows(SameItems(torch.eye(3), torch.eye(3), torch.arange(3)), 2).group.shape
        torch.Size([2])
    """
    if len(items.group) <= rows:
        return items
    chosen = torch.randperm(len(items.group), generator=torch.Generator().manual_seed(0))[:rows].sort().values
    return SameItems(*(v[chosen.to(v.device)] for v in items))


def shuffled(measure: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, times: int) -> float | None:
    """Mean of a measure over random pairings of the rows: its value by chance. None for no times."""
    if times < 1:
        return None
    return sum(permuted(measure, x, y, times).tolist()) / times
