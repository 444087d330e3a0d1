"""Transport plans of large batches, held by the ranks in parts: each has some rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from . import ranks

LARGE = 1 << 24
"""Entries of a plan from which on it is parted: 4,096 items a side, where passes over it cost more than messages."""


@dataclass(frozen=True)
class PlanRows:
    """How ranks part a plan, see ``geometry.transport.shared``.

    Args:
        entries: smallest plan that is parted.
    """

    entries: int = LARGE

    def rows(self, n: int, m: int) -> slice | None:
        """This rank's rows; None where every rank had better solve the whole."""
        return ranks.share(n) if ranks.world() > 1 and n >= ranks.world() and n * m >= self.entries else None

    def total(self, x: Tensor) -> Tensor:
        """The sum over ranks, in place."""
        return ranks.total(x)

    def least(self, x: Tensor) -> Tensor:
        """The minimum over ranks, in place."""
        return ranks.least(x)
