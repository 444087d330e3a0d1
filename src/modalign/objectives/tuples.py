"""What losses on whole tuples share: one item of each modality side by side, an anchor, absent modalities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..errors import ModalignError, check_known, few
from ..views import Batch, Stack, Views, aligned, row_aligned
from .base import Objective
from .pairwise import chosen, learnable

ANCHOR = "text"


class Tuples(Objective):
    """One item of each modality for every group: the common part of the volume losses.

    Tuples go by group ids, whatever links there are: what links join over two groups is in two tuples.

    Args:
        anchor: the modality that is compared with the rest of each tuple; "all": each in turn, averaged; None: text
            if the batch has it, else its first modality.
        modalities: which, default all in the batch.
        pick: which of a group's items: "sample" (drawn anew each step, the same on every rank), "first", "mean".
    """

    least = 2

    def __init__(
        self, anchor: str | None = None, modalities: Sequence[str] | None = None, pick: str = "sample"
    ) -> None:
        super().__init__()
        self.anchor, self.modalities, self.pick = anchor, chosen(modalities, at_least=2), pick
        check_known("pick", pick, ["sample", "first", "mean"])

    def can_learn(self, names: Sequence[str]) -> None:
        super().can_learn(names)
        if self.anchor not in (None, "all"):
            check_known("anchor", self.anchor, names)

    def prepare(self, x: Views) -> None:
        """Refuse views in which links alone, and no group ids, say what belongs together: there would be no tuple."""
        names = [m for m in self.modalities or x.modalities if m in x]
        held = torch.cat([torch.unique(x.group[m].long()) for m in names])
        if x.links and len(torch.unique(held)) == len(held):
            raise ModalignError(
                f"{type(self).__name__} takes tuples by group ids, and no group has two of {few(names)}: links alone "
                "tell pairs, from which 'clip', 'siglip' and 'mil_nce' learn"
            )

    def stack(self, batch: Batch) -> tuple[Stack, list[str]] | None:
        """Tuples of the modalities that the batch holds, in order; None with fewer than two of them."""
        names = [m for m in self.modalities or batch.z.modalities if m in batch.z and len(batch.z[m])]
        if len(names) < 2:
            return None
        drawn = row_aligned(batch.z, names)
        return drawn or aligned(batch.z, names, self.pick, seeded(batch)).stack(), names

    def anchors(self, names: list[str]) -> list[int]:
        """Positions of the anchor modalities; none if the wanted one is absent from the batch."""
        if self.anchor == "all":
            return list(range(len(names)))
        if self.anchor is None:
            return [names.index(ANCHOR) if ANCHOR in names else 0]
        return [names.index(self.anchor)] if self.anchor in names else []

    def anchored(self, batch: Batch) -> Iterator[AnchoredTuples]:
        """Anchors against tuples, for each anchor modality, where at least one anchor has its own tuple."""
        stacked = self.stack(batch)
        if stacked is None:
            return
        stack, names = stacked
        for position in self.anchors(names):
            tuples = AnchoredTuples(stack, position)
            if learnable(tuples.positives):
                yield tuples


class AnchoredTuples:
    """Anchors, the tuples they are compared with, and which belong together.

    anchor: (n, d). others: (m, M - 1, d). present: (m, M - 1) bool. positives: (n, m) bool, at most one per row.
    """

    anchor: Tensor
    others: Tensor
    present: Tensor
    positives: Tensor

    def __init__(self, stack: Stack, position: int) -> None:
        self.complete = stack.complete
        rest = [k for k in range(stack.data.shape[1]) if k != position]
        rows = stack.present[:, position]
        columns = stack.present[:, rest].any(1)
        data = stack.data
        if stack.complete:
            self.anchor, self.others, self.present = data[:, position], data[:, rest], stack.present[:, rest]
            self.positives = torch.eye(len(data), dtype=torch.bool, device=data.device)
            return
        self.anchor = data[:, position] if bool(rows.all()) else data[rows, position]
        self.others = (data if bool(columns.all()) else data[columns])[:, rest]
        self.present = stack.present[columns][:, rest]
        self.positives = stack.group[rows][:, None] == stack.group[columns][None, :]

    def whole(self) -> tuple[Tensor, Tensor]:
        """The tuples that lack no modality, and the positives' columns of them."""
        if self.complete:
            return self.others, self.positives
        there = self.present.all(1)
        return self.others[there], self.positives[:, there]

    def own(self) -> tuple[Tensor, Tensor]:
        """Row of each anchor that has a tuple, and the tuple's column."""
        rows, columns = self.positives.nonzero().unbind(1)
        return rows, columns


def seeded(batch: Batch) -> torch.Generator:
    """Randomness that depends on the step alone: equal on all ranks, equal after a resume."""
    return torch.Generator().manual_seed(batch.step)
