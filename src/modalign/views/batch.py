"""What an objective may look at: embeddings beside the features they were made of."""

from __future__ import annotations

from dataclasses import dataclass

from .views import Views


@dataclass(frozen=True)
class Batch:
    """What an objective may look at.

    Args:
        z: views in the shared space, unit rows.
        x: the heads' inputs (frozen or current features): own manifolds, teachers.
        augmented: second views of the same items (same groups), for methods that need them.
        step: optimiser step, from 0, for warm-ups and schedules.

    Example:
        >>> import torch
        >>> x = Views.from_arrays(a=torch.eye(2), b=torch.eye(2))
        >>> Batch(z=x, x=x, step=3).step
        3
    """

    z: Views
    x: Views
    augmented: Views | None = None
    step: int = 0
