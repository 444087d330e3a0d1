"""Connectivity of the neighbour graph of all modalities together, as a metric over views."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ModalignError
from ..geometry import graph, neighbours
from ..geometry.cost import unit
from ..registry import register
from ..views import Views
from .score import Score

REACH = 16  # neighbours found once, for the graph, the connecting k and the merge lengths


@register("metric", "connectivity")
@dataclass(frozen=True)
class Connectivity:
    """Connectivity of the kNN graph over the items of all modalities: pieces, spectra, edges between modalities.

    ``connectivity/components`` (1 is best), ``/largest`` (share of items in the largest component),
    ``/algebraic`` and ``/gap`` (second eigenvalues of the plain and the normalised Laplacian), ``/connecting_k``
    (smallest k that connects the graph), ``/cross_edges`` (share of edges between modalities, with the share of
    randomly mixed modalities as its chance value), ``/conductance`` (of the modality easiest to cut off) and
    ``/longest_merge`` (largest merge distance of the 0-dimensional persistence, over the median one).

    Args:
        k: neighbours in the graph.
        whole: also the smallest connecting k and the merge lengths, which take the longest.
    """

    k: int = 10
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
        algebraic, gap = graph.spectrum(edges)
        values = {
            "components": Score(float(count), False),
            "largest": Score(largest),
            "algebraic": Score(algebraic),
            "gap": Score(gap),
        }
        if len(z.data) > 1:
            share, expected = graph.cross_edges(edges, label)
            values["cross_edges"] = Score(share, chance=expected)
            values["conductance"] = Score(graph.conductance(edges, label))
        if self.whole:
            values["connecting_k"] = Score(float(graph.connecting_k(x, near=near[1])), False)
            merges = graph.merge_lengths(x, near=near)
            middle = float(merges.median())
            if middle > 0:
                values["longest_merge"] = Score(float(merges[-1]) / middle, False)
        return {f"connectivity/{name}": score for name, score in values.items() if score.value == score.value}
