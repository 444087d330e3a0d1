"""Neighbours: exact search, losses that preserve neighbourhoods, and signs of collapse."""

from .collapse import collapse, plan_entropy
from .geodesic import geodesic, geodesics, knn_graph, landmarks, stress
from .losses import carried, carry, literal, structure
from .scorer import Scorer
from .search import knn

__all__ = [
    "Scorer",
    "carried",
    "carry",
    "collapse",
    "geodesic",
    "geodesics",
    "knn",
    "knn_graph",
    "landmarks",
    "literal",
    "plan_entropy",
    "stress",
    "structure",
]
