"""Adversarial attacks on retrieval, in embeddings, features, pixels and waveforms."""

from .ascent import METHODS, ascend
from .hub import Hub, finds, hubs
from .retrieval import SIDES, Scene, load_inputs, on_grid, save_inputs
from .threat import NORMS, Threat, untouched
from .victim import Victim, differentiable, embedding, features, raw

__all__ = [
    "METHODS", "NORMS", "SIDES", "Hub", "Scene", "Threat", "Victim", "ascend", "differentiable", "embedding",
    "features", "finds", "hubs", "load_inputs", "on_grid", "raw", "save_inputs", "untouched",
]  # fmt: skip
