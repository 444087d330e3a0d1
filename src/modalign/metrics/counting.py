"""Counting, for each positive, the gallery items above it and level with it: fast where certain, exact where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..geometry.cost import beside
from ..geometry.neighbours import Scorer
from .found import Found

STRIP = 16  # blocks of queries whose counts are looked at together
BYTE = 255  # booleans that one byte can count
CROWDED = 0.02  # share of a block's scores within rounding of a positive from which on it is repeated in float64
FEW = 16  # up to so many positives per query are counted by comparison, more by sorting rows


def count(scores: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
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


def by_sorting(scorer: Scorer, entries: Found, slack: Tensor, block: int) -> tuple[Tensor, Tensor]:
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    block = max(1, min(block, (1 << 24) // max(1, len(scorer.y))))
    for here, rows, level, slot in levels(entries, block):
        margin = torch.zeros_like(level)
        margin[slot] = slack[here]
        more, least = count(scorer.rows(rows), level - margin, level + margin)
        above[here], tied[here] = more[slot], (least - more)[slot]
    return above, tied


@dataclass(frozen=True)
class _Strip:
    """Some queries and their positives, (b, P) each, and what has been counted for them so far.

    rows: (b,) query rows. item: gallery rows, -1 where a query has fewer positives. level: exact scores, margin: the
    distance within which exact scores are tied. above, tied: the counts.
    queries: (b, d + 2 or more) single-precision rows whose product with a `_part` of the gallery is how far a score
    lies above the first positive, each query in a unit of its own.
    bounds: (2 P, b) of that from which on an item may reach each positive, and from which on it is certainly above it;
    those of the first positives are the same for all queries.
    """

    rows: Tensor
    item: Tensor
    level: Tensor
    margin: Tensor
    above: Tensor
    tied: Tensor
    queries: Tensor
    bounds: Tensor


def by_comparison(scorer: Scorer, entries: Found, slack: Tensor, block: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Counts from single-precision products; what lies within their error of a positive is decided exactly."""
    x, y, bias = scorer.single()
    error = scorer.error(x, y, bias)
    if not all(bool(v.float().isfinite().all()) for v in (error, entries.score, *(() if bias is None else (bias,)))):
        return by_sorting(scorer, entries, slack, block[0])
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    memory = y.new_empty(min(block[0], len(x)) * min(block[1], len(y)))
    for here, rows, level, slot in levels(entries, STRIP * block[0]):
        margin = torch.zeros_like(level)
        margin[slot] = slack[here]
        item = torch.full(level.shape, -1, dtype=torch.long, device=x.device)
        item[slot] = entries.item[here]
        own = slot.long()  # each positive ties with itself
        strip = _Strip(
            rows, item, level, margin, torch.zeros_like(own), own, *_leads(x, error, bias, rows, level, margin)
        )
        close = []
        for start in range(0, len(y), block[1]):
            columns = slice(start, min(start + block[1], len(y)))
            close += _add_part(scorer, strip, columns, _part(y, bias, columns), block[0], memory)
        if close:
            _settle(scorer, strip, *(torch.cat(column) for column in zip(*close, strict=True)))
        above[here], tied[here] = strip.above[slot], strip.tied[slot]
    return above, tied


def _leads(
    x: Tensor, error: Tensor, bias: Tensor | None, rows: Tensor, level: Tensor, margin: Tensor
) -> tuple[Tensor, Tensor]:
    """`_Strip`'s queries and bounds: [x, -first level, 1] and what rounding and margin leave open, in powers of 2."""
    first = level[:, :1].float()
    beyond = first.abs().double() + (0.0 if bias is None else bias.abs().max().double())
    wide = error[rows, None] + (x.shape[1] + 12) * 2.0**-24 * beyond + 2.0**-23 * level.abs().nan_to_num(posinf=0.0)
    wide = wide + margin
    unit = torch.ldexp(torch.ones_like(beyond), -torch.frexp(wide[:, :1]).exponent)
    lead = level - first
    low, high = (lead - wide) * unit, (lead + wide) * unit
    low[:, 0], high[:, 0] = -1.0, 1.0
    bounds = torch.cat([low.float(), torch.nextafter(high.float(), high.new_tensor(torch.inf).float())], 1)
    more = [-first] if bias is None else [-first, torch.ones_like(first)]
    return beside(x[rows], *more) * unit.float(), bounds.T.contiguous()


def _part(y: Tensor, bias: Tensor | None, columns: slice) -> Tensor:
    """(c, d + 1 or more) some of the gallery as `_Strip.queries` want it: [y, 1, bias]."""
    items = y[columns]
    one = torch.ones_like(items[:, :1])
    return beside(items, *([one] if bias is None else [one, bias[columns, None]]))


def _add_part(
    scorer: Scorer, strip: _Strip, columns: slice, items: Tensor, block: int, memory: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Count what is certain in a part of the gallery; (row of the strip, gallery row, slot) of what is too close."""
    counts = []
    for queries, bounds in zip(strip.queries.split(block), strip.bounds.split(block, 1), strict=True):
        out = memory[: len(items) * len(queries)].view(len(items), len(queries))
        counts.append(_reached(torch.mm(items, queries.T, out=out), bounds))
    least, certain = torch.cat(counts, 1).T.chunk(2, 1)
    own = ((strip.item >= columns.start) & (strip.item < columns.stop)).long()
    close = least - certain - own
    crowd, found = int(close.sum()), []
    if crowd > CROWDED * len(strip.rows) * len(items):  # collapsed embeddings: cheaper to repeat it in float64
        for some in torch.arange(len(close), device=close.device).split(block):
            level, margin = strip.level[some], strip.margin[some]
            certain[some], least[some] = count(scorer.rows(strip.rows[some], columns), level - margin, level + margin)
        strip.tied.add_(least - certain - own)
    elif crowd:  # products anew, which round otherwise in another shape
        for some in close.any(1).nonzero().flatten().split(block):
            nearly, surely = (torch.mm(items, strip.queries[some].T)[:, None] >= strip.bounds[:, some]).chunk(2, 1)
            certain[some] = surely.sum(0).T
            item, slot, row = (nearly & ~surely).nonzero().unbind(1)
            found.append((some[row], item + columns.start, slot))
    strip.above.add_(certain)
    return found


def _reached(scores: Tensor, bounds: Tensor) -> Tensor:
    """(2 P, b) how many of the scores (c, b) of each query reach each of its bounds, as `_Strip` has them.

    On a CPU booleans are compared with one number where it is the same for all queries, and counted in single bytes:
    both are several times faster.
    """
    if scores.device.type != "cpu":
        return torch.stack([(scores >= bound).sum(0) for bound in bounds])
    rows, positives = scores.numpy(), len(bounds) // 2
    levels = [bound.numpy() if k % positives else bound[0].item() for k, bound in enumerate(bounds)]
    flags = np.empty((min(BYTE, len(rows)), rows.shape[1]), dtype=bool)
    found = np.empty((-(-len(rows) // BYTE), *bounds.shape), dtype=np.uint8)
    for part, counts in enumerate(found):
        some = rows[part * BYTE : (part + 1) * BYTE]
        reached = flags[: len(some)]
        for level, of_level in zip(levels, counts, strict=True):
            np.greater_equal(some, level, out=reached)
            np.add.reduce(reached.view(np.uint8), axis=0, out=of_level)
    return torch.from_numpy(found.sum(0, dtype=np.int64))


def _settle(scorer: Scorer, strip: _Strip, row: Tensor, column: Tensor, slot: Tensor) -> None:
    """Decide by exact scores what is too close to a positive for single precision."""
    other = column != strip.item[row, slot]
    row, column, slot = row[other], column[other], slot[other]
    lead = scorer.pairs(strip.rows[row], column) - strip.level[row, slot]
    margin = strip.margin[row, slot]
    strip.above.index_put_((row, slot), (lead > margin).long(), accumulate=True)
    strip.tied.index_put_((row, slot), (lead.abs() <= margin).long(), accumulate=True)


def levels(entries: Found, block: int) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
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
