"""The largest scores of each query, from products of matrices in tiles, without sorting them all."""

from __future__ import annotations

import torch
from torch import Tensor

TILE = 4096  # bytes of scores of a query in one product: they are still in the cache when their maxima are taken
GROUP = 8  # gallery items whose best score is taken first, so that the selection sorts few numbers
GROUPS = 8  # groups of them whose best score is taken before that
MOST_PACKED = 1 << 16  # columns that are told by 16 bits


def ordered(scores: Tensor) -> Tensor:
    """Scores as numbers of the same order that are compared quickly: of bfloat16 the bits, in order above 0."""
    return scores.view(torch.int16) if scores.dtype == torch.bfloat16 else scores


def tile_of(dtype: torch.dtype) -> int:
    """Gallery items in one product."""
    return TILE // dtype.itemsize


def padded(rows: int, dtype: torch.dtype) -> int:
    """Columns that so many gallery items take: whole tiles, where there are several."""
    tile = tile_of(dtype)
    return -(-rows // tile) * tile if rows > tile else rows


def products(x: Tensor, y: Tensor, bias: Tensor | None, out: Tensor, own: Tensor | None) -> Tensor | None:
    """Write the scores of some queries to ``out`` (b, width); return the maxima of its groups, None for a single tile.

    The columns of a tile are dealt into tile / GROUP groups: column c of a tile is in its group c mod (tile / GROUP).
    ``own``: the gallery row that is each query itself; its score becomes -inf.
    """
    (b, width), tile = out.shape, tile_of(out.dtype)
    best = ordered(out.new_empty(b, width // GROUP)) if width > tile else None
    for start in range(0, len(y), tile):
        stop = min(start + tile, len(y))
        torch.mm(x, y[start:stop].T, out=out[:, start:stop])
        if bias is not None:
            out[:, start:stop] += bias[start:stop]
        if own is not None:
            mine = ((own >= start) & (own < stop)).nonzero().flatten()
            out[mine, own[mine]] = -torch.inf
        if best is not None:
            groups = best[:, start // GROUP : (start + tile) // GROUP]
            torch.amax(ordered(out[:, start : start + tile]).unflatten(1, (GROUP, tile // GROUP)), 1, out=groups)
    return best


def largest(scores: Tensor, best: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, falling, with their columns (b, k).

    They lie in the k groups with the best maxima, and these in the k groups of groups with the best of these.
    """
    if best is None or k > best.shape[1]:
        top, where = scores.topk(k, 1)
        return top, where
    tile = tile_of(scores.dtype)
    per_tile = tile // GROUP
    coarse = best.unflatten(1, (-1, GROUPS, per_tile // GROUPS)).amax(2).flatten(1)
    if k > coarse.shape[1]:
        groups = _top(best, k)[1]
    else:
        groups = _among(best, _members(_top(coarse, k)[1], per_tile, GROUPS), k)[1]
    top, where = _among(ordered(scores), _members(groups, tile, GROUP), k)
    return top.view(scores.dtype), where


def _members(groups: Tensor, tile: int, size: int) -> Tensor:
    """(b, k size) columns of groups (b, k): column c of a tile is in its group c mod (tile / size)."""
    count = tile // size
    first = groups // count * tile + groups % count
    return (first[:, :, None] + count * torch.arange(size, device=groups.device)).flatten(1)


def _among(scores: Tensor, columns: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row among some columns (b, c), with their columns."""
    top, where = _top(scores.gather(1, columns), k)
    return top, columns.gather(1, where)


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, falling, with their columns.

    Numbers of 16 bits are sorted with their columns behind them, by numpy: a seventh of the time of selecting them.
    """
    width = scores.shape[1]
    if scores.dtype != torch.int16 or width > MOST_PACKED:
        top, where = scores.topk(k, 1)
        return top, where
    packed = scores.int().bitwise_left_shift_(16).bitwise_or_(torch.arange(width, dtype=torch.int32))
    packed.numpy().sort(1)
    first = packed[:, -k:].flip(1)
    return (first >> 16).short(), (first & (MOST_PACKED - 1)).long()
