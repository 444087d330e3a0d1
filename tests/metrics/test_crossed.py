"""Standard errors of runs x groups: their closed forms at both ends, what must not matter, and degenerate tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from modalign.errors import ModalignError
from modalign.metrics.crossed import Spread, crossed, together
from modalign.metrics.intervals import bootstrap
from modalign.metrics.mean_recall import mean_of, over_runs
from modalign.metrics.score import Measure, Score


def table(runs: int, groups: int, of_runs: float = 0.0, seed: int = 0) -> np.ndarray:
    g = np.random.default_rng(seed)
    return of_runs * g.normal(size=(runs, 1)) + g.normal(size=groups) + g.normal(size=(runs, groups))


def test_one_run_is_students_interval_over_groups() -> None:
    x = table(1, 40)
    low, high = crossed(x).interval(x.mean())
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 39, x.mean(), stats.sem(x[0])))
    assert crossed(x).p(float(x.mean())) == pytest.approx(stats.ttest_1samp(x[0], 0.0).pvalue)


def test_runs_that_differ_much_are_students_interval_over_runs() -> None:
    x = table(4, 200, of_runs=300.0)
    low, high = crossed(x).interval(x.mean())
    expected = stats.t.interval(0.95, 3, x.mean(), stats.sem(x.mean(1)))
    assert (low, high) == pytest.approx(expected, rel=1e-3)
    assert crossed(x).p(float(x.mean())) == pytest.approx(stats.ttest_1samp(x.mean(1), 0.0).pvalue, rel=1e-2)


def test_equal_runs_are_one_run() -> None:
    x = np.repeat(table(1, 60), 3, 0)
    assert crossed(x).error == pytest.approx(crossed(x[:1]).error)
    assert crossed(x).freedom == pytest.approx(59)


def test_mean_squares_are_those_of_the_two_way_layout() -> None:
    x = table(3, 20, of_runs=1.0)
    a, b = x.mean(1), x.mean(0)
    ms_s, ms_g = 20 * ((a - x.mean()) ** 2).sum() / 2, 3 * ((b - x.mean()) ** 2).sum() / 19
    ms_r = sum((x[i, j] - a[i] - b[j] + x.mean()) ** 2 for i in range(3) for j in range(20)) / (2 * 19)
    total = ms_s + ms_g - ms_r
    assert total > max(ms_s, ms_g)
    assert crossed(x).error == pytest.approx((total / 60) ** 0.5)
    satterthwaite = total**2 / (ms_s**2 / 2 + ms_g**2 / 19 + ms_r**2 / 38)
    half = (stats.t.ppf(0.975, 2) ** 2 * (ms_s - ms_r) + stats.t.ppf(0.975, 19) ** 2 * ms_g) ** 0.5
    assert stats.t.ppf(0.975, crossed(x).freedom) == pytest.approx(
        max(half / total**0.5, stats.t.ppf(0.975, satterthwaite)), rel=1e-6
    )


def test_order_and_shift_do_not_matter_and_scale_scales() -> None:
    x = table(3, 30, 0.3)
    g = np.random.default_rng(1)
    moved = crossed(5.0 + 2.0 * x[g.permutation(3)][:, g.permutation(30)])
    assert (moved.error, moved.freedom) == pytest.approx((2 * crossed(x).error, crossed(x).freedom))


def test_degenerate_tables() -> None:
    assert crossed(np.ones((3, 5))) == Spread(0.0, 2.0)
    assert (Spread(0.0, 2.0).p(0.0), Spread(0.0, 2.0).p(0.1), Spread(1.0, 2.0).p(0.0)) == (1.0, 0.0, 1.0)
    with pytest.raises(ModalignError, match="two groups"):
        crossed(np.ones((3, 1)))
    with pytest.raises(ModalignError, match="between 0 and 1"):
        Spread(1.0, 2.0).interval(0.0, 95)


def test_two_independent_means_are_welchs() -> None:
    x, y = table(1, 12), 3 * table(1, 30, seed=1)
    expected = stats.ttest_ind(x[0], y[0], equal_var=False)
    both = together(crossed(x), crossed(y))
    assert both.freedom == pytest.approx(expected.df)
    assert both.p(float(x.mean() - y.mean())) == pytest.approx(expected.pvalue)
    assert together(Spread(0.0, 3.0), Spread(0.0, 5.0)) == Spread(0.0, 3.0)


def test_a_mean_over_runs_covers_both_spreads():
    """Set measures: runs differ by sd 1 and each run's own interval is right for the test items that runs share."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        items = rng.normal(0, 0.5)
        values = items + rng.normal(0, 1, 3)
        mean = over_runs([Score(v, low=v - 0.98, high=v + 0.98, unit="number") for v in values])
        inside += mean.low <= 0 <= mean.high
    assert 0.93 <= inside / 400 <= 0.99


def test_a_mean_over_runs_of_per_item_values_is_that_of_mean_of():
    runs = [bootstrap(Score(float(x.mean()), per_item=x)) for x in torch.rand(3, 50)]
    mean, joint = over_runs(runs), mean_of([[s] for s in runs])
    assert (mean.value, mean.low, mean.high) == pytest.approx((joint.value, joint.low, joint.high))
    assert mean.heading == runs[0].heading
    assert mean.per_item is None


def test_groups_with_more_items_than_others_add_no_spread_by_that_alone():
    """Of equal runs the error is that of a ratio, sd(s - R c) / (mean c sqrt(G)), s and c sums and counts."""
    group = torch.tensor([0, 0, 0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    whole = [Score(1.0, per_item=torch.ones(12), group=group, unit="share")]
    assert (mean_of([whole] * 3).low, mean_of([whole] * 3).high) == (1.0, 1.0)
    hits = torch.tensor([1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1.0])
    share = float(hits.mean())
    sums, counts = np.array([4.0, 0.0, 2.0, 2.0]), np.array([5.0, 1.0, 2.0, 4.0])
    error = (sums - share * counts).std(ddof=1) / (counts.mean() * 2)
    parts = [Score(share, per_item=hits, group=group)]
    found = mean_of([parts] * 3, Measure("Hits", "number", ""))
    assert found.low == pytest.approx(share - stats.t.ppf(0.975, 3) * error)
    assert found.high == pytest.approx(share + stats.t.ppf(0.975, 3) * error)
