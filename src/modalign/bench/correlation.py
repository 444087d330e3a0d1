"""Does tighter geometry mean better tasks? Rank correlations over the cells of a bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..metrics.crossed import Spread, together
from .statistics import Interval, interval, levelled

FEWEST = 5  # cells below which a correlation says nothing


class CellFacts(NamedTuple):
    """One cell: its method, setting, pairs known in training, geometry and score."""

    method: str
    setting: str
    pairs: int
    geometry: dict[str, float]
    score: float


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation; NaN where one side is constant.

    Example:
        >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
        1.0
    """
    return pearson(_ranked(x), _ranked(y))


def partial_spearman(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Rank correlation of x and y with a third variable's ranks taken out.

    r_xy.z = (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)).
    """
    a, b, c = _ranked(x), _ranked(y), _ranked(given)
    if np.ptp(c) == 0:
        return pearson(a, b)
    xy, xz, yz = pearson(a, b), pearson(a, c), pearson(b, c)
    bottom = (1 - xz**2) * (1 - yz**2)
    return float((xy - xz * yz) / bottom**0.5) if bottom > 1e-12 else float("nan")


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Linear correlation; NaN where one side is constant or there are fewer than three values."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x @ y) / (x @ x * (y @ y)) ** 0.5, -1, 1))


def _ranked(x: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties (up to rounding) shared; the many small calls of a bootstrap make scipy's own too slow."""
    _, where, count = np.unique(levelled(x), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[where])


def correlate(rows: Sequence[CellFacts], samples: int = 300, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Correlation of every geometry measure with the score.

    Returns: measure -> kind -> Interval as a table, or None where there are too few cells. Kinds: "all" (Spearman over
        all cells), "given budget" (the number of pairs taken out), "within method" (mean over methods, each over its
        settings and seeds) and "across methods" (mean over settings, each over methods). Intervals draw blocks of
        cells with one method and setting, whose seeds are not independent.
    """
    names = sorted({name for r in rows for name in r.geometry})
    out: dict[str, dict[str, Any]] = {}
    for name in names:
        own = [r for r in rows if np.isfinite(r.geometry.get(name, np.nan))]
        columns = Columns(
            np.array([r.geometry[name] for r in own]), np.array([r.score for r in own]),
            np.array([r.pairs for r in own], float), np.array([r.method for r in own]),
            np.array([r.setting for r in own]),
        )  # fmt: skip
        blocks = _blocks(own)
        out[name] = {kind: _with_interval(f, blocks, columns, samples, seed) for kind, f in KINDS.items()}
    return out


class Columns(NamedTuple):
    """The cells of one measure, column by column."""

    x: np.ndarray
    y: np.ndarray
    pairs: np.ndarray
    method: np.ndarray
    setting: np.ndarray


KINDS: dict[str, Callable[[Columns], float]] = {
    "all": lambda c: spearman(c.x, c.y),
    "given budget": lambda c: partial_spearman(c.x, c.y, c.pairs),
    "within method": lambda c: _mean_within(c.x, c.y, c.method),
    "across methods": lambda c: _mean_within(c.x, c.y, c.setting),
}


def _mean_within(x: np.ndarray, y: np.ndarray, label: np.ndarray) -> float:
    """Mean rank correlation within equal labels, by Fisher's z, weighted by the number of cells less three."""
    total, weight = 0.0, 0.0
    for one in np.unique(label):
        here = label == one
        r = spearman(x[here], y[here]) if here.sum() >= FEWEST else float("nan")
        if r == r:
            share = float(here.sum() - 3)
            total += share * np.arctanh(np.clip(r, -0.999, 0.999))
            weight += share
    return float(np.tanh(total / weight)) if weight else float("nan")


def _blocks(rows: Sequence[CellFacts]) -> list[list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for i, r in enumerate(rows):
        found.setdefault((r.method, r.setting), []).append(i)
    return list(found.values())


def _with_interval(
    f: Callable[[Columns], float], blocks: list[list[int]], columns: Columns, samples: int, seed: int
) -> dict[str, float] | None:
    point = f(columns)
    if len(columns.x) < FEWEST or point != point:
        return None
    random = np.random.default_rng(seed)
    values = []
    for _ in range(samples):
        picked = random.integers(len(blocks), size=len(blocks))
        rows = [i for b in picked for i in blocks[b]]
        value = f(Columns(*(c[rows] for c in columns)))
        if value == value:
            values.append(value)
    ends = interval(np.array(values), point) if len(values) >= samples / 2 else Interval(point, -1.0, 1.0)
    return ends._asdict()


def procrustes_change(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], change: float) -> Interval:
    """Change of the Procrustes distance with its interval, from distances on the same halves of the test groups.

    Args:
        ours, theirs: seeds x halves. change: of the distances on all groups.

    With halves, the spread over subsamples is that of the whole (factor sqrt(q / (1 - q)) = 1); the spread over seeds
    comes to it: error^2 = var_h(mean_s) + var_s(mean_h) / S.

    Reference: Politis, Romano & Wolf 1999, "Subsampling", chapter 2.
    """
    gaps = np.asarray(ours, float) - np.asarray(theirs, float)
    groups = Spread(float(gaps.mean(0).std(ddof=1)), gaps.shape[1] - 1.0)
    if len(gaps) > 1:
        groups = together(groups, Spread(float(gaps.mean(1).std(ddof=1)) / len(gaps) ** 0.5, len(gaps) - 1.0))
    return Interval(change, *groups.interval(change))
