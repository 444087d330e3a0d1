"""What a method is: it learns heads from views of features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..errors import ModalignError
from ..progress import Progress, silent
from ..views import Views

if TYPE_CHECKING:
    from ..model import Heads


V = TypeVar("V", Views, Views | None)


def on_cpu(x: V) -> V:
    """Views where methods compute, wherever they were; trainings carry batches to ``MODALIGN_DEVICE`` themselves.

    Example:
        >>> import torch
        >>> on_cpu(Views.from_arrays(a=torch.eye(2)))["a"].device.type
        'cpu'
    """
    return x if x is None or all(rows.device.type == "cpu" for rows in x.data.values()) else x.to("cpu")


def drawn(rows: Tensor, seed: int) -> Tensor:
    """Rows in the order in which they are drawn; each side has a seed of its own, lest equal order tell partners."""
    return rows[order_of(len(rows), seed)]


def at_most(rows: Tensor, most: int, seed: int) -> Tensor:
    """The rows as they are, or so many of them drawn."""
    return rows if len(rows) <= most else drawn(rows, seed)[:most]


def order_of(count: int, seed: int) -> Tensor:
    """Numbers below a count in the order in which they are drawn."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def at_least_two(x: Views) -> None:
    """Refuse modalities that say nothing of how their features are spread.

    Raises:
        ModalignError: a modality has fewer than two items.

    Example:
        >>> import torch
        >>> at_least_two(Views.from_arrays(a=torch.eye(2)))
    """
    for m, items in x.data.items():
        if len(items) < 2:
            raise ModalignError(
                f"'{m}' has {len(items)} items to learn from, and two are the least: give more, or leave it out"
            )


class Method(Protocol):
    """Features -> heads: closed form, gradient, or both in turn.

    ``dev`` holds paired views for choosing settings and stopping early; a method that chooses nothing ignores it.
    ``run`` is a folder for logs and checkpoints; a method that needs none ignores it. Given the same run folder
    again, an interrupted fit goes on where it stopped. ``record`` says afterwards what was tried and chosen, in
    plain values.
    """

    record: dict[str, Any]

    def fit(
        self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent
    ) -> Heads: ...
