"""Statistics of a benchmark: intervals over seeds and groups, paired tests, effect sizes, ranks, profiles.

Scores come as matrices (seeds, groups): what each group (a photo with its captions) adds to the mean. Both are samples:
seeds of the runs there might have been, groups of the things there might have been. Seeds share the groups, because
they share the test split, so that intervals and tests are those of a two-way layout (``metrics.crossed``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError
from ..metrics.crossed import Spread, crossed, together

Matrix = np.ndarray
BLOCK = 250  # draws at once
ROUNDING = 1e-12  # share of the largest value within which values are the same, added up in another order


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def draws(matrices: Sequence[Matrix], samples: int = 2000, seed: int = 0) -> np.ndarray:
    """Hierarchical bootstrap means of several methods over the same draws, (samples, methods).

    Each draw takes groups with replacement, the same for all seeds and methods, and for each method seeds with
    replacement; methods with equal numbers of seeds share them.

    Args:
        matrices: (seeds, groups) per method, equal numbers of groups.
        samples, seed: of the draws.

    Reference: Owen 2007, "The pigeonhole bootstrap"; Davison & Hinkley 1997, section 3.8.
    """
    groups = {m.shape[1] for m in matrices}
    if len(groups) != 1:
        raise ModalignError(f"methods must share their groups to be compared, got {sorted(groups)} groups")
    n = groups.pop()
    random = np.random.default_rng(seed)
    out = np.empty((samples, len(matrices)))
    most = max(len(m) for m in matrices)
    for start in range(0, samples, BLOCK):
        size = min(BLOCK, samples - start)
        counts = random.multinomial(n, np.full(n, 1 / n), size=size)
        picks = random.random((size, most))
        for k, m in enumerate(matrices):
            means = counts @ m.T / n
            chosen = (picks[:, : len(m)] * len(m)).astype(int)
            out[start : start + size, k] = np.take_along_axis(means, chosen, 1).mean(1)
    return out


def interval(values: np.ndarray, point: float, level: float = 0.95) -> Interval:
    """Percentile interval of draws around a point value."""
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(point), float(low), float(high))


def levelled(values: np.ndarray) -> np.ndarray:
    """Values of which those within rounding of each other (1e-12 of the largest) are made equal.

    Example:
        >>> levelled(np.array([0.1 + 0.2, 0.3, 1.0])).tolist()
        [0.3, 0.3, 1.0]
    """
    values = np.asarray(values, float)
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    rises = np.diff(ascending, prepend=ascending[:1]) > ROUNDING * np.abs(values).max(initial=0.0)
    first = np.maximum.accumulate(np.where(rises, np.arange(len(values)), 0))
    out = np.empty_like(values)
    out[order] = ascending[first]
    return out


def mean_interval(matrix: Matrix, level: float = 0.95) -> Interval:
    """Mean of a method's scores with the interval over seeds and groups.

    Example:
        >>> ends = mean_interval(np.array([[0.0, 1.0] * 50, [0.2, 1.2] * 50, [0.1, 1.1] * 50]))
        >>> round(ends.value, 6), round(ends.low, 2), round(ends.high, 2)
        (0.6, 0.33, 0.87)
    """
    mean = float(matrix.mean())
    return Interval(mean, *crossed(matrix).interval(mean, level))


def difference_of(x: Matrix, y: Matrix) -> tuple[float, Spread]:
    """Difference of two methods' means and its spread; seed by seed where both have as many, else as of strangers."""
    if x.shape[1] != y.shape[1]:
        raise ModalignError(f"methods must share their groups to be compared, got {sorted({x.shape[1], y.shape[1]})}")
    if len(x) == len(y):
        spread = crossed(differences(x, y))
    else:
        spread = together(crossed(x), crossed(y))
    return float(differences(x.mean(keepdims=True), y.mean(keepdims=True)).item()), spread


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences of paired values, 0 where they are within rounding (1e-12 of the largest value) of none.

    Example:
        >>> differences(np.array([0.1 + 0.2, 1.0]), np.array([0.3, 0.5])).tolist()
        [0.0, 0.5]
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    gap = a - b
    gap[np.abs(gap) <= ROUNDING * max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))] = 0.0
    return gap


def permutation_test(a: np.ndarray, b: np.ndarray, samples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of a paired permutation test: the two values of a group are exchanged at random.

    p = (1 + #{|mean of signed differences| >= |mean difference|}) / (1 + samples). Up to 14 differences that are not 0
    all sign patterns are gone through, and p is exact.

    Args:
        a, b: (groups,) values of two methods, each of one run: what differs between runs is no part of this test.

    Example:
        >>> permutation_test(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0]))
        0.25
    """
    difference = differences(a, b)
    moved = difference[difference != 0]
    if not len(moved):
        return 1.0
    target = abs(moved.sum()) * (1 - 1e-12)
    if len(moved) <= 14:
        signs = 1 - 2 * ((np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1)
        return float((abs(signs @ moved) >= target).mean())
    random = np.random.default_rng(seed)
    beyond = 0
    for start in range(0, samples, BLOCK):
        size = min(BLOCK, samples - start)
        signs = random.integers(0, 2, (size, len(moved)), dtype=np.int8) * 2 - 1
        beyond += int((abs(signs @ moved) >= target).sum())
    return (1 + beyond) / (1 + samples)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: p values that keep the chance of any false alarm below the level.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    out, highest = [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[i]))
        out[i] = highest
    return out


class Comparison(NamedTuple):
    """One method against another on one setting.

    difference: of the means with its interval. p: of the two-way t test over seeds and groups, or with one seed of
    the permutation test over groups. corrected: after Holm's correction.
    effect: mean difference of a group over its standard deviation. better, worse: share of groups.
    """

    method: str
    against: str
    difference: Interval
    p: float
    corrected: float
    effect: float
    better: float
    worse: float

    def json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {**self._asdict(), "difference": self.difference._asdict()}


def compare(matrices: Mapping[str, Matrix], pairs: Sequence[tuple[str, str]], seed: int = 0) -> list[Comparison]:
    """Paired comparisons of methods, p values corrected over all of them together."""
    found = []
    for a, b in pairs:
        x, y = matrices[a], matrices[b]
        mean, spread = difference_of(x, y)
        each = differences(x.mean(0), y.mean(0))
        deviation = float(each.std(ddof=1)) if len(each) > 1 else 0.0
        one_run = len(x) == len(y) == 1
        p = permutation_test(x[0], y[0], seed=seed) if one_run else spread.p(mean)
        effect = mean / deviation if deviation else 0.0
        ends = Interval(mean, *spread.interval(mean))
        found.append(Comparison(a, b, ends, p, p, effect, float((each > 0).mean()), float((each < 0).mean())))
    corrected = holm([c.p for c in found])
    return [c._replace(corrected=p) for c, p in zip(found, corrected, strict=True)]


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, 1 for the highest, ties shared."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.asarray(values), axis=-1))


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
    p = float(friedmanchisquare(*values.T).pvalue)
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

    concordance: Kendall's W of the rankings of the seeds, 1 where all agree. first: chance that a method comes first
    when groups and seeds are drawn again. mean, low, high: of its rank.
    """

    concordance: float
    first: dict[str, float]
    mean: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]


def stability(matrices: Mapping[str, Matrix]) -> Stability:
    """Rank stability of methods on one setting."""
    names = list(matrices)
    drawn = ranks(draws([matrices[n] for n in names]))
    tops = (drawn == drawn.min(1, keepdims=True)).astype(float)
    first = (tops / tops.sum(1, keepdims=True)).mean(0)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    seeds = min(len(m) for m in matrices.values())
    by_seed = ranks(np.stack([[m[s].mean() for m in matrices.values()] for s in range(seeds)]))
    return Stability(
        kendall_w(by_seed),
        dict(zip(names, first.tolist(), strict=True)),
        dict(zip(names, drawn.mean(0).tolist(), strict=True)),
        dict(zip(names, low.tolist(), strict=True)),
        dict(zip(names, high.tolist(), strict=True)),
    )


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
