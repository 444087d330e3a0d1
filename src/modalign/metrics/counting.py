"""Counting, for each positive, the gallery items above it and level with it: fast where certain, exact where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry.neighbours import Scorer
from .found import Found

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


def by_comparison(scorer: Scorer, entries: Found, slack: Tensor, block: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Counts from single-precision products; what lies within their error of a positive is decided exactly."""
    x, y, bias = scorer.single()
    error = scorer.error(x, y, bias)
    above, tied = torch.zeros_like(entries.above), torch.zeros_like(entries.tied)
    memory, flags = torch.empty(2, min(block[0], len(x)) * min(block[1], len(y)), device=x.device)
    for here, rows, level, slot in levels(entries, block[0]):
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
    scorer: Scorer, strip: _Strip, scores: Tensor, start: int, flags: Tensor
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
        certain, least = count(exact, strip.level - strip.margin, strip.level + strip.margin)
        strip.tied.add_(least - certain - own)
        found = []
    strip.above.add_(certain)
    return found


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
