"""Scores and their intervals: coverage, groups, medians, subsampling."""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.metrics import intervals as sc
from modalign.metrics.score import Score
from modalign.views import Views


def normal(n, seed=0):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_json_leaves_the_samples_out():
    s = Score(0.5, per_item=torch.tensor([0.0, 1.0]), chance=0.1, skipped=2)
    told = {"unit": "number", "higher_is_better": True, "importance": "usual", "topic": "Other measures"}
    assert s.json() == {"value": 0.5, "low": None, "high": None, "chance": 0.1, "skipped": 2, **told}
    assert Score(1.0).json() == {"value": 1.0, "low": None, "high": None, **told}


def test_a_score_is_shown_without_its_samples():
    s = Score(0.5, per_item=torch.rand(500), low=0.4, high=0.6, chance=0.01, unit="share", heading="R@1", skipped=2)
    assert repr(s) == "<R@1 50.0 % [40.0, 60.0], chance 1.0 (2 left out)>"
    assert repr({"gap": Score(0.25)}) == "{'gap': <Score 0.250>}"


def test_the_interval_of_a_mean_is_the_textbook_one():
    x = normal(400)
    s = sc.bootstrap(Score(float(x.mean()), per_item=x), samples=4000)
    half = 1.96 * x.std() / 20
    assert s.low == pytest.approx(float(x.mean() - half), abs=0.01)
    assert s.high == pytest.approx(float(x.mean() + half), abs=0.01)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    inside = 0
    for seed in range(200):
        x = normal(60, seed)
        s = sc.bootstrap(Score(float(x.mean()), per_item=x), samples=300, seed=seed)
        inside += s.low <= 0 <= s.high
    assert 178 <= inside <= 199


def test_items_of_one_group_move_together():
    x = normal(50).repeat_interleave(20)
    ids = torch.arange(50).repeat_interleave(20)
    alone = sc.bootstrap(Score(float(x.mean()), per_item=x))
    together = sc.bootstrap(Score(float(x.mean()), per_item=x, group=ids))
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(20**0.5, rel=0.2)


def test_the_interval_of_a_median():
    x = normal(301)
    s = sc.bootstrap(Score(float(x.median()), per_item=x, statistic="median"), samples=4000)
    half = 1.96 * (3.14159 / 2) ** 0.5 / 301**0.5
    assert s.low < float(x.median()) < s.high
    assert s.high - s.low == pytest.approx(2 * half, rel=0.25)
    draws = sc.bootstrap_medians(torch.tensor([1.0, 2.0, 3.0]), None, samples=200)
    assert set(draws.tolist()) <= {1.0, 2.0, 3.0}


def test_all_scores_together_equal_each_alone():
    groups = torch.arange(30).repeat_interleave(2)
    scores = {
        "a": Score(0.0, per_item=normal(60), group=groups),
        "b": Score(0.0, per_item=normal(60, 1), group=groups),
        "c": Score(0.0, per_item=normal(60, 2), group=groups, statistic="median"),
        "d": Score(0.0, per_item=normal(20, 3)),
        "whole": Score(0.0),
        "done": Score(0.0, per_item=normal(5), low=-1.0, high=1.0),
    }
    together = sc.bootstrap_all(scores, samples=200, seed=4)
    for name in "abcd":
        alone = sc.bootstrap(scores[name], samples=200, seed=4)
        assert (together[name].low, together[name].high) == pytest.approx((alone.low, alone.high))
    assert together["whole"] is scores["whole"]
    assert together["done"] is scores["done"]
    assert list(together) == list(scores)


def test_equal_seeds_give_equal_intervals():
    s = Score(0.0, per_item=normal(40))
    assert sc.bootstrap(s, seed=1) == sc.bootstrap(s, seed=1)
    assert sc.bootstrap(s, seed=1) != sc.bootstrap(s, seed=2)


def of_mean(x: torch.Tensor, **how) -> tuple[float, float]:
    """The interval of the mean of numbers, as that of a set metric."""
    ends = sc.resample_scores(lambda v: {"mean": Score(float(v["a"].mean()))}, Views.from_arrays(a=x[:, None]), **how)
    return ends["mean"](float(x.mean()))


def test_subsampling_gives_the_textbook_interval_of_a_mean():
    x = normal(200).float()
    low, high = of_mean(x, samples=400)
    assert high - low == pytest.approx(2 * 1.96 * float(x.std()) / 200**0.5, rel=0.2)
    assert low < x.mean() < high


@pytest.mark.parametrize(("n", "share"), [(3000, 0.5), (400, 0.2), (400, 0.8)])
def test_large_sets_are_subsampled_below_a_half(n, share):
    """At most 1,000 groups: the factor sqrt(q / (1 - q)) is then not 1, and the interval is still the textbook one."""
    x = normal(n).float()
    low, high = of_mean(x, share=share, samples=300)
    assert high - low == pytest.approx(2 * 1.96 * float(x.std()) / n**0.5, rel=0.2)


def test_subsampling_keeps_groups_whole():
    ids = torch.arange(20).repeat_interleave(3)
    seen = []
    sc.resample_scores(
        lambda v: seen.append(torch.bincount(v.group["a"])) or {}, Views({"a": torch.ones(60, 1)}, {"a": ids})
    )
    assert all(set(count.tolist()) <= {0, 3} for count in seen)
    assert all(int((count > 0).sum()) == 10 for count in seen)


def test_a_score_that_some_subsample_lacks_has_no_interval():
    z = Views.from_arrays(a=torch.ones(20, 1))
    ends = sc.resample_scores(lambda v: {"x": Score(1.0)} | ({"y": Score(1.0)} if 0 in v.group["a"] else {}), z)
    assert set(ends) == {"x"}
    assert ends["x"](3.0) == (3.0, 3.0)


def test_mistakes_are_refused():
    with pytest.raises(ModalignError, match="no per-item samples"):
        sc.bootstrap(Score(1.0))
    with pytest.raises(ModalignError, match="no items"):
        sc.bootstrap(Score(1.0, per_item=torch.empty(0)))
    with pytest.raises(ModalignError, match="between 0 and 1"):
        sc.bootstrap(Score(1.0, per_item=torch.ones(3)), level=95)
    with pytest.raises(ModalignError, match="more than 2 groups"):
        sc.resample_scores(lambda v: {}, Views.from_arrays(a=torch.ones(2, 1)))
