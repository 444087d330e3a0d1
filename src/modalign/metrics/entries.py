"""Where the positives of queries stand: the result of a ranking, and its entries in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


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


def entries_of(pairs: Tensor, score: Tensor, slack: Tensor, queries: int, gallery: int) -> Ranking:
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


def levels(entries: Ranking, block: int) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
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
