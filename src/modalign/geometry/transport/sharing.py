"""One plan that several processes hold together: each some of its rows, all of them the potential of every column.

A pass over the kernel needs a row's entries for the row and all rows' entries for a column, so that rows are scaled
where they lie and the sums over columns are added up: m numbers a pass and process, whatever the width of the
embeddings. All that is decided (errors, extrapolation, when to stop) follows from those sums, everywhere alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import Tensor


class Sharing(Protocol):
    """Who holds which rows, and how those who do agree."""

    def rows(self, n: int, m: int) -> slice | None:
        """The rows of an (n, m) plan that are held here; None: all, as it is not worth parting."""
        ...

    def total(self, x: Tensor) -> Tensor:
        """The sum over holders."""
        ...

    def least(self, x: Tensor) -> Tensor:
        """The entry-wise minimum over holders."""
        ...


class Alone:
    """One process that holds everything."""

    def rows(self, n: int, m: int) -> slice | None:
        return None

    def total(self, x: Tensor) -> Tensor:
        return x

    def least(self, x: Tensor) -> Tensor:
        return x


ALONE = Alone()
_now: ContextVar[Sharing] = ContextVar("sharing", default=ALONE)


@contextmanager
def shared(sharing: Sharing) -> Iterator[None]:
    """Inside, entropic plans between embeddings are parted by rows among all who call this alike.

    Values, gradients and potentials are those of one process, to rounding, and whole on each of them.

    Example:
        >>> with shared(ALONE):
        ...     current() is ALONE
        True
    """
    token = _now.set(sharing)
    try:
        yield
    finally:
        _now.reset(token)


def current() -> Sharing:
    """The one that holds now."""
    return _now.get()


def most(sharing: Sharing, x: Tensor) -> Tensor:
    """The entry-wise maximum over holders."""
    return -sharing.least(-x)


def log_total(sharing: Sharing, x: Tensor) -> Tensor:
    """log of the sum over holders of exp(x)."""
    if sharing is ALONE:
        return x
    top = most(sharing, x)
    return sharing.total(torch.exp(x - top.clamp(min=-1e300))).log() + top
