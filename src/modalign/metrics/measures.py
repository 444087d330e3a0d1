"""Retrieval measures of a ranking, each at its expected value over random orders of tied items.

A positive with G items above and T items in its tie class (P1 of them positive) has each of the ranks G+1 .. G+T with
equal probability. A constant scorer therefore reaches exactly what chance reaches, never more.

All functions return one float64 value per asked query, (q,), unless said otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .found import Found


def any_hit(r: Found, k: int) -> Tensor:
    """Probability that at least one positive is among the first k.

    1 - C(T - P1, s) / C(T, s), s = places of the first k that the best positive's tie class fills.

    Example:
        >>> from .ranking import rank_scores
        >>> any_hit(rank_scores(torch.zeros(1, 5), torch.tensor([[0, 2]])), 1).tolist()
        [0.2]
    """
    above, tied, same = (v[r.first] for v in (r.above, r.tied, r.tied_positive))
    places = torch.minimum((k - above).clamp(min=0), tied)
    one = places.double() / tied
    miss = torch.ones_like(one)
    several = same > 1
    for i in range(int(places[several].max()) if several.any() else 0):
        factor = (tied - same - i).clamp(min=0).double() / (tied - i).clamp(min=1)
        miss = torch.where(i < places, miss * factor, miss)
    return torch.where(several, 1.0 - miss, one)


def hits(r: Found, k: int) -> Tensor:
    """(p,) probability that each positive is among the first k."""
    return torch.minimum((k - r.above).clamp(min=0), r.tied).double() / r.tied


def fraction(r: Found, k: int) -> Tensor:
    """Expected share of the query's positives among the first k."""
    return r.per_query(hits(r, k)) / r.positives


def r_precision(r: Found) -> Tensor:
    """Expected share of positives among the first P, P the query's number of positives."""
    depth = r.of_each(r.positives)
    return r.per_query(torch.minimum((depth - r.above).clamp(min=0), r.tied).double() / r.tied) / r.positives


def first_rank(r: Found) -> Tensor:
    """Expected rank of the best positive, from 1: G + (T + 1) / (P1 + 1)."""
    above, tied, same = (v[r.first].double() for v in (r.above, r.tied, r.tied_positive))
    return above + (tied + 1.0) / (same + 1.0)


def reciprocal_rank(r: Found) -> Tensor:
    """Expected 1 / rank of the best positive: sum_j C(T - j, P1 - 1) / C(T, P1) / (G + j)."""
    above, tied, same = (v[r.first] for v in (r.above, r.tied, r.tied_positive))
    value = _mean_over_ranks(_harmonic(r), above, tied)
    several = ((same > 1) & (tied > 1)).nonzero().flatten()
    if len(several):
        cases, which = torch.unique(torch.stack([above, tied, same], 1)[several], dim=0, return_inverse=True)
        answers = [_first_of_several(*case) for case in cases.tolist()]
        value[several] = torch.tensor(answers, dtype=torch.float64, device=value.device)[which]
    return value


def _first_of_several(above: int, tied: int, same: int) -> float:
    """E[1 / (above + j)], j the place of the first of ``same`` items in a random order of ``tied``."""
    j = torch.arange(1, tied - same + 2, dtype=torch.float64)
    left = torch.tensor(float(tied))
    chance = _log_choose(tied - j, same - 1.0) - _log_choose(left.double(), float(same))
    return float((chance.exp() / (above + j)).sum())


def _log_choose(n: Tensor, k: float) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(torch.tensor(k + 1.0, dtype=torch.float64)) - torch.lgamma(n - k + 1)


def ndcg(r: Found, k: int | None = None) -> Tensor:
    """Expected normalised discounted cumulative gain with binary gains, over the first k or all.

    sum over positives of 1 / log2(1 + rank), divided by the same sum for ranks 1 .. min(P, k).
    """
    depth = r.gallery if k is None else min(k, r.gallery)
    gain = 1.0 / torch.log2(torch.arange(2, r.gallery + 2, dtype=torch.float64, device=r.above.device))
    gain[depth:] = 0.0
    total = torch.cat([gain.new_zeros(1), gain.cumsum(0)])
    return r.per_query(_mean_over_ranks(total, r.above, r.tied)) / total[r.positives.clamp(max=r.gallery)]


def average_precision(r: Found, k: int | str | None = None) -> Tensor:
    """Expected average precision over the first k or all: mean over positives of precision at their rank.

    A positive at place j of its tie class has j - 1 items of the class before it, of which (j - 1)(P1 - 1)/(T - 1)
    are positive on average; ranks beyond k count 0; divided by min(P, k).

    Args:
        r: the ranking.
        k: depth; "R": each query's number of positives P (mAP@R: Musgrave et al. 2020, arXiv 2003.08505, equation 3).
    """
    if k == "R":
        depth, most = r.of_each(r.positives), r.positives
    else:
        limit = r.gallery if k is None else min(int(k), r.gallery)
        depth, most = torch.full_like(r.above, limit), r.positives.clamp(max=limit)
    above, tied = r.above.double(), r.tied.double()
    rate = (r.tied_positive - 1).double() / (tied - 1).clamp(min=1.0)
    inside = torch.minimum((depth - r.above).clamp(min=0), r.tied)
    harmonic = _harmonic(r)
    reach = harmonic[r.above + inside] - harmonic[r.above]
    constant = r.above_positive.double() + 1.0 - rate * (above + 1.0)
    precision = (rate * inside + constant * reach) / tied
    return r.per_query(precision) / most


def closer_than_match(r: Found) -> Tensor:
    """FOSCTTM: mean share of the non-matching items that are closer than a true match, ties counted half; 0 is best.

    Queries whose positives are the whole gallery have nothing closer: 0.

    Reference: Liu et al. 2019, "Jointly embedding multiple single-cell omics measurements", section 4.
    """
    rivals = r.gallery - r.of_each(r.positives)
    closer = (r.above - r.above_positive).double() + 0.5 * (r.tied - r.tied_positive).double()
    return r.per_query(closer / rivals.clamp(min=1)) / r.positives


def fidelity(r: Found) -> Tensor:
    """Score (cosine) of the query with its positives, mean over them. Equal ranks can hide very different values."""
    return r.per_query(r.score) / r.positives


def _harmonic(r: Found) -> Tensor:
    """(m + 1,) sums of 1 / rank over the first ranks."""
    inverse = 1.0 / torch.arange(1, r.gallery + 1, dtype=torch.float64, device=r.above.device)
    return torch.cat([inverse.new_zeros(1), inverse.cumsum(0)])


def _mean_over_ranks(total: Tensor, above: Tensor, tied: Tensor) -> Tensor:
    """Mean of a function of the rank over above + 1 .. above + tied, from its sums."""
    return (total[above + tied] - total[above]) / tied
