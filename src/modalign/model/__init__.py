"""The model: heads from features into the shared space, and the captioner that writes from it."""

from .heads import FeatureMap, Head, LocalScaling, Projection
from .model import Heads, Model, load_model

__all__ = ["FeatureMap", "Head", "Heads", "LocalScaling", "Projection", "Model", "load_model"]
