"""Retrieval after corrections for hubs. Reported under its own name, never in place of the plain scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import unknown
from ..geometry.cost import unit
from ..geometry.neighbours import knn
from ..registry import register
from ..views import Views
from .ranking import rank
from .recall import KS, scores_of
from .score import Score

WAYS = ("csls", "inverted_softmax")
ROWS = 1024


@register("metric", "corrected_retrieval")
@dataclass(frozen=True)
class CorrectedRetrieval:
    """Retrieval scores with hubs held down by CSLS or inverted softmax, under names such as ``csls_recall/...``.

    Both corrections look at all queries at once (a query bank), which a plain search cannot do: compare them only with
    each other.

    csls: <x_i, y_j> - r_j / 2, r_j = mean cosine of item j to its k nearest queries.
    inverted_softmax: <x_i, y_j> - t log sum_i exp(<x_i, y_j> / t).

    Args:
        way: "csls" or "inverted_softmax". k: neighbours of CSLS. temperature: t of the inverted softmax. ks: depths.
    """

    way: str = "csls"
    k: int = 10
    temperature: float = 0.05
    ks: tuple[int, ...] = KS

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every direction with a positive pair."""
        if self.way not in WAYS:
            raise unknown("way", self.way, WAYS)
        out: dict[str, Score] = {}
        for a, b in (d for pair in z.pairs() for d in (pair, pair[::-1])):
            pairs = z.paired(a, b)
            if len(pairs) == 0:
                continue
            bias = csls_bias(z[a], z[b], self.k) if self.way == "csls" else softmax_bias(z[a], z[b], self.temperature)
            r = rank(z[a], z[b], pairs, bias=bias)
            scores = scores_of(r, z.group[a], (a, b), self.ks)
            out |= {f"{self.way}_{name}": s for name, s in scores.items() if not name.startswith("fidelity")}
        return out


def csls_bias(queries: Tensor, gallery: Tensor, k: int = 10) -> Tensor:
    """(m,) what CSLS adds to the cosine of each gallery item: minus half its mean cosine to its k nearest queries.

    Reference: Conneau et al. 2018, arXiv 1710.04087, section 2.3 (a query's own term does not change its order).

    Example:
        >>> csls_bias(torch.eye(2), torch.eye(2), k=1).tolist()
        [-0.5, -0.5]
    """
    return -0.5 * knn(gallery, queries, k)[0].double().mean(1)


def softmax_bias(queries: Tensor, gallery: Tensor, temperature: float = 0.05) -> Tensor:
    """(m,) what the inverted softmax adds: minus temperature times log-mean-exp of the item's cosines to all queries.

    Reference: Smith et al. 2017, arXiv 1702.03859, equation 3.

    Example:
        >>> softmax_bias(torch.eye(2)[:1], torch.eye(2), temperature=1.0).tolist()
        [-1.0, -0.0]
    """
    x = unit(queries)
    parts = [torch.logsumexp(unit(rows).double() @ x.double().T / temperature, 1) for rows in gallery.split(ROWS)]
    return -temperature * (torch.cat(parts) - math.log(len(x)))
