"""One list for old items, which are mapped, and new ones, which are not: scores made comparable."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError
from ..views.tables import matrix
from .lists import nearest, overlap

LEAST_RANKS = 5  # nearest items of a query that a calibration looks at, at least


class Calibration(NamedTuple):
    """score of an old item = slope <q, f(x)> + level, which is then comparable to <q, y> of a new item."""

    slope: float
    level: float


def calibrate(queries: Tensor, mapped: Tensor, true: Tensor, own: Tensor | None = None) -> Calibration:
    """The line that gives mapped items the scores that their true vectors have near the top, rank by rank.

    slope a_r + level ~ b_r by least squares over the first ranks r, a_r and b_r the mean scores at rank r of lists of
    mapped and of true rows. A mapped row has lost part of what it says: its cosine with the nearest queries is lower
    than that of the row which the new model would give, and with the others it may be higher. So a tenth of the
    ranks is taken, no more: a store is denser than what was tested, and its lists lie above. Regression item by
    item would only push mapped ones down (it shrinks to the mean); equal scores by rank let each origin have its share.

    Args:
        queries: (q, d) of the new model. mapped: (n, d) f(x) and true: (n, d) the new model's rows of the same items,
            which the adapter has not seen. own: (q,) the item that each query is itself, which is left out.

    Example:
        >>> q = torch.nn.functional.normalize(torch.randn(80, 8, generator=torch.Generator().manual_seed(0)), dim=1)
        >>> Calibration(*(round(v, 3) for v in calibrate(q, q, q)))
        Calibration(slope=1.0, level=0.0)
    """
    k = min(len(true) - 1, max(LEAST_RANKS, len(true) // 10))
    q, mapped, true = (normalize(v, dim=1) for v in (queries, mapped, true))
    a, b = (_by_rank(q @ v.T, k, own) for v in (mapped, true))
    slope = float(((a - a.mean()) * (b - b.mean())).sum() / ((a - a.mean()) ** 2).sum().clamp(min=1e-12))
    return Calibration(slope, float(b.mean()) - slope * float(a.mean()))


def _by_rank(scores: Tensor, k: int, own: Tensor | None) -> Tensor:
    """(k,) mean score at each of the first ranks."""
    if own is not None:
        scores = scores.scatter(1, own[:, None], -2.0)
    return scores.topk(k, dim=1).values.mean(0)


def mixed_rows(x: Any, calibration: Calibration | None = None) -> Tensor:
    """Rows for one index of both origins, (n, d + 2), all of length 1: cosine in it is the calibrated score, scaled.

    [slope x, level, rest] / C for old items, [x, 0, rest] / C for new ones, with C = 2 and the rest making up the
    length. Against ``mixed_query`` the cosine is score / (C sqrt 2).

    Args:
        x: (n, d) mapped rows, with their calibration, or new ones without; what ``views.tables.numbers`` reads.

    Example:
        >>> row, q = torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0]])
        >>> score = mixed_query(q) @ mixed_rows(row, Calibration(1.1, 0.05)).T * SCALE
        >>> round(float(score), 4)
        0.71
    """
    slope, level = calibration or Calibration(1.0, 0.0)
    x = normalize(matrix(x, "rows"), dim=1)
    rest = C * C - slope**2 - level**2
    if rest <= 0:
        raise ModalignError(
            f"a calibration of slope {slope} and level {level} is out of the range that a row can carry"
        )
    more = torch.tensor([level, rest**0.5]).expand(len(x), 2)
    return torch.cat([slope * x, more], 1) / C


def model_rows(x: np.ndarray) -> np.ndarray:
    """Rows of ``mixed_rows`` (n, d + 2) as they were, (n, d) of length 1: mapped ones, and the new model's own.

    Example:
        >>> model_rows(mixed_rows(torch.tensor([[0.6, 0.8]]), Calibration(1.1, 0.05)).numpy()).round(3)
        array([[0.6, 0.8]], dtype=float32)
    """
    return x[:, :-2] / np.linalg.norm(x[:, :-2], axis=1, keepdims=True)


def mixed_query(q: Tensor) -> Tensor:
    """Queries for an index of ``mixed_rows``: [q, 1, 0] / sqrt 2."""
    q = normalize(q.float(), dim=1)
    return torch.cat([q, torch.ones(len(q), 1), torch.zeros(len(q), 1)], 1) / 2**0.5


C = 2.0
SCALE = C * 2**0.5  # cosine in the mixed index x SCALE = score


def shown(queries: Tensor, mapped: Tensor, true: Tensor, k: int = 10, seed: int = 0) -> dict[str, Any]:
    """A mixed gallery of held-out items, half of them mapped: what is kept of the new model's own lists.

    The line is fitted on one half of the queries and used on the other.

    Returns:
        {"items", "raw", "calibrated": overlap@k, "old_share_raw", "old_share_calibrated": share of mapped items in the
        lists, "slope", "level"}; half of the items are mapped, so a fair share is near .5.
    """
    n = len(true)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    old = torch.zeros(n, dtype=torch.bool)
    old[order[: n // 2]] = True
    half = torch.arange(n) % 2 == 0
    rows = torch.arange(n)
    line = calibrate(queries[half], mapped, true, rows[half])
    own = rows[~half]
    q = queries[~half]
    want = nearest(q, true, k, "cosine", own)
    out: dict[str, Any] = {"items": n, "slope": round(line.slope, 4), "level": round(line.level, 4)}
    for name, use in (("raw", Calibration(1.0, 0.0)), ("calibrated", line)):
        gallery = torch.where(old[:, None], mixed_rows(mapped, use), mixed_rows(true))
        found = nearest(mixed_query(q), gallery, k, "cosine", own)
        out[name] = round(float(overlap(found, want).mean()), 4)
        out[f"old_share_{name}"] = round(float(old[found].float().mean()), 4)
    return out
