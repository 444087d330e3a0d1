"""Exact nearest neighbours in blocks of queries: never an n x m matrix, ties by index."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Count, checked
from ..cost import Rows
from . import flat
from .scorer import Scorer

BLOCK_NUMBERS = 1 << 25  # scores held at once: 128 MB of float32
QUERIES = 512  # at most at a time
TILE = 1024  # gallery items in one product, so that its scores are still in the cache when their maxima are taken
GROUP = 8  # gallery items whose best score is taken first, so that the selection sorts few numbers
GROUPS = 8  # groups of them whose best score is taken before that
VAGUE = 1e-9  # rounding beside a score from which on it may hide better ones
SPARE = 2  # candidates beyond k, to make it unlikely that rounding hides a neighbour


@checked
def knn(
    x: Rows,
    y: Tensor | None = None,
    k: Count = 10,
    *,
    metric: str = "cosine",
    exclude_self: bool | None = None,
    block: Count | None = None,
) -> tuple[Tensor, Tensor]:
    """The k nearest rows of y for every row of x, exactly.

    Among equally near rows the one with the smaller index comes first. The order is that of float64 scores computed
    pair by pair, so it does not depend on ``block``; scores that agree to float64's rounding may count as equal.

    Args:
        x: (n, d) queries, any float dtype. No gradient flows: take distances of the returned indices for that.
        y: (m, d) gallery; None: x itself.
        k: how many; fewer come back when the gallery has fewer.
        metric: "cosine" (values are similarities, falling), "dot" (inner products, falling) or
            "euclidean" (distances, rising).
        exclude_self: leave out item i as a neighbour of query i, by index. Default: exactly when y is None.
        block: queries at a time; default by memory.

    Returns:
        values (n, k'), indices (n, k') int64, k' = min(k, m), or min(k, m - 1) without self; values are float32, or
        float64 for float64 inputs.

    Raises:
        ModalignError: shapes, dtypes or values that have no neighbours; k < 1; self excluded between unequal sets.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> knn(x, k=1)[1].flatten().tolist()
        [1, 0, 0]
    """
    own = y is None
    without_self = own if exclude_self is None else exclude_self
    x = x.detach()
    y = x if y is None else y.detach()
    if without_self and len(x) != len(y):
        raise ModalignError(f"leaving out self needs row i of both sets to be one item, got {len(x)} and {len(y)} rows")
    scorer = Scorer(x, y, metric)
    k = min(k, len(y) - bool(without_self)) if len(y) else 0
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    if k <= 0 or len(x) == 0:
        empty = torch.empty(len(x), max(k, 0), device=x.device)
        return empty.to(dtype), empty.long()
    values, indices = _search(scorer, k, without_self, block)
    if metric == "cosine":
        values = values.clamp(-1.0, 1.0)
    elif metric == "euclidean":
        values = values.neg().clamp_(min=0.0).sqrt_()
    return values.to(dtype), indices


class _Task(NamedTuple):
    """What is searched: exact scores, single-precision operands and the error of their products, k, and self or not."""

    exact: Scorer
    x: Tensor
    y: Tensor
    bias: Tensor | None
    error: Tensor
    k: int
    without_self: bool


def _search(scorer: Scorer, k: int, without_self: bool, block: int | None) -> tuple[Tensor, Tensor]:
    """Exact float64 scores and indices of the k best of each query."""
    operands = scorer.single()
    task = _Task(scorer, *operands, scorer.error(*operands), k, without_self)
    left = torch.arange(len(task.x), device=task.x.device)
    values = torch.empty(len(left), k, dtype=torch.float64, device=left.device)
    indices = torch.empty(len(left), k, dtype=torch.long, device=left.device)
    if block is None and task.bias is None and flat.suits(task.x, task.y, k + 2 + without_self):
        unsure = []
        for here in left.split(flat.QUERIES):
            values[here], indices[here], again = _by_faiss(task, here)
            unsure.append(here[again])
        left = torch.cat(unsure)
    if len(left):
        _by_blocks(task, left, block, values, indices)
    return values, indices


def _by_faiss(task: _Task, here: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and indices of neighbouring queries, and for which of them one candidate more was not enough."""
    top, found = flat.candidates(task.x[here[0] : here[-1] + 1], task.y, task.k + 2 + task.without_self)
    if task.without_self:  # where the query itself is not among them, the last one goes
        own = found == here[:, None]
        own[:, -1] |= ~own.any(1)
        top, found = (v[~own].view(len(here), -1) for v in (top, found))
    return _settled(task, here, top, found, task.k + 1)


def _by_blocks(task: _Task, queries: Tensor, block: int | None, values: Tensor, indices: Tensor) -> None:
    """Write scores and indices of some queries, from products in blocks."""
    m = len(task.y)
    width = -(-m // TILE) * TILE if m > TILE else m
    rows = block or max(16, min(QUERIES, BLOCK_NUMBERS // width))
    keep = min(task.k + SPARE, m - task.without_self)
    # Rows a power of two apart would fall on the same lines of the cache: hence the odd stride.
    memory = torch.empty(min(rows, len(queries)), width + 24, device=queries.device)[:, :width]
    memory[:, m:] = -torch.inf
    for here in queries.split(rows):
        scores = memory[: len(here)]
        best = _scores(task.x[here], task.y, task.bias, scores, here if task.without_self else None)
        values[here], indices[here], unsure = _settled(task, here, *_largest(scores, best, min(keep + 1, m)), keep)
        doubtful = here[unsure]
        for part in doubtful.split(max(1, BLOCK_NUMBERS // (4 * m))) if len(doubtful) else ():
            values[part], indices[part] = _thorough(task.exact, part, task.k, task.without_self)


def _settled(task: _Task, queries: Tensor, top: Tensor, found: Tensor, keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Exact scores and indices of the k best among the first candidates, and where others might belong to them."""
    # What was left out scores at most top[:, keep]; within twice the error it might belong to the k best.
    hidden = top[:, keep] if top.shape[1] > keep else torch.full_like(top[:, 0], -torch.inf)
    unsure = (top[:, task.k - 1].double() - hidden.double()) <= 2 * task.error[queries]
    return *_order(task.exact, queries, found[:, :keep], task.k), unsure


def _scores(x: Tensor, y: Tensor, bias: Tensor | None, out: Tensor, own: Tensor | None) -> Tensor | None:
    """Write the scores of some queries to ``out`` (b, width); return the maxima of its groups, None for a single tile.

    The columns of a tile are dealt into TILE / GROUP groups: column c of a tile is in its group c mod (TILE / GROUP).
    ``own``: the gallery row that is each query itself; its score becomes -inf.
    """
    b, width = out.shape
    best = torch.empty(b, width // GROUP, device=x.device) if width > TILE else None
    for start in range(0, len(y), TILE):
        stop = min(start + TILE, len(y))
        torch.mm(x, y[start:stop].T, out=out[:, start:stop])
        if bias is not None:
            out[:, start:stop] += bias[start:stop]
        if own is not None:
            mine = ((own >= start) & (own < stop)).nonzero().flatten()
            out[mine, own[mine]] = -torch.inf
        if best is not None:
            groups = best[:, start // GROUP : (start + TILE) // GROUP]
            torch.amax(out[:, start : start + TILE].unflatten(1, (GROUP, TILE // GROUP)), 1, out=groups)
    return best


def _largest(scores: Tensor, best: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, falling, with their columns (b, k).

    They lie in the k groups with the best maxima, and these in the k groups of groups with the best of these.
    """
    if best is None or k > best.shape[1]:
        top, where = scores.topk(k, 1)
        return top, where
    per_tile = TILE // GROUP
    coarse = best.unflatten(1, (-1, GROUPS, per_tile // GROUPS)).amax(2).flatten(1)
    if k > coarse.shape[1]:
        groups = best.topk(k, 1).indices
    else:
        groups = _among(best, _members(coarse.topk(k, 1).indices, per_tile, GROUPS), k)[1]
    return _among(scores, _members(groups, TILE, GROUP), k)


def _members(groups: Tensor, tile: int, size: int) -> Tensor:
    """(b, k size) columns of groups (b, k): column c of a tile is in its group c mod (tile / size)."""
    count = tile // size
    first = groups // count * tile + groups % count
    return (first[:, :, None] + count * torch.arange(size, device=groups.device)).flatten(1)


def _among(scores: Tensor, columns: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row among some columns (b, c), with their columns."""
    top, where = scores.gather(1, columns).topk(k, 1)
    return top, columns.gather(1, where)


def _order(scorer: Scorer, queries: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best candidates of each query by exact score, ties by index."""
    candidates = candidates.sort(1).values
    exact, order = scorer.candidates(queries, candidates).sort(dim=1, descending=True, stable=True)
    return exact[:, :k], candidates.gather(1, order[:, :k])


def _thorough(scorer: Scorer, queries: Tensor, k: int, without_self: bool) -> tuple[Tensor, Tensor]:
    """The same for queries with many nearly equal candidates, through full rows in float64."""
    scores = scorer.rows(queries)
    if without_self:
        scores[torch.arange(len(queries), device=scores.device), queries] = -torch.inf
    edge = scores.topk(k, 1).values[:, -1:]
    slack = scorer.slack(queries, edge)
    above = scores > edge + slack
    tied = (scores >= edge - slack) & ~above
    free = k - above.sum(1, keepdim=True)
    chosen = above | (tied & (tied.cumsum(1) <= free))
    candidates = chosen.nonzero()[:, 1].view(len(queries), k)
    exact, found = _order(scorer, queries, candidates, k)
    if scorer.metric != "cosine":  # all lengths are alike there
        near = above | tied
        vague = (near.sum(1) > k) & (slack > VAGUE * edge.abs())[:, 0] & (exact[:, -1] != 0)
        again = vague.nonzero().flatten()
        if len(again):
            exact[again], found[again] = _apart(scorer, queries[again], near[again], k)
    return exact, found


def _apart(scorer: Scorer, queries: Tensor, near: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best among all candidates (b, m) of each query, told apart pair by pair.

    Products of all are rounded by the longest rows, and squares of a large set by more than small distances in it are
    long; those of one pair, and of its difference, are not.
    """
    count = near.sum(1, keepdim=True)
    place = torch.arange(int(count.max()), device=near.device)
    columns = near.byte().argsort(dim=1, descending=True, stable=True)[:, : len(place)]
    exact = scorer.candidates(queries, columns).masked_fill_(place >= count, -torch.inf)
    exact, order = exact.sort(dim=1, descending=True, stable=True)
    return exact[:, :k], columns.gather(1, order[:, :k])
