"""The model: heads from features into the shared space, and the captioner that writes from it."""

from .heads import FeatureMap, Head, LocalScaling, Projection
from .model import Heads, Model, copy_model, load_model, model_fingerprint

__all__ = [
    "FeatureMap", "Head", "Heads", "LocalScaling", "Projection", "Model", "copy_model", "load_model",
    "model_fingerprint",
]  # fmt: skip
