"""What adapters are fitted on: linked rows, and rows of either model without a partner."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class Sample:
    """Rows that an adapter from x to y learns from.

    Args:
        x: (p, w), y: (p, d): row i of both is the same item.
        more_x: (n, w), more_y: (m, d): rows of either model, linked or not: all that is known of its shape.
        tag: names the links; equal tags mean equal links, whichever side is x. swapped: x is what was y.
    """

    x: Tensor
    y: Tensor
    more_x: Tensor
    more_y: Tensor
    tag: str = ""
    swapped: bool = False

    def units(self) -> Sample:
        """All rows at length 1."""
        x, y, more_x, more_y = (normalize(v.float(), dim=1) for v in (self.x, self.y, self.more_x, self.more_y))
        return replace(self, x=x, y=y, more_x=more_x, more_y=more_y)

    def flipped(self) -> Sample:
        """The same from y to x."""
        return Sample(self.y, self.x, self.more_y, self.more_x, self.tag, not self.swapped)

    def linked(self, rows: Tensor, tag: str = "") -> Sample:
        """Only some of the links."""
        return replace(self, x=self.x[rows], y=self.y[rows], tag=tag)


def some(x: Tensor, rows: int, seed: int) -> Tensor:
    """At most so many rows, drawn at random."""
    if len(x) <= rows:
        return x
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:rows]]


def shuffled(x: Tensor, rows: int, seed: int) -> Tensor:
    """At most so many rows in random order, so that the first ones are a sample too."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:rows]]
