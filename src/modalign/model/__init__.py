"""The model: heads from features into the shared space, and the captioner that writes from it."""

from .heads import Features, Head, Hubs, Map
from .model import Heads, Model, load_model

__all__ = ["Features", "Head", "Heads", "Hubs", "Map", "Model", "load_model"]
