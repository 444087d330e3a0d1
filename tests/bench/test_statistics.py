"""Statistics against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from modalign.bench import correlation, rankings
from modalign.bench import statistics as s
from modalign.errors import ModalignError
from modalign.metrics.mean_recall import Sums, sums_of
from modalign.metrics.score import Score


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_bootstrap_of_one_seed_has_the_standard_error_of_the_mean(random: np.random.Generator) -> None:
    x = random.normal(size=(1, 400))
    drawn = s.draws([x], 4000)[:, 0]
    assert drawn.std() == pytest.approx(x.std() / 20, rel=0.06)
    found = s.interval(drawn, x.mean())
    assert found.low < x.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.08)


def test_bootstrap_holds_the_spread_over_seeds() -> None:
    seeds = np.array([[0.0], [1.0], [2.0]]) + np.zeros((3, 50))
    drawn = s.draws([seeds], 4000)[:, 0]
    assert drawn.std() == pytest.approx((2 / 3 / 3) ** 0.5, rel=0.06)  # no spread over groups


def test_draws_are_shared_by_methods(random: np.random.Generator) -> None:
    x = random.normal(size=(3, 100))
    both = s.draws([x, x + 1], 200)
    assert np.allclose(both[:, 1] - both[:, 0], 1.0)
    with pytest.raises(ModalignError, match="share their groups"):
        s.draws([x, x[:, :50]])


def test_permutation_test_is_exact_for_few_and_near_scipy_for_many(random: np.random.Generator) -> None:
    a, b = random.normal(size=(2, 10))
    exact = stats.permutation_test((a, b), lambda u, v: np.mean(u - v), permutation_type="samples", n_resamples=np.inf)
    assert s.permutation_test(a, b) == pytest.approx(exact.pvalue)
    a, b = random.normal(size=(2, 300))
    t = stats.ttest_rel(a, b - 0.15)
    assert s.permutation_test(a, b - 0.15) == pytest.approx(t.pvalue, abs=0.02)
    assert s.permutation_test(a, a) == 1.0
    assert s.permutation_test(a, a + 1) == pytest.approx(1 / 10001)


def test_permutation_test_keeps_its_level(random: np.random.Generator) -> None:
    p = [s.permutation_test(*random.normal(size=(2, 40)), samples=500) for _ in range(300)]
    assert np.mean(np.array(p) < 0.05) < 0.09


def test_holm() -> None:
    assert s.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert s.holm([]) == []
    assert s.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_comparison_gives_difference_effect_and_shares(random: np.random.Generator) -> None:
    x = random.normal(size=(3, 200))
    found = s.compare({"a": x + 0.5, "b": x, "c": x}, [("a", "b"), ("b", "c")])
    assert found[0].difference.value == pytest.approx(0.5)
    assert found[0].p <= found[0].corrected < 0.001
    assert (found[0].better, found[0].worse) == (1.0, 0.0)
    assert (found[1].p, found[1].effect) == (1.0, 0.0)
    noisy = s.compare({"a": x, "b": random.normal(size=(3, 200))}, [("a", "b")])[0]
    assert abs(noisy.effect) < 0.3
    assert noisy.better + noisy.worse == 1.0


def test_groups_of_unequal_size_add_no_spread_to_means_and_differences(random: np.random.Generator) -> None:
    """Every query of one method hits, half of each group's of the other: the difference is .5, whatever is drawn."""
    group = torch.from_numpy(np.repeat(np.arange(60), 2 * random.integers(1, 5, 60)))
    hits = {"all": torch.ones(len(group)), "half": torch.arange(len(group)) % 2.0}
    sums = {m: sums_of([Score(float(v.mean()), per_item=v, group=group)]) for m, v in hits.items()}
    each, evened = (
        {m: f(v).numpy()[None].repeat(2, 0) for m, v in sums.items()} for f in (Sums.of_each_group, Sums.evened)
    )
    one = s.mean_interval(evened["half"])
    assert (one.low, one.high) == pytest.approx((0.5, 0.5))
    found = s.compare(each, [("all", "half")], evened=evened)[0]
    assert found.difference == pytest.approx((0.5, 0.5, 0.5))
    assert (found.better, found.worse) == (1.0, 0.0)
    wide = s.compare(each, [("all", "half")])[0].difference
    assert wide.high - wide.low > 0.1


def test_effect_is_the_mean_gap_over_its_standard_deviation() -> None:
    x, y = np.array([[0.0, 1.0, 4.0, 3.0]]), np.zeros((1, 4))
    found = s.compare({"a": x, "b": y}, [("a", "b")])[0]
    assert found.effect == pytest.approx(2.0 / (10 / 3) ** 0.5)  # squares 4 + 1 + 4 + 1 over n - 1 = 3


def test_groups_that_all_differ_alike_have_no_effect_of_rounding(random: np.random.Generator) -> None:
    x = random.random((3, 50))
    found = s.compare({"a": x, "b": x - 0.1}, [("a", "b")])[0]
    assert (found.difference.value, found.effect) == (pytest.approx(0.1), 0.0)


def test_differences_that_cancel_are_none_whatever_rounding_leaves(random: np.random.Generator) -> None:
    """Half of the signs of a sum of 0 give 0 again: none is nearer, p is 1."""
    whole = random.integers(1, 4, 400)
    gaps = random.permutation(np.concatenate([whole, -whole])) / 5
    assert gaps.sum() != 0.0
    assert s.permutation_test(gaps, np.zeros(800), samples=2000) == 1.0
    assert s.permutation_test(np.array([0.1, 0.2, -0.3]), np.zeros(3)) == 1.0


def test_ranks_share_ties_up_to_rounding() -> None:
    values = np.array([[0.1 + 0.2, 0.3, 0.2], [0.3, 0.1 + 0.2, 0.2], [0.3, 0.3, 0.2]])
    assert rankings.ranks(values).tolist() == [[1.5, 1.5, 3.0]] * 3
    assert rankings.friedman(values) == pytest.approx(stats.friedmanchisquare(*np.round(values, 9).T).pvalue)


def test_concordance_compares_rows_of_one_seed(random: np.random.Generator) -> None:
    """Methods a and b lead by turns, seed by seed; b has lost its first seed."""
    a, b = (np.array(v)[:, None] + np.zeros((3, 20)) for v in ([0.3, 0.1, 0.3], [0.2, 0.2, 0.2]))
    found = rankings.stability({"a": a, "b": b[1:]}, {"a": [0, 1, 2], "b": [1, 2]})
    assert found.concordance == rankings.kendall_w(np.array([[2, 1], [1, 2]])) == 0.0
    assert rankings.stability({"a": a[:1], "b": b[1:]}, {"a": [0], "b": [1, 2]}).concordance == 1.0


def test_concordance_of_rankings_with_ties() -> None:
    whole = rankings.kendall_w(np.array([[1.5, 1.5, 3.0, 4.0]] * 3))
    assert whole == pytest.approx(1.0)  # full agreement, ties and all
    one, two = np.array([1.5, 1.5, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0])
    squares = ((one + two - 5.0) ** 2).sum()
    assert rankings.kendall_w(np.array([one, two])) == pytest.approx(12 * squares / (4 * 60 - 2 * 6))
    assert rankings.kendall_w(np.array([[2.0, 2.0, 2.0]] * 2)) == 1.0


def test_correlations_within_methods_weigh_by_their_cells() -> None:
    """Fisher's z of each method, weighted by its number of cells less three."""
    random = np.random.default_rng(4)
    sizes = {"few": 6, "many": 43}
    rows, z = [], {}
    for name, n in sizes.items():
        x, noise = random.normal(size=(2, n))
        y = (1.0 if name == "few" else -0.3) * x + noise
        rows += [
            correlation.CellFacts(name, f"s{i}", i, {"g": a}, b) for i, (a, b) in enumerate(zip(x, y, strict=True))
        ]
        z[name] = np.arctanh(stats.spearmanr(x, y).statistic)
    expected = np.tanh((3 * z["few"] + 40 * z["many"]) / 43)
    assert correlation.correlate(rows, samples=2)["g"]["within method"]["value"] == pytest.approx(expected)


def test_critical_difference_is_the_table_of_demsar() -> None:
    # q(.05) for 2, 5, 10 methods: 1.960, 2.728, 3.164 (Demšar 2006, table 5a)
    for k, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        assert rankings.critical_difference(k, 14) == pytest.approx(q * (k * (k + 1) / (6 * 14)) ** 0.5, rel=1e-3)


def test_ranks_friedman_and_concordance(random: np.random.Generator) -> None:
    values = random.random((6, 4))
    assert rankings.friedman(values) == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)
    order = rankings.ranks(values)
    chi = stats.friedmanchisquare(*values.T).statistic
    assert rankings.kendall_w(order) == pytest.approx(chi / (6 * 3))
    assert rankings.ranks(np.array([3.0, 1.0, 3.0])).tolist() == [1.5, 3.0, 1.5]
    assert rankings.kendall_w(np.array([[1, 2, 3], [3, 2, 1]])) == 0.0


def test_profiles_rise_to_one(random: np.random.Generator) -> None:
    found = rankings.profile(random.random((20, 3)) + 0.1, [1.0, 1.5, 100.0])
    assert found[0].sum() == pytest.approx(1.0)
    assert np.all(np.diff(found, axis=0) >= 0)
    assert np.all(found[-1] == 1.0)


def test_stability_of_a_clear_and_of_an_open_race(random: np.random.Generator) -> None:
    x = random.normal(size=(3, 300))
    clear = rankings.stability({"a": x + 5, "b": x})
    assert clear.first == {"a": 1.0, "b": 0.0}
    assert clear.concordance == 1.0
    open_race = rankings.stability({"a": random.normal(size=(3, 300)) * 0.01, "b": random.normal(size=(3, 300)) * 0.01})
    assert sum(open_race.first.values()) == pytest.approx(1.0)


def test_rank_correlations_against_scipy(random: np.random.Generator) -> None:
    x, y, z = random.normal(size=(3, 60))
    x, y = x + z, y + z
    assert correlation.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    ranks = [stats.rankdata(v) for v in (x, y, z)]
    rest = [r - np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) for r in ranks[:2]]
    assert correlation.partial_spearman(x, y, z) == pytest.approx(stats.pearsonr(*rest).statistic)
    assert np.isnan(correlation.spearman(x, np.ones(60)))
    tied = np.round(x)  # ties share their mean rank
    assert correlation.spearman(tied, y) == pytest.approx(stats.spearmanr(tied, y).statistic)


def test_correlation_within_and_across_methods_can_differ() -> None:
    # within a method larger geometry goes with a lower score; across methods with a higher one
    rows = [
        correlation.CellFacts(f"m{m}", f"s{n}", n, {"g": 10 * m + n}, 10 * m - n) for m in range(6) for n in range(6)
    ]
    found = correlation.correlate(rows, samples=50)["g"]
    assert found["within method"]["value"] < -0.9
    assert found["across methods"]["value"] > 0.9
    assert found["all"]["low"] <= found["all"]["value"] <= found["all"]["high"]
    assert correlation.correlate(rows[:3], samples=5)["g"]["all"] is None


def test_change_of_the_procrustes_distance(random: np.random.Generator) -> None:
    theirs = random.normal(0.8, 0.01, (3, 40))
    found = correlation.procrustes_change(theirs - 0.05, theirs, -0.05)
    assert found.value == -0.05
    assert found.low == pytest.approx(-0.05)
    wide = correlation.procrustes_change(random.normal(0.8, 0.01, (3, 40)), theirs, 0.0)
    assert wide.low < 0 < wide.high


def test_the_order_of_addition_is_no_difference() -> None:
    random = np.random.default_rng(0)
    a = random.random((3, 400))
    b = a[::-1]
    one, two = (a[0] + a[1] + a[2]) / 3, (b[0] + b[1] + b[2]) / 3
    assert np.abs(one - two).max() > 0  # equal but for rounding
    assert s.permutation_test(one, two) == 1.0
    found = s.compare({"a": a, "b": b}, [("a", "b")])[0]
    assert (found.p, found.effect, found.better, found.worse) == (1.0, 0.0, 0.0, 0.0)
    small = 1e-9 * random.random(400)
    assert s.permutation_test(one + small, two) < 0.01  # a true difference stays one, however small


def test_ranks_share_ties_of_rounding() -> None:
    values = np.array([0.1 + 0.2, 0.3, 0.6 / 2, 0.9])
    assert correlation.spearman(values, np.array([2.0, 2.0, 2.0, 5.0])) == pytest.approx(1.0)
    assert np.isnan(correlation.spearman(values[:3], np.arange(3.0)))


def test_runs_are_paired_by_their_seeds_not_by_their_number() -> None:
    """What a seed adds is alike in both: taken seed by seed nothing is left of it, as of strangers all of it is."""
    spread = np.array([[0.0], [1.0], [2.0]]) + np.zeros((3, 40))
    both = {"a": spread + 0.5, "b": spread}
    same = s.compare(both, [("a", "b")], seeds={"a": [0, 1, 2], "b": [0, 1, 2]})[0].difference
    assert (same.low, same.high) == pytest.approx((0.5, 0.5))
    other = s.compare(both, [("a", "b")], seeds={"a": [0, 1, 2], "b": [1, 2, 3]})[0].difference
    half = stats.t.ppf(0.975, 4) * (2 / 3) ** 0.5  # two means of three values of variance 1
    assert (other.value, other.low, other.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
