"""Exact nearest neighbours in blocks of queries: never an n x m matrix, ties by index."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import ModalignError
from ...parameters import Count, checked
from ..cost import Rows
from . import brief, flat, tiles
from .scorer import Scorer

BLOCK = 1 << 27  # bytes of scores held at once
QUERIES = 512  # at most at a time
SETTLED = 4096  # whose candidates are scored exactly at a time
VAGUE = 1e-9  # rounding beside a score from which on it may hide better ones
BEYOND = torch.finfo(torch.float32).max * 2.0**-24  # error of products that may be more than float32 holds
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
    rounded: float = 0.0  # share of a score that is lost when it is written


def _search(scorer: Scorer, k: int, without_self: bool, block: int | None) -> tuple[Tensor, Tensor]:
    """Exact float64 scores and indices of the k best of each query."""
    operands = scorer.single()
    task = _Task(scorer, *operands, scorer.error(*operands), k, without_self)
    left = torch.arange(len(task.x), device=task.x.device)
    values = torch.empty(len(left), k, dtype=torch.float64, device=left.device)
    indices = torch.empty(len(left), k, dtype=torch.long, device=left.device)
    if block is None and task.bias is None:
        if brief.suits(len(left), task.y):
            left = _by_brief(task, left, values, indices)
        if len(left) and flat.suits(len(left), task.y, k + 2 + without_self):
            left = torch.cat([_by_faiss(task, here, values, indices) for here in left.split(flat.QUERIES)])
    if len(left):
        left = _by_blocks(task, left, block, SPARE, values, indices)
        for part in left.split(max(1, BLOCK // (16 * len(task.y)))):
            values[part], indices[part] = _thorough(scorer, part, k, without_self)
    return values, indices


def _by_brief(task: _Task, queries: Tensor, values: Tensor, indices: Tensor) -> Tensor:
    """Write what products in bfloat16 tell; which queries are left: all from a block on of which too many are."""
    x, y, (error, _) = brief.operands(task.x, task.y)
    task = task._replace(x=x, y=y, error=error, rounded=brief.ROUNDED)
    left: list[Tensor] = []
    for here in queries.split(SETTLED):
        if left and len(left[-1]) > brief.UNSURE * SETTLED:
            left.append(here)
        else:
            left.append(_by_blocks(task, here, None, brief.spare(task.k), values, indices))
    return torch.cat(left)


def _by_faiss(task: _Task, queries: Tensor, values: Tensor, indices: Tensor) -> Tensor:
    """Write what faiss tells of some queries; those of which one candidate more was not enough are left."""
    top, found = flat.candidates(task.x[queries], task.y, task.k + 2 + task.without_self)
    if task.without_self:  # where the query itself is not among them, the last one goes
        own = found == queries[:, None]
        own[:, -1] |= ~own.any(1)
        top, found = (v[~own].view(len(queries), -1) for v in (top, found))
    values[queries], indices[queries], unsure = _settled(task, queries, top, found.clamp_(min=0), task.k + 1)
    return queries[unsure]


def _by_blocks(task: _Task, queries: Tensor, block: int | None, spare: int, values: Tensor, indices: Tensor) -> Tensor:
    """Write scores and indices of some queries, from products in blocks; of which so many spare ones do not do."""
    m = len(task.y)
    part = min(m, brief.GALLERY) if task.rounded else m
    width = tiles.padded(part, task.x.dtype)
    rows = block or max(16, min(QUERIES, BLOCK // (width * task.x.dtype.itemsize)))
    keep = min(task.k + spare, m - task.without_self)
    # Rows a power of two apart would fall on the same lines of the cache: hence the odd stride.
    memory = task.x.new_empty(min(rows, len(queries)), width + 24)[:, :width]
    left = []
    for some in queries.split(SETTLED):
        found = [_candidates(task, here, memory[: len(here)], part, min(keep + 1, m)) for here in some.split(rows)]
        top, where = (torch.cat(column) for column in zip(*found, strict=True))
        values[some], indices[some], unsure = _settled(task, some, top, where, keep)
        left.append(some[unsure])
    return torch.cat(left)


def _candidates(task: _Task, queries: Tensor, memory: Tensor, part: int, k: int) -> tuple[Tensor, Tensor]:
    """The k largest scores of each query, falling, and their gallery rows; from so many rows at a time."""
    x, found = task.x[queries], []
    for start in range(0, len(task.y), part):
        y = task.y[start : start + part]
        bias = None if task.bias is None else task.bias[start : start + part]
        scores = memory[:, : tiles.padded(len(y), x.dtype)]
        scores[:, len(y) :] = -torch.inf
        best = tiles.products(x, y, bias, scores, queries - start if task.without_self else None)
        top, where = tiles.largest(scores, best, min(k, len(y)))
        # Columns behind the last row are found where too few scores are above 0.
        found.append((top, where.clamp_(max=len(y) - 1).add_(start)))
    if len(found) == 1:
        return found[0]
    top, where = (torch.cat(column, 1) for column in zip(*found, strict=True))
    top, best_of = top.topk(k, 1)
    return top, where.gather(1, best_of)


def _settled(task: _Task, queries: Tensor, top: Tensor, found: Tensor, keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Exact scores and indices of the k best among the first candidates, and where others might belong to them."""
    # What was left out scores at most top[:, keep]; within twice the error it might belong to the k best.
    last = top[:, task.k - 1].double()
    hidden = top[:, keep].double() if top.shape[1] > keep else torch.full_like(last, -torch.inf)
    error = task.error[queries]
    doubt = torch.where(error < BEYOND, 2 * error, torch.inf)
    if task.rounded:  # what is not above 0 is in no order there
        doubt = torch.where(hidden > 0, doubt + task.rounded * (last + hidden), torch.inf)
    unsure = ~(last - hidden > doubt)
    return *_order(task.exact, queries, found[:, :keep], task.k), unsure


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
