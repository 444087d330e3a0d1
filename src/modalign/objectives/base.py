"""What an objective is: a module from a batch to one scalar loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..errors import ModalignError
from ..views import Batch, Views
from .scale import Scale


class Objective(nn.Module):
    """Batch -> scalar loss, lower is better.

    A module and not a function because temperatures, extra heads and teachers are trained, saved and resumed.
    Knows nothing of ranks or devices. Modalities that a batch lacks, or pairs of modalities without a positive,
    add nothing: the result is then a zero that still carries a gradient path (``nothing``), so training goes on.

    Called with plain tensors, ``Clip()(x, y)``, it takes their rows as points of row-aligned modalities.

    A new objective is one file in ``modalign/objectives`` with a subclass registered by
    ``@register("objective", "name")``; its constructor arguments are its settings.
    """

    def __call__(self, batch: Batch | Tensor, *more: Tensor, group: Tensor | None = None) -> Tensor:
        """The loss of a batch; or of plain tensors, for training loops of one's own.

        Args:
            batch: a Batch; or (n, d) rows of one modality, of any length.
            more: rows of the other modalities, (n, d) each: row i of all is the same thing. They are called "x", "y",
                "z", and so on.
            group: (n,) integers where rows may be the same thing too: equal numbers are positives.

        Returns:
            Scalar tensor, with gradients to every tensor given.

        Raises:
            ModalignError: arrays of other libraries, views, or one tensor alone.
        """
        if isinstance(batch, Batch):
            return super().__call__(batch)
        return super().__call__(_batch_of([batch, *more], group))

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar tensor."""
        raise TypeError(f"{type(self).__name__} must define forward(batch)")

    def prepare(self, x: Views) -> None:
        """Called once before training, with all training features, by objectives that fit teachers or size layers."""

    def after_step(self) -> None:
        """Called after each optimiser step: brings temperatures back within their bounds."""
        for part in self.modules():
            if isinstance(part, Scale):
                part.clamp()

    def log(self) -> dict[str, float]:
        """Numbers of the last forward worth logging: the scale, or for example the parts of a sum."""
        scale = getattr(self, "scale", None)
        return {"scale": scale.value()} if isinstance(scale, Scale) else {}


NAMES = "xyzuvwabcdefgh"


def _batch_of(rows: Sequence[Tensor], group: Tensor | None) -> Batch:
    """A batch whose inputs are the tensors and whose points are their rows at length 1."""
    strange = [type(part).__name__ for part in rows if not isinstance(part, Tensor)]
    if strange:
        raise ModalignError(
            f"an objective takes a Batch or tensors of torch, got {', '.join(strange)}: "
            f"torch.as_tensor(x) makes a tensor of an array, Batch(z, z) a batch of views"
        )
    names = NAMES[: len(rows)]
    if len(names) < len(rows):
        raise ModalignError(f"an objective takes {len(NAMES)} tensors at most, got {len(rows)}: give a Batch")
    x = Views.from_arrays(**dict(zip(names, rows, strict=True)))
    if group is not None:
        x = Views(x.data, dict.fromkeys(names, group))
    return Batch(x.map(lambda m, part: normalize(part, dim=1)), x)


def nothing(batch: Batch) -> Tensor:
    """A zero connected to the batch, for batches without anything to learn from."""
    return torch.stack([x.float().sum() * 0.0 for x in batch.z.data.values()]).sum()
