"""One row per group and modality, side by side: what losses on tuples, geometry and robustness look at.

Widths may differ (``Aligned``); rows of one width can be stacked (``Stack``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..parameters import checked
from .groups import one_per_group
from .views import Views


class Stack(NamedTuple):
    """Rows of one width, side by side, for what sees whole tuples.

    data: (g, M, d); rows of absent modalities hold zeros and must be masked by ``present``.
    present: (g, M) bool. group: (g,) ids.
    """

    data: Tensor
    present: Tensor
    group: Tensor
    complete: bool = False
    """Whether every row is known to be present, without a look at the values."""

    def whole(self) -> Tensor:
        """(w, M, d) data of the groups that have every modality."""
        return self.data if self.complete else self.data[self.present.all(1)]


class Aligned(NamedTuple):
    """One row per group and modality, side by side; widths may differ.

    group: (g,) ids, ascending. data: modality -> (g, d_m), zeros where absent. present: (g, M) bool, in data's order.

    Example:
        >>> x = Views({"a": torch.eye(2), "b": torch.ones(1, 3)}, {"a": torch.tensor([5, 7]), "b": torch.tensor([7])})
        >>> rows = aligned(x)
        >>> rows.complete().group.tolist(), rows.only(["b"]).some().group.tolist()
        ([7], [7])
    """

    group: Tensor
    data: dict[str, Tensor]
    present: Tensor

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.data)

    def only(self, modalities: Sequence[str]) -> Aligned:
        """Some modalities, in the given order; groups that have none of them stay, with nothing present."""
        for m in modalities:
            check_known("modality", m, self.data)
        columns = [self.modalities.index(m) for m in modalities]
        return Aligned(self.group, {m: self.data[m] for m in modalities}, self.present[:, columns])

    def kept(self, present: Tensor) -> Aligned:
        """The same with some of it gone: (g, M) bool, what stays."""
        return self._replace(present=self.present & present)

    def take(self, groups: Tensor) -> Aligned:
        """Some groups, by index or boolean mask."""
        return Aligned(self.group[groups], {m: x[groups] for m, x in self.data.items()}, self.present[groups])

    def complete(self) -> Aligned:
        """The groups that have every modality."""
        return self.take(self.present.all(1))

    def some(self) -> Aligned:
        """The groups that have any modality."""
        return self.take(self.present.any(1))

    def views(self) -> Views:
        """What is present, as views."""
        there = {m: self.present[:, k] for k, m in enumerate(self.data)}
        return Views({m: x[there[m]] for m, x in self.data.items()}, {m: self.group[k] for m, k in there.items()})

    def stack(self) -> Stack:
        """Rows of one width as one tensor.

        Raises:
            ModalignError: widths that differ.
        """
        shapes = {m: tuple(x.shape[1:]) for m, x in self.data.items()}
        if len(set(shapes.values())) != 1:
            raise ModalignError(f"only modalities of one width can be stacked, got {shapes}")
        return Stack(torch.stack(list(self.data.values()), 1), self.present, self.group)


@checked
def aligned(
    x: Views, modalities: Sequence[str] | None = None, pick: str = "mean", generator: torch.Generator | None = None
) -> Aligned:
    """One row per group and modality, for every group that has any of the modalities.

    Args:
        x: raw batch, features or embeddings, of any widths.
        modalities: which, in which order; default all.
        pick: which of a group's items: the "first", one "sample" (uniform, from ``generator``) or their "mean".
        generator: source of randomness for "sample".

    Raises:
        ModalignError: unknown modality or pick.

    Example:
        >>> x = Views({"a": torch.eye(2), "b": torch.ones(1, 3)}, {"a": torch.tensor([5, 7]), "b": torch.tensor([7])})
        >>> aligned(x).present.tolist()
        [[True, False], [True, True]]
    """
    part = x.only(*(modalities if modalities is not None else x.modalities))
    ids = part.group_ids()
    data, present = {}, []
    for m, rows in part.data.items():
        where = torch.searchsorted(ids, part.group[m].long())
        data[m], has = one_per_group(rows, where, len(ids), pick, generator)
        present.append(has)
    return Aligned(ids, data, torch.stack(present, 1) if present else torch.empty(0, 0, dtype=torch.bool))


@checked
def row_aligned(x: Views, modalities: Sequence[str]) -> Stack | None:
    """The stack of modalities of one width whose rows are the same groups, one item each; None for others.

    A batch is drawn so: nothing is sorted, rows stay in their order, and gradients pass without a copy by index.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(2), b=torch.eye(2))
        >>> row_aligned(x, ["a", "b"]).data.shape, row_aligned(x.select({"a": torch.tensor([1, 0])}), ["a", "b"])
        (torch.Size([2, 2, 2]), None)
    """
    group = x.group[modalities[0]]
    if len({x[m].shape for m in modalities}) > 1:
        return None
    if not x.side_by_side and any(not torch.equal(x.group[m], group) for m in modalities[1:]):
        return None
    if not x.side_by_side and len(torch.unique(group)) < len(group):
        return None
    there = torch.ones(len(group), len(modalities), dtype=torch.bool, device=group.device)
    return Stack(torch.stack([x[m] for m in modalities], 1), there, group, complete=True)
