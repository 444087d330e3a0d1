"""Items of several modalities with their groups: the one data type that travels everywhere."""

from .views import Batch, Pair, Stack, Views, concat

__all__ = ["Batch", "Pair", "Stack", "Views", "concat"]
