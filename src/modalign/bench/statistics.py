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


def alike(values: np.ndarray, largest: float) -> bool:
    """Whether values are the same within rounding (1e-12) of the largest number that they were made of.

    Example:
        >>> alike(np.array([0.3, 0.1 + 0.2]), 1.0)
        True
    """
    return float(np.ptp(values)) <= ROUNDING * largest


def mean_interval(matrix: Matrix, level: float = 0.95) -> Interval:
    """Mean of a method's scores with the interval over seeds and groups.

    Example:
        >>> ends = mean_interval(np.array([[0.0, 1.0] * 50, [0.2, 1.2] * 50, [0.1, 1.1] * 50]))
        >>> round(ends.value, 6), round(ends.low, 2), round(ends.high, 2)
        (0.6, 0.33, 0.87)
    """
    mean = float(matrix.mean())
    return Interval(mean, *crossed(matrix).interval(mean, level))


def difference_of(x: Matrix, y: Matrix, paired: bool) -> tuple[float, Spread]:
    """Difference of two methods' means and its spread; seed by seed where both have the same, else as of strangers."""
    if x.shape[1] != y.shape[1]:
        raise ModalignError(f"methods must share their groups to be compared, got {sorted({x.shape[1], y.shape[1]})}")
    if paired:
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
    target = abs(moved.sum()) - ROUNDING * np.abs(moved).sum()
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
    effect: mean difference of a group over its standard deviation, 0 where all groups differ alike.
    better, worse: share of groups.
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


def compare(
    matrices: Mapping[str, Matrix],
    pairs: Sequence[tuple[str, str]],
    seed: int = 0,
    seeds: Mapping[str, Sequence[int]] | None = None,
    evened: Mapping[str, Matrix] | None = None,
) -> list[Comparison]:
    """Paired comparisons of methods, p values corrected over all of them together.

    Args:
        matrices: (seeds, groups) per method. pairs: which methods. seed: of the permutations.
        seeds: method -> the seeds of its rows; None: methods with as many rows have the same.
        evened: the same matrices for spreads, where groups have unequal numbers of items (`Sums.evened`).
    """
    spreads = matrices if evened is None else evened
    runs = seeds or {m: range(len(matrix)) for m, matrix in matrices.items()}
    found = []
    for a, b in pairs:
        x, y = matrices[a], matrices[b]
        mean, spread = difference_of(spreads[a], spreads[b], paired=list(runs[a]) == list(runs[b]))
        each = differences(x.mean(0), y.mean(0))
        deviation = 0.0 if alike(each, max(np.abs(x).max(), np.abs(y).max())) else float(each.std(ddof=1))
        one_run = len(x) == len(y) == 1
        p = permutation_test(x[0], y[0], seed=seed) if one_run else spread.p(mean)
        effect = mean / deviation if deviation else 0.0
        ends = Interval(mean, *spread.interval(mean))
        found.append(Comparison(a, b, ends, p, p, effect, float((each > 0).mean()), float((each < 0).mean())))
    corrected = holm([c.p for c in found])
    return [c._replace(corrected=p) for c, p in zip(found, corrected, strict=True)]
