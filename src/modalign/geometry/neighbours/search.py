"""Exact nearest neighbours in blocks of queries: never an n x m matrix, ties by index."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError
from .similarity import Similarity

BLOCK_NUMBERS = 1 << 23  # scores held at once: 32 MB of float32
GROUP = 32  # gallery items whose best score is taken first, so that the selection sorts few numbers
SPARE = 4  # candidates beyond k, to make it unlikely that rounding hides a neighbour


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
    scorer = Similarity(x, y, metric)
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


def _search(scorer: Similarity, k: int, without_self: bool, block: int | None) -> tuple[Tensor, Tensor]:
    """Exact float64 scores and indices of the k best of each query."""
    x, y, bias = scorer.single()
    error = scorer.error(x, y, bias)
    n, m = len(x), len(y)
    width = -(-m // GROUP) * GROUP
    rows = block or max(16, min(1024, BLOCK_NUMBERS // width))
    keep = min(k + SPARE, m - without_self)
    buffer = torch.full((min(rows, n), width), -torch.inf, device=x.device)
    values = torch.empty(n, k, dtype=torch.float64, device=x.device)
    indices = torch.empty(n, k, dtype=torch.long, device=x.device)
    for start in range(0, n, rows):
        here = torch.arange(start, min(start + rows, n), device=x.device)
        scores = buffer[: len(here)]
        torch.mm(x[here], y.T, out=scores[:, :m])
        if bias is not None:
            scores[:, :m] += bias
        if without_self:
            scores[torch.arange(len(here), device=x.device), here] = -torch.inf
        top, candidates = _largest(scores, min(keep + 1, m))
        # What was left out scores at most top[:, keep]; within twice the error it might belong to the k best.
        hidden = top[:, keep] if top.shape[1] > keep else torch.full_like(top[:, 0], -torch.inf)
        unsure = (top[:, k - 1].double() - hidden.double()) <= 2 * error[here]
        values[here], indices[here] = _order(scorer, here, candidates[:, :keep], k)
        doubtful = unsure.nonzero().flatten()
        for part in doubtful.split(max(1, BLOCK_NUMBERS // m)) if len(doubtful) else ():
            values[here[part]], indices[here[part]] = _thorough(scorer, here[part], k, without_self)
    return values, indices


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, falling, with their columns (b, k).

    Columns are dealt into groups; the k largest lie in the k groups with the largest maxima.
    """
    b, width = scores.shape
    if width < 4 * k * GROUP:
        top, where = scores.topk(min(k, width), 1)
        return top, where
    stride = width // GROUP
    best = scores.view(b, GROUP, stride).amax(1)
    group = best.topk(k, 1).indices
    columns = (group[:, :, None] + stride * torch.arange(GROUP, device=scores.device)).flatten(1)
    top, where = scores.gather(1, columns).topk(k, 1)
    return top, columns.gather(1, where)


def _order(scorer: Similarity, queries: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best candidates of each query by exact score, ties by index."""
    candidates = candidates.sort(1).values
    left = queries[:, None].expand_as(candidates).flatten()
    exact = scorer.pairs(left, candidates.flatten()).view(candidates.shape)
    exact, order = exact.sort(dim=1, descending=True, stable=True)
    return exact[:, :k], candidates.gather(1, order[:, :k])


def _thorough(scorer: Similarity, queries: Tensor, k: int, without_self: bool) -> tuple[Tensor, Tensor]:
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
