"""Gradient descent: the loop, its batches, mixing, checkpoints and caches, and fine-tuning of encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .loop import train
    from .mixing import augment, mix
    from .sampling import Sampler
    from .settings import TrainingSettings

_HOMES = {
    "loop": "train",
    "mixing": "augment mix",
    "sampling": "Sampler",
    "settings": "TrainingSettings",
}

__all__ = ["Sampler", "TrainingSettings", "augment", "mix", "train"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
