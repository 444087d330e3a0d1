"""Optimal transport between two sets of items.

`solve` is the front door for a cost matrix; `transport_loss` and `sinkhorn_divergence` start from embeddings
and are differentiable in them; `solve_chunked` takes sets whose cost does not fit in memory; `gromov` and
`fused_gromov` take sets that can only be compared within themselves; `barycentre` is the mean of several sets.

Modules: ``front`` (the table of methods), ``dense``, ``exact``, ``partial``, ``semipaired``, ``gromov``,
``chunked``, ``loss``, ``barycentre`` (one kind of problem each); ``entropic`` (annealing, dual value, gradients) over
``sinkhorn`` (iteration with absorbed potentials) over ``kernel`` (one pass) and ``anderson`` (acceleration);
``problem`` and ``result`` are what goes in and what comes out, ``source`` gives cost rows to all of them.
"""

from .barycentre import barycentre
from .chunked import ChunkedPlan, solve_chunked
from .front import solve
from .gromov import fused_gromov, gromov
from .loss import barycentric, sinkhorn_divergence, transport_loss
from .result import ConvergenceWarning, Plan, Potentials

__all__ = [
    "ChunkedPlan",
    "ConvergenceWarning",
    "Plan",
    "Potentials",
    "barycentre",
    "barycentric",
    "fused_gromov",
    "gromov",
    "sinkhorn_divergence",
    "solve",
    "solve_chunked",
    "transport_loss",
]
