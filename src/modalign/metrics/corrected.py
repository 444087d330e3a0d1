"""Retrieval after corrections for hubs. Reported under its own name, never in place of the plain scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import check_known
from ..geometry.cost import unit
from ..geometry.neighbours import knn
from ..parameters import Count, Positive
from ..registry import register
from ..views import Views
from .found import Found
from .key import Key
from .ranking import rank
from .recall import KS, MEASURES, scores_of
from .score import Score

WAYS = ("csls", "inverted_softmax", "dual_softmax", "qb_norm")
HEADINGS = {
    "csls": "CSLS",
    "inverted_softmax": "inverted softmax",
    "dual_softmax": "dual softmax",
    "qb_norm": "QB-norm",
}
TOPIC = "Retrieval, hubs corrected"
ROWS = 1024


@register("metric", "corrected_retrieval")
@dataclass(frozen=True)
class CorrectedRetrieval:
    """Retrieval with hubs held down: CSLS, inverted or dual softmax, QB-norm, as ``csls_recall/...`` and so on.

    Corrections look at a bank of queries: the queries themselves all at once, which a plain search cannot do (compare
    such scores only with each other), or, with ``bank``, other ones, which any search can.

    csls: <x_i, y_j> - r_j / 2, r_j = mean cosine of item j to its k nearest queries of the bank.
    inverted_softmax: <x_i, y_j> - t log sum_b exp(<x_b, y_j> / t).
    dual_softmax: the product of the softmax over items and over queries: <x_i, y_j> - (t / 2) log sum_b exp(...).
    qb_norm: the inverted softmax for queries whose first item is also the first one of some query of the bank, the
    plain order for all others (dynamic inverted softmax).

    Use when: ``Hubness`` is high and the search may look at other queries. Related: ``Retrieval``, ``Hubness``.

    Args:
        way: "csls", "inverted_softmax", "dual_softmax" or "qb_norm". k: neighbours of CSLS.
        temperature: t of the softmaxes. ks: depths.
        bank: embedded queries, for example of the training items; None: the queries that are asked.

    Reference: Conneau et al. 2018, arXiv 1710.04087; Smith et al. 2017, arXiv 1702.03859; Cheng et al. 2021, arXiv
        2109.04290 (dual softmax); Bogolin et al. 2022, arXiv 2112.12777 (QB-norm, equations 4 and 5).
    """

    gives: ClassVar = tuple(f"{way}_{measure}" for way in WAYS for measure in MEASURES)

    way: str = "csls"
    k: Count = 10
    temperature: Positive = 0.05
    ks: tuple[Count, ...] = KS
    bank: Views | None = None

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every direction with a positive pair."""
        check_known("way", self.way, WAYS)
        out: dict[str, Score] = {}
        for a, b in (d for pair in z.pairs() for d in (pair, pair[::-1])):
            pairs = z.paired(a, b)
            if len(pairs) == 0:
                continue
            bank = self.bank[a] if self.bank is not None and a in self.bank and len(self.bank[a]) else z[a]
            found = replace(self._rank(z[a], z[b], pairs, bank), group=z.group[a].long())
            out |= {self._name(name): self._named(s) for name, s in scores_of(found, (a, b), self.ks).items()}
        return out

    def _name(self, name: str) -> str:
        key = Key.parse(name)
        return str(replace(key, measure=f"{self.way}_{key.measure}"))

    def _named(self, score: Score) -> Score:
        """Out of first tables: a corrected score never stands in for the plain one."""
        importance = "usual" if score.at_least("usual") else score.importance
        return replace(score, heading=f"{score.heading}, {HEADINGS[self.way]}", topic=TOPIC, importance=importance)

    def _rank(self, x: Tensor, y: Tensor, pairs: Tensor, bank: Tensor) -> Found:
        if self.way == "csls":
            return rank(x, y, pairs, bias=csls_bias(bank, y, self.k))
        bias = softmax_bias(bank, y, self.temperature)
        if self.way == "dual_softmax":
            return rank(x, y, pairs, bias=bias / 2.0)
        if self.way == "inverted_softmax":
            return rank(x, y, pairs, bias=bias)
        held = activated(x, y, bank)[pairs[:, 0]]
        return _join(rank(x, y, pairs[held], bias=bias), rank(x, y, pairs[~held]))


def activated(queries: Tensor, gallery: Tensor, bank: Tensor) -> Tensor:
    """(n,) bool: whether a query's first item is also the first one of some query of the bank.

    Reference: Bogolin et al. 2022, arXiv 2112.12777, section 3.3 (the gallery activation set, k = 1).

    Example:
        >>> activated(torch.eye(3), torch.eye(3), torch.tensor([[0.9, 0.1, 0.0]])).tolist()
        [True, False, False]
    """
    first = torch.zeros(len(gallery), dtype=torch.bool, device=gallery.device)
    first[knn(bank, gallery, 1)[1][:, 0]] = True
    return first[knn(queries, gallery, 1)[1][:, 0]]


def _join(a: Found, b: Found) -> Found:
    """Two rankings of different queries against one gallery, as one."""
    order = torch.cat([a.query, b.query]).argsort(stable=True)
    columns = ("query", "item", "score", "above", "tied", "above_positive", "tied_positive")
    both: dict[str, Any] = {name: torch.cat([getattr(a, name), getattr(b, name)])[order] for name in columns}
    return replace(a, **both)


def csls_bias(queries: Tensor, gallery: Tensor, k: int = 10, own: Tensor | None = None) -> Tensor:
    """(m,) what CSLS adds to the cosine of each gallery item: minus half its mean cosine to its k nearest queries.

    Args:
        queries: (b, d). gallery: (m, d). k: neighbours.
        own: (m,) the query that is the item itself, which is left out; -1: none is.

    Reference: Conneau et al. 2018, arXiv 1710.04087, section 2.3 (a query's own term does not change its order).

    Example:
        >>> csls_bias(torch.eye(2), torch.eye(2), k=1).tolist()
        [-0.5, -0.5]
        >>> csls_bias(torch.eye(2), torch.eye(2), k=1, own=torch.tensor([0, -1])).tolist()
        [-0.0, -0.5]
    """
    if own is None:
        return -0.5 * knn(gallery, queries, k)[0].double().mean(1)
    cosine, index = knn(gallery, queries, k + 1)
    others = index != own[:, None]
    others &= others.cumsum(1) <= k
    return -0.5 * (cosine.double() * others).sum(1) / others.sum(1).clamp(min=1)


def softmax_bias(queries: Tensor, gallery: Tensor, temperature: float = 0.05, own: Tensor | None = None) -> Tensor:
    """(m,) what the inverted softmax adds: minus temperature times log-mean-exp of the item's cosines to all queries.

    Args:
        queries: (b, d). gallery: (m, d). temperature: > 0. own: as of ``csls_bias``.

    Reference: Smith et al. 2017, arXiv 1702.03859, equation 3.

    Example:
        >>> softmax_bias(torch.eye(2)[:1], torch.eye(2), temperature=1.0).tolist()
        [-1.0, -0.0]
    """
    x = unit(queries).double()
    own = torch.full((len(gallery),), -1, device=gallery.device) if own is None else own
    number, parts = torch.arange(len(x), device=x.device), []
    for rows, self in zip(gallery.split(ROWS), own.split(ROWS), strict=True):
        there = number != self[:, None]
        cosine = (unit(rows).double() @ x.T).masked_fill(~there, -torch.inf)
        total = torch.logsumexp(cosine / temperature, 1) - there.sum(1).double().log()
        parts.append(torch.where(there.any(1), total, 0.0))
    return -temperature * torch.cat(parts)
