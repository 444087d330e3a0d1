"""Neighbours: exact search, losses that preserve neighbourhoods, and signs of collapse.

- `knn` finds the nearest rows of another set, or of the same one, exactly and with stable ties; `Scorer` is what it
  and the retrieval metrics rank by.
- `carried`, `structure`, `geodesic`, `literal` are the losses behind the objective "rma"; `carry`, or `diffused` by
  many hops, gives the targets of the first, `geodesics`, `landmarks`, `knn_graph` and `stress` what the third is made
  of.
- `collapse` measures directions in use and mean cosine; `plan_entropy` how undecided a transport plan is.
"""

from ... import renamed
from .collapse import collapse, plan_entropy
from .diffusion import diffused
from .geodesic import geodesic, geodesics, knn_graph, landmarks, stress
from .losses import carried, carry, literal, structure
from .scorer import Scorer
from .search import knn

__all__ = [
    "Scorer", "carried", "carry", "collapse", "diffused", "geodesic", "geodesics", "knn", "knn_graph", "landmarks",
    "literal", "plan_entropy", "stress", "structure",
]  # fmt: skip

__getattr__ = renamed.names_of(__name__)
