"""Gradient descent: the loop, its batches, mixing, checkpoints and caches, and fine-tuning of encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .loop import TrainingSettings, train
    from .mixing import augment, mix
    from .sampling import Sampler

_HOMES = {
    "loop": "TrainingSettings train",
    "mixing": "augment mix",
    "sampling": "Sampler",
}

__all__ = ["Sampler", "TrainingSettings", "augment", "mix", "train"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
