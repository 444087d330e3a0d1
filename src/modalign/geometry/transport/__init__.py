"""Optimal transport between two sets of items."""

from .front import solve
from .loss import barycentric, sinkhorn_divergence, transport_loss
from .result import ConvergenceWarning, Plan, Potentials

__all__ = [
    "ConvergenceWarning", "Plan", "Potentials", "barycentric", "sinkhorn_divergence", "solve", "transport_loss",
]
