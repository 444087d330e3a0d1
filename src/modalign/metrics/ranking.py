"""The one ranking of queries against a gallery. Blocked, exact, and blind to the order of ties.

For each positive pair it counts how many gallery items score higher and how many score the same; every retrieval
measure follows from these counts. Nothing of size n x m is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..geometry.neighbours import Scorer
from ..geometry.pairs import known_pairs
from ..parameters import checked
from ..views import Views
from .counting import Way, count, counted, levels
from .found import Direction, Found

QUERIES, ITEMS = 1024, 2040  # scores held at once, in cache


@checked
def rank(
    x: Tensor,
    y: Tensor,
    pairs: Tensor,
    *,
    metric: str = "cosine",
    bias: Tensor | None = None,
    exclude_self: bool = False,
    group: Tensor | None = None,
    block: tuple[int, int] = (QUERIES, ITEMS),
) -> Found:
    """Rank a gallery for each query and find the positives in it.

    Two scores are tied when they agree to the rounding of float64, so equal gallery items tie wherever they stand and
    the counts do not depend on ``block``.

    Args:
        x: (n, d) queries. y: (m, d) gallery.
        pairs: (p, 2) rows of x and y that are the same thing.
        metric: "cosine" or "dot"; on unit rows Euclidean distance gives the cosine's order.
        bias: (m,) added to the scores of gallery items, for hubness corrections.
        exclude_self: x and y are the same items; item i does not compete for query i, nor count as its positive.
        group: (n,) of each query, the unit that intervals resample.
        block: queries and gallery items in one product.

    Raises:
        ModalignError: shapes or values that cannot be ranked, pairs outside the rows.

    Example:
        >>> r = rank(torch.eye(3), torch.ones(3, 3), torch.tensor([[0, 0], [1, 1], [2, 2]]))
        >>> r.above.tolist(), r.tied.tolist()
        ([0, 0, 0], [3, 3, 3])
    """
    way = _way(x, y, pairs, metric, bias, exclude_self, group)
    entries, scorer = way.entries, way.scorer
    if not len(entries.query):
        return entries
    above, tied = counted([way], block)[0]
    if exclude_self:
        own = scorer.pairs(entries.query, entries.query)
        above = above - (own > entries.score + way.slack).long()
        tied = tied - ((own - entries.score).abs() <= way.slack).long()
    return replace(entries, above=above, tied=tied)


@checked
def rank_both(
    x: Tensor,
    y: Tensor,
    pairs: Tensor,
    *,
    metric: str = "cosine",
    groups: tuple[Tensor | None, Tensor | None] = (None, None),
    block: tuple[int, int] = (QUERIES, ITEMS),
) -> tuple[Found, Found]:
    """``rank`` of y for each row of x, and of x for each row of y: one product serves both.

    Args:
        x: (n, d). y: (m, d). pairs, metric, block: as in ``rank``.
        groups: (n,) and (m,) of the queries of each way.

    Raises:
        ModalignError: shapes or values that cannot be ranked, pairs outside the rows.

    Example:
        >>> forth, back = rank_both(torch.eye(3), torch.eye(4)[:, :3], torch.tensor([[0, 0], [1, 1], [2, 2]]))
        >>> forth.gallery, back.gallery, back.tied.tolist()
        (4, 3, [1, 1, 1])
    """
    forth = _way(x, y, pairs, metric, None, False, groups[0])
    back = _way(y, x, pairs.flip(1), metric, None, False, groups[1])
    entries = forth.entries, back.entries
    if not len(pairs):
        return entries
    apart = len(entries[0].asked) * len(y) + len(entries[1].asked) * len(x)
    ways = [[forth, back]] if apart > len(x) * len(y) else [[forth], [back]]
    counts = [found for some in ways for found in counted(some, block)]
    first, second = (replace(e, above=above, tied=tied) for e, (above, tied) in zip(entries, counts, strict=True))
    return first, second


def _way(
    x: Tensor,
    y: Tensor,
    pairs: Tensor,
    metric: str,
    bias: Tensor | None,
    exclude_self: bool,
    group: Tensor | None,
) -> Way:
    """What is to be counted."""
    check_known("metric of a ranking", metric, ("cosine", "dot"))
    scorer = Scorer(x.detach(), y.detach(), metric, bias)
    n, m = len(x), len(y)
    pairs = _checked_pairs(pairs, n, m)
    if exclude_self:
        if n != m:
            raise ModalignError(f"leaving out self needs row i of both sets to be one item, got {n} and {m} rows")
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    score = scorer.pairs(pairs[:, 0], pairs[:, 1])
    slack = scorer.slack(pairs[:, 0], score)
    entries = _entries(pairs, score, slack, n, m - int(exclude_self), group)
    return Way(scorer, entries, scorer.slack(entries.query, entries.score))


@checked
def rank_scores(scores: Tensor, positives: Tensor, group: Tensor | None = None) -> Found:
    """The same from a matrix of scores; here scores are tied when they are equal.

    Args:
        scores: (n, m), larger is better. positives: (n, m) bool, or (p, 2) pairs of rows and columns.
        group: (n,) of each query.

    Raises:
        ModalignError: NaN scores, or positives of another shape.

    Example:
        >>> r = rank_scores(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[0, 2]]))
        >>> r.above.tolist(), r.tied.tolist()
        ([1], [1])
    """
    if scores.dim() != 2 or torch.isnan(scores).any():
        raise ModalignError(f"scores must be a matrix without NaN, got shape {tuple(scores.shape)}")
    n, m = scores.shape
    if positives.dtype == torch.bool:
        if positives.shape != scores.shape:
            raise ModalignError(f"positives must have the scores' shape {(n, m)}, got {tuple(positives.shape)}")
        positives = positives.nonzero()
    pairs = _checked_pairs(positives, n, m)
    score = scores[pairs[:, 0], pairs[:, 1]].double()
    entries = _entries(pairs, score, torch.zeros_like(score), n, m, group)
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    for here, rows, level, slot in levels(entries, QUERIES):
        block = scores[rows].double()
        more, least = count(block, level, level)
        above[here], tied[here] = more[slot], (least - more)[slot]
    return replace(entries, above=above, tied=tied)


@checked
def find(z: Views, query: str, gallery: str) -> Found:
    """What the items of one modality find among those of another, by cosine.

    Args:
        z: views of one width. query, gallery: modalities.

    Example:
        >>> find(Views.from_arrays(a=torch.eye(3), b=torch.eye(3)), "a", "b").above.tolist()
        [0, 0, 0]
    """
    _check_widths(z, query, gallery)
    return _find(z, query, gallery, z.paired(query, gallery))


@checked
def find_all(z: Views, directions: Sequence[Direction] | None = None) -> dict[Direction, Found]:
    """``find`` in every direction in which any query has a positive.

    Args:
        z: views of one width. directions: (query, gallery) modalities; None: both ways of every pair.
    """
    ways = directions if directions is not None else [d for a, b in z.pairs() for d in ((a, b), (b, a))]
    found: dict[Direction, Found] = {}
    for a, b in ways:
        if (a, b) in found or not len(pairs := z.paired(a, b)):
            continue
        _check_widths(z, a, b)
        apart = {(a, b), (b, a)} <= set(z.links or ())  # each direction has its own positives
        if (b, a) in ways and not apart:
            groups = z.group[a].long(), z.group[b].long()
            found[a, b], found[b, a] = rank_both(z[a], z[b], pairs.to(z[a].device), groups=groups)
        else:
            found[a, b] = _find(z, a, b, pairs)
    return {way: found[way] for way in ways if way in found}


def _check_widths(z: Views, a: str, b: str) -> None:
    """Refuse features where embeddings in one space are needed."""
    if z[a].shape[1] != z[b].shape[1]:
        raise ModalignError(
            f"'{a}' has rows of {z[a].shape[1]} numbers and '{b}' of {z[b].shape[1]}: features of two spaces; "
            "map them into one before they are compared, for example by modalign.methods.CCA().fit(train)(test)"
        )


def _find(z: Views, query: str, gallery: str, pairs: Tensor) -> Found:
    return rank(z[query], z[gallery], pairs.to(z[query].device), group=z.group[query].long())


def _checked_pairs(pairs: Tensor, n: int, m: int) -> Tensor:
    pairs = known_pairs(pairs, n, m)
    code = torch.unique(pairs[:, 0] * m + pairs[:, 1])
    return torch.stack([code // max(m, 1), code % max(m, 1)], 1)


def _entries(pairs: Tensor, score: Tensor, slack: Tensor, queries: int, gallery: int, group: Tensor | None) -> Found:
    """Pairs in order, and their counts among the positives; the counts in the gallery are still to come."""
    order = score.argsort(descending=True, stable=True)
    order = order[pairs[order, 0].argsort(stable=True)]
    query, item, score, slack = pairs[order, 0], pairs[order, 1], score[order], slack[order]
    size = len(query)
    new_query = torch.ones(size, dtype=torch.bool, device=query.device)
    new_query[1:] = query[1:] != query[:-1]
    new_class = new_query.clone()
    new_class[1:] |= score[:-1] - score[1:] > slack[1:]
    position = torch.arange(size, device=query.device)
    query_start = position[new_query][new_query.cumsum(0) - 1]
    label = new_class.cumsum(0) - 1
    class_start = position[new_class][label]
    zeros = torch.zeros_like(query)
    return Found(
        query=query,
        item=item,
        score=score,
        above=zeros,
        tied=zeros,
        above_positive=class_start - query_start,
        tied_positive=torch.bincount(label, minlength=1)[label] if size else zeros,
        queries=queries,
        gallery=gallery,
        group=group,
    )
