"""Exact nearest neighbours in blocks of queries: never an n x m matrix, ties by index."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError
from .scorer import Scorer

BLOCK_NUMBERS = 1 << 25  # scores held at once: 128 MB of float32
QUERIES = 512  # at most at a time
TILE = 1024  # gallery items in one product, so that its scores are still in the cache when their maxima are taken
GROUP = 16  # gallery items whose best score is taken first, so that the selection sorts few numbers
SPARE = 3  # candidates beyond k, to make it unlikely that rounding hides a neighbour


def knn(
    x: Tensor,
    y: Tensor | None = None,
    k: int = 10,
    *,
    metric: str = "cosine",
    exclude_self: bool | None = None,
    block: int | None = None,
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
    if k < 1:
        raise ModalignError(f"the number of neighbours k must be at least 1, got {k}")
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


def _search(scorer: Scorer, k: int, without_self: bool, block: int | None) -> tuple[Tensor, Tensor]:
    """Exact float64 scores and indices of the k best of each query."""
    x, y, bias = scorer.single()
    error = scorer.error(x, y, bias)
    n, m = len(x), len(y)
    width = -(-m // TILE) * TILE if m > TILE else m
    rows = block or max(16, min(QUERIES, BLOCK_NUMBERS // width))
    keep = min(k + SPARE, m - without_self)
    # Rows a power of two apart would fall on the same lines of the cache: hence the odd stride.
    memory = torch.full((min(rows, n), width + 24), -torch.inf, device=x.device)[:, :width]
    values = torch.empty(n, k, dtype=torch.float64, device=x.device)
    indices = torch.empty(n, k, dtype=torch.long, device=x.device)
    for start in range(0, n, rows):
        here = torch.arange(start, min(start + rows, n), device=x.device)
        scores = memory[: len(here)]
        best = _scores(x[start : start + rows], y, bias, scores, start if without_self else None)
        top, candidates = _largest(scores, best, min(keep + 1, m))
        # What was left out scores at most top[:, keep]; within twice the error it might belong to the k best.
        hidden = top[:, keep] if top.shape[1] > keep else torch.full_like(top[:, 0], -torch.inf)
        unsure = (top[:, k - 1].double() - hidden.double()) <= 2 * error[here]
        values[here], indices[here] = _order(scorer, here, candidates[:, :keep], k)
        doubtful = unsure.nonzero().flatten()
        for part in doubtful.split(max(1, BLOCK_NUMBERS // (4 * m))) if len(doubtful) else ():
            values[here[part]], indices[here[part]] = _thorough(scorer, here[part], k, without_self)
    return values, indices


def _scores(x: Tensor, y: Tensor, bias: Tensor | None, out: Tensor, self_start: int | None) -> Tensor | None:
    """Write the scores of some queries to ``out`` (b, width); return the maxima of its groups, None for a single tile.

    The columns of a tile are dealt into TILE / GROUP groups: column c of a tile is in its group c mod (TILE / GROUP).
    ``self_start``: the gallery row that is query 0 itself, and so on; its score becomes -inf.
    """
    b, width = out.shape
    best = torch.empty(b, width // GROUP, device=x.device) if width > TILE else None
    own = None if self_start is None else torch.arange(b, device=x.device)
    for start in range(0, len(y), TILE):
        stop = min(start + TILE, len(y))
        torch.mm(x, y[start:stop].T, out=out[:, start:stop])
        if bias is not None:
            out[:, start:stop] += bias[start:stop]
        if own is not None and self_start is not None:
            mine = own[(own + self_start >= start) & (own + self_start < stop)]
            out[mine, mine + self_start] = -torch.inf
        if best is not None:
            groups = best[:, start // GROUP : (start + TILE) // GROUP]
            torch.amax(out[:, start : start + TILE].unflatten(1, (GROUP, TILE // GROUP)), 1, out=groups)
    return best


def _largest(scores: Tensor, best: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, falling, with their columns (b, k): they lie in the k groups with the best maxima."""
    if best is None or k > best.shape[1]:
        top, where = scores.topk(k, 1)
        return top, where
    per_tile = TILE // GROUP
    group = best.topk(k, 1).indices
    first = group // per_tile * TILE + group % per_tile
    columns = (first[:, :, None] + per_tile * torch.arange(GROUP, device=scores.device)).flatten(1)
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
    slack = scorer.tolerance() * edge.abs().clamp(min=1.0)
    above = scores > edge + slack
    tied = (scores >= edge - slack) & ~above
    free = k - above.sum(1, keepdim=True)
    chosen = above | (tied & (tied.cumsum(1) <= free))
    candidates = chosen.nonzero()[:, 1].view(len(queries), k)
    return _order(scorer, queries, candidates, k)
