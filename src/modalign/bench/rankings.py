"""Methods ranked over settings, and how firm a ranking is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .statistics import Matrix, draws, levelled


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, 1 for the highest, ties (up to rounding) shared.

    Example:
        >>> ranks(np.array([0.3, 0.1 + 0.2, 0.4])).tolist()
        [2.5, 2.5, 1.0]
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.apply_along_axis(levelled, -1, values), axis=-1))


def critical_difference(methods: int, problems: int, level: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks.

    CD = q sqrt(k (k + 1) / (6 n)), q the studentised range over root 2.

    Reference: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", section 3.2.2.

    Example:
        >>> round(critical_difference(5, 30), 3)
        1.114
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, methods, np.inf)) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * problems)) ** 0.5)


def friedman(values: np.ndarray) -> float:
    """p of Friedman's test that all methods (columns) have equal ranks over problems (rows); 1 below three methods."""
    from scipy.stats import friedmanchisquare

    if values.shape[1] < 3 or values.shape[0] < 2:
        return 1.0
    with np.errstate(invalid="ignore"):  # all equal
        p = float(friedmanchisquare(*ranks(values).T).pvalue)
    return p if p == p else 1.0


def profile(values: np.ndarray, ratios: Sequence[float]) -> np.ndarray:
    """Performance profiles: share of problems (rows) on which a method's score is within a ratio of the best.

    rho_m(t) = share of problems with best / score_m <= t, (ratios, methods).

    Reference: Dolan & Moré 2002, "Benchmarking optimization software with performance profiles".

    Example:
        >>> profile(np.array([[2.0, 1.0], [2.0, 2.0]]), [1.0, 2.0]).tolist()
        [[1.0, 0.5], [1.0, 1.0]]
    """
    best = values.max(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(values > 0, best / values, np.inf)
    return np.stack([(ratio <= t * (1 + 1e-12)).mean(0) for t in ratios])


class Stability(NamedTuple):
    """How firm a ranking is.

    concordance: Kendall's W of the rankings of the seeds, 1 where all agree, and of one seed. first: chance that a
    method comes first when groups and seeds are drawn again.
    """

    concordance: float
    first: dict[str, float]


def stability(matrices: Mapping[str, Matrix], seeds: Mapping[str, Sequence[int]] | None = None) -> Stability:
    """Rank stability of methods on one setting.

    Args:
        matrices: (seeds, groups) per method.
        seeds: method -> the seeds of its rows, of which those that all methods have are compared; None: rows as they
            come.
    """
    names = list(matrices)
    drawn = ranks(draws([matrices[n] for n in names]))
    tops = (drawn == drawn.min(1, keepdims=True)).astype(float)
    first = (tops / tops.sum(1, keepdims=True)).mean(0)
    of_each = {m: list(seeds[m]) if seeds else list(range(len(matrix))) for m, matrix in matrices.items()}
    common = sorted(set.intersection(*map(set, of_each.values())))
    table = [[matrices[m][of_each[m].index(s)].mean() for m in names] for s in common]
    concordance = kendall_w(ranks(np.array(table))) if common else 1.0
    return Stability(concordance, dict(zip(names, first.tolist(), strict=True)))


def kendall_w(rankings: np.ndarray) -> float:
    """Kendall's coefficient of concordance of rankings (raters, items), in [0, 1]; 1 for one rater or one item.

    W = 12 sum_i (R_i - mean R)^2 / (m^2 (n^3 - n) - m sum of ties).

    Example:
        >>> kendall_w(np.array([[1, 2, 3], [1, 2, 3]]))
        1.0
    """
    m, n = rankings.shape
    if m < 2 or n < 2:
        return 1.0
    ties = sum(float((c**3 - c).sum()) for row in rankings for c in [np.unique(row, return_counts=True)[1]])
    bottom = m**2 * (n**3 - n) - m * ties
    if bottom <= 0:
        return 1.0
    return float(12 * ((rankings.sum(0) - rankings.sum(0).mean()) ** 2).sum() / bottom)
