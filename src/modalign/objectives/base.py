"""What an objective is: a module from a batch to one scalar loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..views import Batch, Views


class Objective(nn.Module):
    """Batch -> scalar loss, lower is better.

    A module and not a function because temperatures, extra heads and teachers are trained, saved and resumed.
    Knows nothing of ranks or devices. Modalities that a batch lacks, or pairs of modalities without a positive,
    add nothing: the result is then a zero that still carries a gradient path (``nothing``), so training goes on.

    A new objective is one file in ``modalign/objectives`` with a subclass registered by
    ``@register("objective", "name")``; its constructor arguments are its settings.
    """

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar tensor."""
        raise TypeError(f"{type(self).__name__} must define forward(batch)")

    def prepare(self, x: Views) -> None:
        """Called once before training, with all training features, by objectives that fit teachers or size layers."""

    def after_step(self) -> None:
        """Called after each optimiser step, for clamps on temperatures and the like."""

    def log(self) -> dict[str, float]:
        """Numbers of the last forward worth logging, for example the parts of a sum."""
        return {}


def nothing(batch: Batch) -> Tensor:
    """A zero connected to the batch, for batches without anything to learn from."""
    return torch.stack([x.float().sum() * 0.0 for x in batch.z.data.values()]).sum()
