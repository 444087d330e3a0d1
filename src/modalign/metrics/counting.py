"""Counting, for each positive, the gallery items above it and level with it: fast where certain, exact where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..geometry.cost import beside
from ..geometry.neighbours import Scorer, brief
from .found import Found

STRIP = 32  # rows of scores that are compared with all their bounds while they are in the cache
BUFFER = 512  # numpy copies what it broadcasts along rows that are shorter than its buffer, which takes as long again
WIDEST = 8 * 255  # columns of a product: the booleans of a row are counted in eight bytes
CROWDED = 0.02  # share of a block's scores within rounding of a positive from which on it is repeated in float64
CLOSE = 6e-6  # share of scores within the rounding of bfloat16 of a positive, times the width, up to which it serves
SAMPLE = 256, 2048  # positives and items that tell
FEW = 16  # up to so many positives per query are counted by comparison, more by sorting rows

Counts = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Way:
    """Queries and a gallery in which they have positives, whose places are to be counted.

    Args:
        scorer: of both. entries: the positives.
        slack: (p,) the distance from a positive's score within which another one is tied with it.
    """

    scorer: Scorer
    entries: Found
    slack: Tensor


class _Products(NamedTuple):
    """Operands of products that are compared: in float32, or in bfloat16, whose scores are compared by their bits.

    errors: what the scores of each way's queries miss at most (before they are written in bfloat16).
    """

    x: Tensor
    y: Tensor
    errors: Sequence[Tensor]


def counted(ways: Sequence[Way], block: tuple[int, int]) -> list[Counts]:
    """(above, tied) of the positives of one way, or of two that are each other's inverse, from the same products.

    Args:
        ways: each with a positive. block: queries and gallery items of the first way in one product.
    """
    if all(int(way.entries.positives.max()) <= FEW for way in ways):
        x, y, bias = ways[0].scorer.single()
        if bias is not None:
            x, y = beside(x, torch.ones_like(x[:, :1])), beside(y, bias[:, None])
        errors = [way.scorer.error(*side, None) for way, side in zip(ways, ((x, y), (y, x)), strict=False)]
        if all(bool((error * 2.0**24).float().isfinite().all()) for error in errors):  # so are the scores then
            products = _Products(x, y, errors)
            if brief.suits(len(x), y):
                rounded = _Products(*brief.operands(x, y))
                products = rounded if _apart(ways, rounded) else products
            return _by_comparison(ways, products, (block[0], min(block[1], WIDEST)))
    return [_by_sorting(way, block[0]) for way in ways]


def count(scores: Tensor, low: Tensor, high: Tensor) -> Counts:
    """(b, P) how many of each row's scores (b, c) are > high, and how many are >= low."""
    if low.shape[1] > FEW:
        ordered = scores.sort(dim=1).values
        width = scores.shape[1]
        more = width - torch.searchsorted(ordered, high.to(scores.dtype).contiguous(), right=True)
        return more, width - torch.searchsorted(ordered, low.to(scores.dtype).contiguous(), right=False)
    # A comparison written as floats and summed is several times faster than one written as booleans.
    flags = torch.empty_like(scores, dtype=torch.float32)
    more = torch.stack([torch.gt(scores, h[:, None], out=flags).sum(1).long() for h in high.unbind(1)], 1)
    return more, torch.stack([torch.ge(scores, h[:, None], out=flags).sum(1).long() for h in low.unbind(1)], 1)


def _by_sorting(way: Way, block: int) -> Counts:
    entries = way.entries
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    block = max(1, min(block, (1 << 24) // max(1, len(way.scorer.y))))
    for here, rows, level, slot in levels(entries, block):
        margin = torch.zeros_like(level)
        margin[slot] = way.slack[here]
        more, least = count(way.scorer.rows(rows), level - margin, level + margin)
        above[here], tied[here] = more[slot], (least - more)[slot]
    return above, tied


@dataclass(frozen=True, eq=False)
class _Block:
    """Some queries and their positives, (b, P) each, and what has been counted for them so far.

    here: their entries. rows: (b,) query rows. slot: where a query has a positive. item: its gallery row, else -1.
    level: exact scores, inf where there is none. margin: the distance within which exact scores are tied.
    bounds: (2 P, b) scores of the product from which on an item may reach each positive, and from which on it is
    certainly above it.
    above, tied: the counts. close: row in the block, gallery row and slot of what is too close to tell.
    """

    here: slice
    rows: Tensor
    slot: Tensor
    item: Tensor
    level: Tensor
    margin: Tensor
    bounds: Tensor
    above: Tensor
    tied: Tensor
    close: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)


def _apart(ways: Sequence[Way], products: _Products) -> bool:
    """Whether few scores are too close to the positives' to be told in bfloat16, by a sample."""
    for way, (x, y), error in zip(ways, (products[:2], products[1::-1]), products.errors, strict=False):
        query, level = way.entries.query[:: len(way.entries.query) // SAMPLE[0] + 1], way.entries.score
        level = level[:: len(level) // SAMPLE[0] + 1, None]
        scores = (x[query] @ y[:: len(y) // SAMPLE[1] + 1].T).double()
        near = (scores - level).abs() <= error[query, None] + brief.ROUNDED * scores.abs()
        others = float(near.double().mean()) - 1 / len(y)  # each positive is near itself
        if others * len(way.entries.query) / way.entries.queries > CLOSE * x.shape[1]:
            return False
    return True


def _by_comparison(ways: Sequence[Way], products: _Products, block: tuple[int, int]) -> list[Counts]:
    """Counts from products; what lies within their error of a positive is decided exactly."""
    x, y, errors = products
    found = [(torch.zeros_like(way.entries.above), torch.zeros_like(way.entries.tied)) for way in ways]
    both, short = len(ways) == 2, x.dtype == torch.bfloat16
    back = list(_blocks(ways[1], errors[1], block[1], True, short)) if both else []
    memory = x.new_empty(min(block[0], len(x)) * min(block[1], len(y)))
    for queries in _blocks(ways[0], errors[0], block[0], both, short):
        some = x[queries.rows]
        for k, items in enumerate(y.split(block[1])):
            scores = torch.mm(some, items.T, out=memory[: len(some) * len(items)].view(len(some), len(items)))
            scores = scores.view(torch.int16) if short else scores
            counts = _reached(scores, queries.bounds, back[k].bounds if both else None)
            _add(ways[0].scorer, queries, scores, counts[0], k * block[1])
            if both:
                _add(ways[1].scorer, back[k], scores.T, counts[1], int(queries.rows[0]))
        _settle(ways[0].scorer, queries, *found[0])
    for queries in back:
        _settle(ways[1].scorer, queries, *found[1])
    return found


def _blocks(way: Way, error: Tensor, size: int, everyone: bool, short: bool) -> Iterator[_Block]:
    """Blocks of the queries that have positives, or of all; with bounds of float32, or of the bits of bfloat16."""
    for here, rows, level, slot in levels(way.entries, size, everyone):
        margin = torch.zeros_like(level)
        margin[slot] = way.slack[here]
        item = torch.full(level.shape, -1, dtype=torch.long, device=level.device)
        item[slot] = way.entries.item[here]
        wide = error[rows, None] + margin
        low, high = (
            torch.nextafter(bound.float(), bound.new_tensor(beyond).float())
            for bound, beyond in ((level - wide, -torch.inf), (level + wide, torch.inf))
        )
        if short:  # one further, as 0 has two signs there, and none of the upper ones rounded down
            low, high = brief.bits(low) - 1, brief.bits(high) + 2
        bounds = torch.cat([low, high], 1).T.contiguous()
        own = slot.long()  # each positive ties with itself
        yield _Block(here, rows, slot, item, level, margin, bounds, torch.zeros_like(own), own)


def _reached(scores: Tensor, of_rows: Tensor, of_columns: Tensor | None) -> list[Tensor]:
    """How many scores (r, c) of each row reach each of its bounds (K, r), and of each column its own (L, c).

    On a CPU a strip of rows is compared with all bounds before the next one, and booleans are counted as bytes, of a
    row eight at once. Bits of bfloat16 are put in order in their place, where a bound is not above 0.
    """
    if scores.device.type != "cpu":
        rows = torch.stack([(scores >= bound[:, None]).sum(1) for bound in of_rows])
        return [rows] if of_columns is None else [rows, torch.stack([(scores >= b).sum(0) for b in of_columns])]
    table, (r, c) = scores.numpy(), scores.shape
    row_levels = of_rows.numpy()
    column_levels = np.empty((0, c), table.dtype) if of_columns is None else of_columns.numpy()
    unordered = table.dtype == np.int16 and min(row_levels.min(), column_levels.min(initial=1)) <= 0
    flags = np.zeros((max(len(row_levels), len(column_levels)), STRIP, -(-c // 8) * 8), dtype=bool)
    words = np.empty(row_levels.shape, dtype=np.uint64)
    totals = np.zeros(column_levels.shape, dtype=np.int32)
    with np.errstate():
        np.setbufsize(BUFFER)
        for start in range(0, r, STRIP):
            here = slice(start, min(start + STRIP, r))
            if unordered:
                brief.in_order(table[here])
            lines = flags[: len(row_levels), : here.stop - start]
            np.greater_equal(table[here], row_levels[:, here, None], out=lines[..., :c])
            np.add.reduce(lines.view(np.uint64), axis=2, out=words[:, here])
            if of_columns is not None:
                reached = flags[: len(column_levels), : here.stop - start, :c]
                np.greater_equal(table[here], column_levels[:, None], out=reached)
                totals += np.add.reduce(reached.view(np.uint8), axis=1, dtype=np.uint8)
    of_each = words.view(np.uint8).reshape(*words.shape, 8).sum(-1, dtype=np.int64)
    return [torch.from_numpy(of_each), torch.from_numpy(totals).long()]


def _add(scorer: Scorer, queries: _Block, scores: Tensor, counts: Tensor, first: int) -> None:
    """Take in the scores (b, c) of gallery items from the first on: what is certain, and what is too close."""
    least, certain = counts.T.chunk(2, 1)
    stop = first + scores.shape[1]
    own = ((queries.item >= first) & (queries.item < stop)).long()
    close = least - certain - own
    crowd = int(close.sum())
    if crowd > CROWDED * scores.numel():  # collapsed embeddings: cheaper to repeat it in float64
        level, margin = queries.level, queries.margin
        certain, least = count(scorer.rows(queries.rows, slice(first, stop)), level - margin, level + margin)
        queries.tied.add_(least - certain - own)
    elif crowd:
        some = close.any(1).nonzero().flatten()
        part, bounds = (v.cpu().numpy() for v in (scores[some], queries.bounds.T[some]))
        nearly, surely = np.split(part[:, None] >= bounds[:, :, None], 2, axis=1)
        where = np.unravel_index(np.flatnonzero(nearly != surely), nearly.shape)
        row, slot, item = (torch.from_numpy(v).to(some.device) for v in where)
        queries.close.append((some[row], item + first, slot))
    queries.above.add_(certain)


def _settle(scorer: Scorer, queries: _Block, above: Tensor, tied: Tensor) -> None:
    """Decide by exact scores what is too close for single precision, and write the counts of the block's entries."""
    if queries.close:
        row, item, slot = (torch.cat(column) for column in zip(*queries.close, strict=True))
        other = item != queries.item[row, slot]
        row, item, slot = row[other], item[other], slot[other]
        lead = scorer.pairs(queries.rows[row], item) - queries.level[row, slot]
        margin = queries.margin[row, slot]
        queries.above.index_put_((row, slot), (lead > margin).long(), accumulate=True)
        queries.tied.index_put_((row, slot), (lead.abs() <= margin).long(), accumulate=True)
    above[queries.here], tied[queries.here] = queries.above[queries.slot], queries.tied[queries.slot]


def levels(entries: Found, block: int, everyone: bool = False) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Blocks of queries: (entries, query rows (b,), scores of their positives (b, P) filled with inf, slots).

    Args:
        everyone: those without a positive too.
    """
    rows, positives = entries.asked, entries.positives
    if everyone:
        rows = torch.arange(entries.queries, device=rows.device)
        positives = torch.bincount(entries.query, minlength=entries.queries)
    ends = torch.cumsum(positives, 0)
    for start in range(0, len(rows), block):
        stop = min(start + block, len(rows))
        here = slice(int(ends[start] - positives[start]), int(ends[stop - 1]))
        count = positives[start:stop]
        slot = torch.arange(max(1, int(count.max())), device=count.device)[None, :] < count[:, None]
        level = torch.full(slot.shape, torch.inf, dtype=torch.float64, device=count.device)
        level[slot] = entries.score[here]
        yield here, rows[start:stop], level, slot
