"""Transport solved again and again for the same items: each step starts where the last one ended."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..geometry.transport import Potentials
from ..views import Pair


class WarmStarts(nn.Module):
    """Potentials of the last step by pair of modalities, for a batch of the same items in the same order.

    Items that moved a little need about a quarter of the passes. A batch of other items starts cold: potentials
    carried over to them by a c-transform save nothing. The potentials are part of ``state_dict``, so that a
    training that is resumed takes the same steps.

    Example:
        >>> starts = WarmStarts()
        >>> starts.keep(("text", "image"), torch.arange(2), Potentials(None, torch.ones(2)))
        >>> starts.of(("text", "image"), torch.arange(2)).g
        tensor([1., 1.])
        >>> starts.of(("text", "image"), torch.arange(3)) is None
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[Tensor, Potentials]] = {}

    def of(self, pair: Pair, items: Tensor) -> Potentials | None:
        """Where to start, if the last step saw the same. items: ids of the items of both sides."""
        items_then, potentials = self.kept.get(" ".join(pair), (None, None))
        return potentials if items_then is not None and torch.equal(items_then, items) else None

    def keep(self, pair: Pair, items: Tensor, potentials: Potentials) -> None:
        """Where this step ended."""
        self.kept[" ".join(pair)] = items.clone(), potentials

    def get_extra_state(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Key -> (items, potentials of the second side)."""
        return {key: (items, p.g) for key, (items, p) in self.kept.items()}

    def set_extra_state(self, state: Any) -> None:
        """As saved."""
        self.kept = {key: (items, Potentials(None, g)) for key, (items, g) in state.items()}
