"""Simulations with known truth: intervals hold it as often as they say, p values are uniform where nothing differs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from modalign.bench import correlation
from modalign.bench import statistics as s
from modalign.geometry.procrustes import disparity
from modalign.metrics import intervals as sc
from modalign.metrics.mean_recall import mean_of
from modalign.metrics.score import Score
from modalign.views import Views

pytestmark = pytest.mark.slow
LOW, HIGH, SLACK = 0.93, 0.97, 0.012  # slack: two standard errors of a share of 1,500 near .95


def held(times: int, once: Callable[[np.random.Generator], tuple[float, float, float]]) -> float:
    """Share of repetitions whose (low, high) holds the truth."""
    inside = 0
    for k in range(times):
        low, high, truth = once(np.random.default_rng(k))
        inside += low <= truth <= high
    return inside / times


def scores(g: np.random.Generator, seeds: int, groups: int, of_seeds: float, of_groups: float = 1.0) -> np.ndarray:
    rest = g.normal(size=(seeds, groups))
    return of_seeds * g.normal(size=(seeds, 1)) + of_groups * g.normal(size=groups) + rest


RUNS = [(3, 120, 0.2), (3, 120, 0.5), (3, 120, 1.4), (3, 1000, 0.2), (3, 1000, 1.4), (5, 400, 0.5), (10, 400, 0.5)]


@pytest.mark.parametrize(("seeds", "groups", "of_seeds"), RUNS)
def test_intervals_of_a_bench_hold_the_mean_over_runs_and_groups(seeds: int, groups: int, of_seeds: float) -> None:
    def once(g: np.random.Generator) -> tuple[float, float, float]:
        found = s.mean_interval(scores(g, seeds, groups, of_seeds))
        return found.low, found.high, 0.0

    assert LOW - SLACK < held(1500, once) < HIGH + SLACK


@pytest.mark.parametrize("of_seeds", [0.0, 0.2, 0.5, 0.97, 3.0])
@pytest.mark.parametrize("seeds", [3, 5])
def test_p_values_of_equal_methods_are_uniform_whatever_differs_between_runs(seeds: int, of_seeds: float) -> None:
    p, inside = [], 0
    for k in range(1000):
        g = np.random.default_rng(k)
        common = g.normal(size=300)  # what makes a group easy for both
        x, y = (common + scores(g, seeds, 300, of_seeds) for _ in range(2))
        found = s.compare({"a": x, "b": y}, [("a", "b")])[0]
        p.append(found.p)
        inside += found.difference.low <= 0.0 <= found.difference.high
    for level in (0.01, 0.05, 0.1, 0.25, 0.5):
        assert np.mean(np.array(p) < level) == pytest.approx(
            level, abs=3.0 * (level * (1 - level) / 1000) ** 0.5 + 0.01
        )
    assert LOW - SLACK < inside / 1000 < HIGH + 2 * SLACK


@pytest.mark.parametrize(("of_a", "of_b"), [(0.97, 0.1), (0.5, 0.5)])
def test_methods_of_unequal_numbers_of_seeds(of_a: float, of_b: float) -> None:
    def once(g: np.random.Generator) -> tuple[float, float, float]:
        pair = {"a": scores(g, 5, 200, of_a), "b": scores(g, 3, 200, of_b)}
        return (*s.compare(pair, [("a", "b")])[0].difference[1:], 0.0)

    assert LOW - SLACK < held(1000, once) < 1.0


def test_p_values_of_one_seed_are_uniform() -> None:
    p = [
        s.compare({"a": scores(g, 1, 60, 0.0), "b": scores(g, 1, 60, 0.0)}, [("a", "b")], seed=k)[0].p
        for k in range(400)
        for g in [np.random.default_rng(k)]
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("runs", [1, 3])
def test_mean_recall_of_runs(runs: int) -> None:
    """Hits of queries in groups of three, of which some are easier and some runs better."""
    truth = 0.5

    def once(g: np.random.Generator) -> tuple[float, float, float]:
        group = np.repeat(np.arange(150), 3)
        easy = g.normal(size=150)
        better = (0.3 if runs > 1 else 0.0) * g.normal(size=runs)
        parts = []
        for r in range(runs):
            chance = stats.norm.cdf(easy[group] + better[r])
            hits = torch.from_numpy((g.random(450) < chance).astype(float))
            parts.append([Score(float(hits.mean()), per_item=hits, group=torch.from_numpy(group))])
        found = mean_of(parts, samples=400)
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high, truth

    assert LOW - SLACK < held(1000, once) < HIGH + SLACK


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_bootstrap_over_groups(statistic: str) -> None:
    """Skewed values, five to a group."""

    def once(g: np.random.Generator) -> tuple[float, float, float]:
        group = np.repeat(np.arange(200), 5)
        values = g.exponential(size=200)[group] + (0.0 if statistic == "median" else 0.3) * g.normal(size=1000)
        score = Score(0.0, per_item=torch.from_numpy(values), group=torch.from_numpy(group), statistic=statistic)
        found = sc.bootstrap(score, samples=400)
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high, 1.0 if statistic == "mean" else float(np.log(2))

    assert LOW - SLACK < held(800, once) < HIGH + SLACK


def paired(g: np.random.Generator, n: int, d: int, noise: float) -> Views:
    z = g.normal(size=(n, d)) * np.linspace(2, 0.3, d)
    x, y = (torch.from_numpy(z + noise * g.normal(size=(n, d))) for _ in range(2))
    unit = torch.nn.functional.normalize
    return Views.from_arrays(a=unit(x, dim=1), b=unit(y, dim=1))


def distance(v: Views) -> float:
    return disparity(v["a"], v["b"])


@pytest.mark.parametrize(("n", "d", "noise"), [(120, 16, 0.5), (120, 16, 1.0), (400, 16, 0.7), (200, 4, 0.5)])
def test_procrustes_by_subsampling(n: int, d: int, noise: float) -> None:
    """The truth is the mean distance of sets of this size: the distance grows with the size for any given pair."""
    truth = float(np.mean([distance(paired(np.random.default_rng(10**6 + k), n, d, noise)) for k in range(3000)]))

    def once(g: np.random.Generator) -> tuple[float, float, float]:
        z = paired(g, n, d, noise)
        low, high = sc.resample_scores(lambda v: {"distance": Score(distance(v))}, z)["distance"](distance(z))
        return low, high, truth

    assert LOW - 0.02 < held(400, once) < HIGH + 0.02


@pytest.mark.parametrize(("seeds", "of_seeds"), [(3, 0.0), (3, 0.02), (5, 0.01)])
def test_change_of_the_procrustes_distance_over_halves_and_seeds(seeds: int, of_seeds: float) -> None:
    """Half of the groups vary as much about the whole as the whole about the truth: a mean shows it."""

    def once(g: np.random.Generator) -> tuple[float, float, float]:
        groups = 0.1 * g.normal(size=200)
        whole = groups.mean() + of_seeds * g.normal(size=seeds)
        halves = np.array([groups[g.permutation(200)[:100]].mean() - groups.mean() for _ in range(40)])
        ours = whole[:, None] + halves
        found = correlation.procrustes_change(ours, np.zeros_like(ours), float(whole.mean()))
        return found.low, found.high, 0.0

    assert LOW - SLACK < held(1500, once) < HIGH + SLACK
