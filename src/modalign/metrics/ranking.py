"""The one ranking of queries against a gallery. Blocked, exact, and blind to the order of ties.

For each positive pair it counts how many gallery items score higher and how many score the same; every retrieval
measure follows from these counts. Nothing of size n x m is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ModalignError, unknown
from ..geometry.neighbours import Similarity

QUERIES, ITEMS = 512, 2048  # scores held at once
CROWDED = 0.02  # share of a block's scores within rounding of a positive from which on it is repeated in float64
FEW = 16  # up to so many positives per query are counted by comparison, more by sorting rows


@dataclass(frozen=True)
class Ranking:
    """Where the positives of each query stand. One entry per positive pair, by query, then from the best score down.

    Args:
        query: (p,) row of the query, ascending. item: (p,) row of the positive in the gallery.
        score: (p,) float64.
        above: (p,) gallery items with a higher score. tied: (p,) with the same score, the positive itself included.
        above_positive, tied_positive: (p,) the same counts among the query's positives only.
        queries: number of queries asked, with or without positives.
        gallery: number of gallery items that compete for a query (self not counted).
    """

    query: Tensor
    item: Tensor
    score: Tensor
    above: Tensor
    tied: Tensor
    above_positive: Tensor
    tied_positive: Tensor
    queries: int
    gallery: int

    @cached_property
    def asked(self) -> Tensor:
        """(q,) rows of the queries that have a positive, ascending."""
        return torch.unique_consecutive(self.query)

    @cached_property
    def positives(self) -> Tensor:
        """(q,) number of positives of each asked query."""
        return torch.unique_consecutive(self.query, return_counts=True)[1]

    @cached_property
    def first(self) -> Tensor:
        """(q,) entry of the best positive of each asked query."""
        return torch.cumsum(self.positives, 0) - self.positives

    @property
    def skipped(self) -> int:
        """Queries without a positive."""
        return self.queries - len(self.asked)

    def per_query(self, values: Tensor) -> Tensor:
        """(q,) sums of an entry-wise quantity over the positives of each asked query."""
        where = torch.repeat_interleave(torch.arange(len(self.asked), device=values.device), self.positives)
        return torch.zeros(len(self.asked), dtype=values.dtype, device=values.device).index_add(0, where, values)

    def of_each(self, values: Tensor) -> Tensor:
        """(p,) an entry-wise copy of a quantity of the asked queries."""
        return torch.repeat_interleave(values, self.positives)

    def chance(self) -> Ranking:
        """The ranking of a scorer that knows nothing: everything tied."""
        nothing = torch.zeros_like(self.above)
        return replace(
            self,
            above=nothing,
            tied=torch.full_like(self.tied, self.gallery),
            above_positive=nothing,
            tied_positive=self.of_each(self.positives),
        )


def rank(
    x: Tensor,
    y: Tensor,
    pairs: Tensor,
    *,
    metric: str = "cosine",
    bias: Tensor | None = None,
    exclude_self: bool = False,
    block: tuple[int, int] = (QUERIES, ITEMS),
) -> Ranking:
    """Rank a gallery for each query and find the positives in it.

    Two scores are tied when they agree to the rounding of float64, so equal gallery items tie wherever they stand and
    the counts do not depend on ``block``.

    Args:
        x: (n, d) queries. y: (m, d) gallery.
        pairs: (p, 2) rows of x and y that are the same thing.
        metric: "cosine" or "dot"; on unit rows Euclidean distance gives the cosine's order.
        bias: (m,) added to the scores of gallery items, for hubness corrections.
        exclude_self: x and y are the same items; item i does not compete for query i, nor count as its positive.
        block: queries and gallery items in one product.

    Raises:
        ModalignError: shapes or values that cannot be ranked, pairs outside the rows.

    Example:
        >>> r = rank(torch.eye(3), torch.ones(3, 3), torch.tensor([[0, 0], [1, 1], [2, 2]]))
        >>> r.above.tolist(), r.tied.tolist()
        ([0, 0, 0], [3, 3, 3])
    """
    if metric not in ("cosine", "dot"):
        raise unknown("metric of a ranking", metric, ("cosine", "dot"))
    scorer = Similarity(x.detach(), y.detach(), metric, bias)
    n, m = len(x), len(y)
    pairs = _checked_pairs(pairs, n, m)
    if exclude_self:
        if n != m:
            raise ModalignError(f"leaving out self needs row i of both sets to be one item, got {n} and {m} rows")
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    score = scorer.pairs(pairs[:, 0], pairs[:, 1])
    slack = scorer.tolerance() * score.abs().clamp(min=1.0)
    entries = _entries(pairs, score, slack, n, m - int(exclude_self))
    slack = scorer.tolerance() * entries.score.abs().clamp(min=1.0)
    if len(pairs) == 0:
        return entries
    if int(entries.positives.max()) > FEW:
        above, tied = _by_sorting(scorer, entries, slack, block[0])
    else:
        above, tied = _by_comparison(scorer, entries, slack, block)
    if exclude_self:
        own = scorer.pairs(entries.query, entries.query)
        above = above - (own > entries.score + slack).long()
        tied = tied - ((own - entries.score).abs() <= slack).long()
    return replace(entries, above=above, tied=tied)


def rank_scores(scores: Tensor, positives: Tensor) -> Ranking:
    """The same from a matrix of scores; here scores are tied when they are equal.

    Args:
        scores: (n, m), larger is better. positives: (n, m) bool, or (p, 2) pairs of rows and columns.

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
    entries = _entries(pairs, score, torch.zeros_like(score), n, m)
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    for here, rows, level, slot in _levels(entries, QUERIES):
        block = scores[rows].double()
        more, least = _count(block, level, level)
        above[here], tied[here] = more[slot], (least - more)[slot]
    return replace(entries, above=above, tied=tied)


# ------------------------------------------------------------------ entries


def _checked_pairs(pairs: Tensor, n: int, m: int) -> Tensor:
    if pairs.dim() != 2 or pairs.shape[1] != 2:
        raise ModalignError(f"positives must be (p, 2) pairs of rows, got shape {tuple(pairs.shape)}")
    pairs = pairs.long()
    if len(pairs) and (pairs.min() < 0 or pairs[:, 0].max() >= n or pairs[:, 1].max() >= m):
        raise ModalignError(f"positives name rows outside {n} queries and {m} gallery items")
    code = torch.unique(pairs[:, 0] * m + pairs[:, 1])
    return torch.stack([code // max(m, 1), code % max(m, 1)], 1)


def _entries(pairs: Tensor, score: Tensor, slack: Tensor, queries: int, gallery: int) -> Ranking:
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
    return Ranking(
        query=query,
        item=item,
        score=score,
        above=zeros,
        tied=zeros,
        above_positive=class_start - query_start,
        tied_positive=torch.bincount(label, minlength=1)[label] if size else zeros,
        queries=queries,
        gallery=gallery,
    )


def _levels(entries: Ranking, block: int) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Blocks of asked queries: (entries, query rows (b,), scores of their positives (b, P) filled with inf, slots)."""
    ends = torch.cumsum(entries.positives, 0)
    for start in range(0, len(entries.asked), block):
        stop = min(start + block, len(entries.asked))
        here = slice(int(ends[start] - entries.positives[start]), int(ends[stop - 1]))
        count = entries.positives[start:stop]
        width = int(count.max())
        slot = torch.arange(width, device=count.device)[None, :] < count[:, None]
        level = torch.full(slot.shape, torch.inf, dtype=torch.float64, device=count.device)
        level[slot] = entries.score[here]
        yield here, entries.asked[start:stop], level, slot


# ------------------------------------------------------------------ counting


def _count(scores: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """(b, P) how many of each row's scores (b, c) are > high, and how many are >= low."""
    if low.shape[1] > FEW:
        ordered = scores.sort(dim=1).values
        width = scores.shape[1]
        more = width - torch.searchsorted(ordered, high.to(scores.dtype).contiguous(), right=True)
        return more, width - torch.searchsorted(ordered, low.to(scores.dtype).contiguous(), right=False)
    flags = torch.empty_like(scores, dtype=torch.float32)
    more = torch.stack([_flagged(torch.gt, scores, h, flags) for h in high.unbind(1)], 1)
    return more, torch.stack([_flagged(torch.ge, scores, h, flags) for h in low.unbind(1)], 1)


def _flagged(compare: Callable[..., Tensor], scores: Tensor, level: Tensor, memory: Tensor) -> Tensor:
    """(b,) number of each row's scores that compare with its level; ``memory`` holds as many floats as scores.

    A comparison written as floats and summed is several times faster than one written as booleans.
    """
    flags = memory.view(-1)[: scores.numel()].view(scores.shape)
    return compare(scores, level[:, None], out=flags).sum(1).long()


def _by_sorting(scorer: Similarity, entries: Ranking, slack: Tensor, block: int) -> tuple[Tensor, Tensor]:
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    block = max(1, min(block, (1 << 24) // max(1, len(scorer.y))))
    for here, rows, level, slot in _levels(entries, block):
        margin = torch.zeros_like(level)
        margin[slot] = slack[here]
        more, least = _count(scorer.rows(rows), level - margin, level + margin)
        above[here], tied[here] = more[slot], (least - more)[slot]
    return above, tied


@dataclass(frozen=True)
class _Strip:
    """Some queries and their positives, (b, P) each, and what has been counted for them so far.

    rows: (b,) query rows. item: gallery rows, -1 where a query has fewer positives. level: exact scores, margin: the
    distance within which exact scores are tied. low, high: single-precision scores outside of them are certain.
    """

    rows: Tensor
    item: Tensor
    level: Tensor
    margin: Tensor
    low: Tensor
    high: Tensor
    above: Tensor
    tied: Tensor


def _by_comparison(
    scorer: Similarity, entries: Ranking, slack: Tensor, block: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Counts from single-precision products; what lies within their error of a positive is decided exactly."""
    x, y, bias = scorer.single()
    error = scorer.error(x, y, bias)
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    memory, flags = torch.empty(2, min(block[0], len(x)) * min(block[1], len(y)), device=x.device)
    for here, rows, level, slot in _levels(entries, block[0]):
        margin = torch.zeros_like(level)
        margin[slot] = slack[here]
        item = torch.full(level.shape, -1, dtype=torch.long, device=x.device)
        item[slot] = entries.item[here]
        wide = 2.0**-23 * level.abs().nan_to_num(posinf=0.0) + error[rows, None] + margin
        own = slot.long()  # each positive ties with itself
        strip = _Strip(
            rows, item, level, margin, (level - wide).float(), (level + wide).float(), torch.zeros_like(own), own
        )
        queries, close = x[rows], []
        for start in range(0, len(y), block[1]):
            part = y[start : start + block[1]]
            size = len(rows) * len(part)
            scores = torch.mm(queries, part.T, out=memory[:size].view(len(rows), len(part)))
            if bias is not None:
                scores += bias[start : start + block[1]]
            close += _add_block(scorer, strip, scores, start, flags[:size])
        if close:
            _settle(scorer, strip, *(torch.cat(column) for column in zip(*close, strict=True)))
        above[here], tied[here] = strip.above[slot], strip.tied[slot]
    return above, tied


def _add_block(
    scorer: Similarity, strip: _Strip, scores: Tensor, start: int, flags: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Count what is certain in a block of scores; return (row of the strip, gallery row, slot) of what is too close."""
    own = ((strip.item >= start) & (strip.item < start + scores.shape[1])).long()
    found, crowd = [], 0
    certain = torch.zeros_like(own)
    for slot in range(own.shape[1]):
        least = _flagged(torch.ge, scores, strip.low[:, slot], flags)
        rows = (least > own[:, slot]).nonzero().flatten()  # only here does anything reach the positive
        if len(rows) == 0:
            continue
        some = scores if 2 * len(rows) > len(scores) else scores[rows]
        rows = torch.arange(len(scores), device=rows.device) if some is scores else rows
        high = strip.high[rows, slot]
        certain[rows, slot] = _flagged(torch.gt, some, high, flags)
        close = (least - certain[:, slot] - own[:, slot])[rows]
        crowd += int(close.sum())
        if crowd > CROWDED * scores.numel():
            break
        which = close.nonzero().flatten()
        if len(which):
            band = (some[which] >= strip.low[rows[which], slot, None]) & (some[which] <= high[which, None])
            r, c = band.nonzero().unbind(1)
            found.append((rows[which[r]], c + start, torch.full_like(r, slot)))
    if crowd > CROWDED * scores.numel():  # collapsed embeddings: cheaper to repeat the block in float64
        exact = scorer.rows(strip.rows, slice(start, start + scores.shape[1]))
        certain, least = _count(exact, strip.level - strip.margin, strip.level + strip.margin)
        strip.tied.add_(least - certain - own)
        found = []
    strip.above.add_(certain)
    return found


def _settle(scorer: Similarity, strip: _Strip, row: Tensor, column: Tensor, slot: Tensor) -> None:
    """Decide by exact scores what is too close to a positive for single precision."""
    other = column != strip.item[row, slot]
    row, column, slot = row[other], column[other], slot[other]
    lead = scorer.pairs(strip.rows[row], column) - strip.level[row, slot]
    margin = strip.margin[row, slot]
    strip.above.index_put_((row, slot), (lead > margin).long(), accumulate=True)
    strip.tied.index_put_((row, slot), (lead.abs() <= margin).long(), accumulate=True)
