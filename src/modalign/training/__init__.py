"""Gradient descent: the loop, its batches, mixing, checkpoints and caches, and fine-tuning of encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import public

if TYPE_CHECKING:
    from .loop import TrainingSettings, train
    from .mixing import augment, mix
    from .sampling import Sampler

_HOMES = {"Sampler": "sampling", "TrainingSettings": "loop", "augment": "mixing", "mix": "mixing", "train": "loop"}

__all__ = ["Sampler", "TrainingSettings", "augment", "mix", "train"]


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES)
