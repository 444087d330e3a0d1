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
        >>> starts.of(("text", "image"), torch.arange(2)).g = torch.ones(2)
        >>> starts.of(("text", "image"), torch.arange(2)).g
        tensor([1., 1.])
        >>> starts.of(("text", "image"), torch.arange(3)).g is None
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[Tensor, Potentials]] = {}

    def of(self, pair: Pair, items: Tensor) -> Potentials:
        """Where to start; the solver writes the new potentials into it. items: ids of the items of both sides."""
        key = " ".join(pair)
        if key not in self.kept or not torch.equal(self.kept[key][0], items):
            self.kept[key] = items.clone(), Potentials()
        return self.kept[key][1]

    def get_extra_state(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Key -> (items, potentials of the second side)."""
        return {key: (items, p.g) for key, (items, p) in self.kept.items() if p.g is not None}

    def set_extra_state(self, state: Any) -> None:
        """As saved."""
        self.kept = {key: (items, Potentials(None, g)) for key, (items, g) in state.items()}
