"""Connectivity of the neighbour graph of all modalities together, as a metric over views."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ModalignError
from ..geometry import graph, neighbours
from ..geometry.cost import unit
from ..parameters import Count
from ..registry import register
from ..views import Views
from .key import Key
from .score import Measure, Score

MEASURES = {
    "components": Measure(
        "Components", "count", "Pieces into which the neighbour graph falls; 1 is best.", higher_is_better=False
    ),
    "largest": Measure("Largest component", "share", "Share of all items in the largest piece of the graph."),
    "algebraic": Measure(
        "Algebraic connectivity", "number", "Second eigenvalue of the graph's Laplacian; 0 in pieces."
    ),
    "gap": Measure("Spectral gap", "number", "Second eigenvalue of the normalised Laplacian; 0 in pieces."),
    "cross_edges": Measure("Edges across", "share", "Share of neighbour pairs that join two modalities."),
    "conductance": Measure("Conductance", "index", "Of the modality that is easiest to cut off; 0 is apart."),
    "connecting_k": Measure(
        "Connecting k", "count", "Fewest neighbours with which the graph is one piece.", higher_is_better=False
    ),
    "longest_merge": Measure(
        "Longest merge", "number", "Longest edge that joins two pieces, over the median one.", higher_is_better=False
    ),
}
"""Form -> what it measures."""
REACH = 16  # neighbours found once, for the graph, the connecting k and the merge lengths


@register("metric", "connectivity")
@dataclass(frozen=True)
class Connectivity:
    """Connectivity of the kNN graph over the items of all modalities: pieces, spectra, edges between modalities.

    ``connectivity/*/components`` (1 is best), ``/largest`` (share of items in the largest component),
    ``/algebraic`` and ``/gap`` (second eigenvalues of the plain and the normalised Laplacian), ``/connecting_k``
    (smallest k that connects the graph), ``/cross_edges`` (share of edges between modalities, with the share of
    randomly mixed modalities as its chance value), ``/conductance`` (of the modality easiest to cut off) and
    ``/longest_merge`` (largest merge distance of the 0-dimensional persistence, over the median one).

    Use when: modalities should mix in one cloud. Related: ``Gap``, ``Hubness``.

    Args:
        k: neighbours in the graph.
        whole: also the smallest connecting k and the merge lengths, which take the longest.
    """

    k: Count = 10
    whole: bool = True

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of all modalities together; none with fewer than three items."""
        widths = {x.shape[1] for x in z.data.values()}
        if len(widths) > 1:
            raise ModalignError(f"connectivity needs modalities in one space, got widths {sorted(widths)}")
        x = torch.cat(list(z.data.values())) if z.data else torch.empty(0, 1)
        if len(x) < 3:
            return {}
        label = torch.cat([torch.full((len(v),), i) for i, v in enumerate(z.data.values())])
        near = neighbours.knn(unit(x.detach()), k=min(max(self.k, REACH), len(x) - 1), metric="euclidean")
        edges = neighbours.knn_graph(x, self.k, metric="cosine", near=near)
        count, largest = graph.components(edges)
        algebraic, gap = graph.spectral_gaps(edges)
        values = {"components": float(count), "largest": largest, "algebraic": algebraic, "gap": gap}
        chance = {}
        if len(z.data) > 1:
            values["cross_edges"], chance["cross_edges"] = graph.cross_edges(edges, label)
            values["conductance"] = graph.conductance(edges, label)
        if self.whole:
            values["connecting_k"] = float(graph.connecting_k(x, near=near[1]))
            merges = graph.merge_lengths(x, near=near)
            middle = float(merges.median())
            if middle > 0:
                values["longest_merge"] = float(merges[-1]) / middle
        return {
            str(Key("connectivity", form=form)): MEASURES[form].score(value, chance=chance.get(form))
            for form, value in values.items()
            if value == value
        }
