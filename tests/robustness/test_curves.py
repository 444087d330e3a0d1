"""Curves: areas by hand, joint intervals, a constant scorer at chance; noise at its ratio."""

from __future__ import annotations

import math

import pytest
import torch

from modalign.errors import ModalignError
from modalign.metrics.mean_recall import mean_of, recalls
from modalign.metrics.ranking import rank, rank_scores
from modalign.metrics.score import Score
from modalign.model import Heads
from modalign.robustness import (
    Curve,
    add_noise,
    curve,
    damaged_curves,
    decibels,
    noise_curves,
    worst,
)
from modalign.views import Views


def columns(values: torch.Tensor, group: torch.Tensor) -> list[Score]:
    return [Score(float(v.mean()), per_item=v, group=group, chance=0.1, unit="share") for v in values.T]


def levels(*values: float, n: int = 30) -> list[list[Score]]:
    return [columns(torch.full((n, 3), v), torch.arange(n)) for v in values]


def test_area_is_the_trapezoid_over_the_range() -> None:
    c = curve([0.0, 1.0, 4.0], levels(1.0, 0.5, 0.0))
    assert c.area.value == pytest.approx((0.75 * 1 + 0.25 * 3) / 4)
    assert c.retained.value == pytest.approx(c.area.value)
    half = curve([0.0, 1.0, 4.0], levels(0.5, 0.25, 0.0))
    assert half.retained.value == pytest.approx(c.retained.value)
    assert c.minus(half).value == pytest.approx(c.area.value / 2)


def test_intervals_share_their_draws() -> None:
    g = torch.Generator().manual_seed(0)
    found = torch.rand(80, 3, generator=g).round()
    same = [columns(found, torch.arange(80))] * 2
    c = curve([0.0, 1.0], same)
    assert c.retained.low == pytest.approx(1.0)  # each draw treats both levels alike
    assert c.retained.high == pytest.approx(1.0)
    assert c.area.low < c.area.value < c.area.high
    mean = float(found.mean())
    assert c.scores[0].value == pytest.approx(mean)
    assert c.scores[0].high - c.scores[0].low == pytest.approx(2 * 1.96 * float(found.mean(1).std()) / 80**0.5, rel=0.2)


def test_the_interval_of_what_is_retained() -> None:
    """Area over the first score, draw by draw: a curve that falls to 0 has no end to divide by."""
    g = torch.Generator().manual_seed(0)
    first = torch.rand(60, 1, generator=g).round()
    c = curve([0.0, 1.0], [columns(v, torch.arange(60)) for v in (first, 0.5 * first)])
    assert c.retained.value == pytest.approx(0.75)
    assert (c.retained.low, c.retained.high) == pytest.approx((0.75, 0.75))  # every draw keeps three quarters
    falls = curve([0.0, 1.0], levels(1.0, 0.0))
    assert (falls.retained.low, falls.retained.high) == pytest.approx((0.5, 0.5))


def test_nothing_is_retained_of_nothing() -> None:
    """It was 0 % with an interval that began at 10^11."""
    c = curve([0.0, 1.0], levels(0.0, 0.6))
    assert c.area.value == pytest.approx(0.3)
    assert math.isnan(c.retained.value)
    assert c.retained.low is c.retained.high is None
    assert Curve.from_json(c.json()).retained.json()["value"] is None
    some = torch.zeros(10, 1)
    some[0] = 1.0  # a third of the draws lacks the one item that is found
    rises = curve([0.0, 1.0], [columns(some, torch.arange(10)), columns(torch.ones(10, 1), torch.arange(10))])
    assert rises.retained.high <= 5.5  # one item of ten drawn once: (1/10 + 1) / 2 over 1/10


def test_captions_of_one_photo_move_together() -> None:
    found = torch.tensor([[1.0], [0.0]]).repeat_interleave(50, 0)
    alone = curve([0.0, 1.0], [columns(found, torch.arange(100))] * 2)
    together = curve([0.0, 1.0], [columns(found, torch.arange(20).repeat_interleave(5))] * 2)
    assert together.scores[0].high - together.scores[0].low > 1.5 * (alone.scores[0].high - alone.scores[0].low)


def test_a_constant_scorer_stays_at_chance() -> None:
    pairs = torch.arange(5)[:, None].expand(-1, 2)
    constant = recalls([rank_scores(torch.zeros(5, 5), pairs)], ks=(1, 3))
    assert [s.value for s in constant] == pytest.approx([0.2, 0.6])
    assert mean_of([constant]).chance == pytest.approx(0.4)
    assert all(s.value == 1.0 for s in recalls([rank(torch.eye(5), torch.eye(5), pairs)]))
    with pytest.raises(ModalignError, match="no query"):
        recalls([rank(torch.eye(3), torch.eye(3), torch.empty(0, 2, dtype=torch.long))])


def test_levels_must_ascend() -> None:
    for wrong in ([0.0], [1.0, 0.0], [0.0, 0.0]):
        with pytest.raises(ModalignError, match="ascending"):
            curve(wrong, levels(*[1.0] * len(wrong)))
    a, b = curve([0.0, 1.0], levels(1.0, 1.0)), curve([0.0, 2.0], levels(1.0, 1.0))
    with pytest.raises(ModalignError, match="different levels"):
        a.minus(b)


def test_only_curves_of_the_same_groups_and_draws_are_subtracted() -> None:
    g = torch.Generator().manual_seed(0)
    found = [torch.rand(80, 1, generator=g).round() for _ in range(2)]
    own, half = ([columns(v * part, torch.arange(80)) for v in found] for part in (1.0, 0.5))
    c = curve([0.0, 1.0], own)
    gain = c.minus(curve([0.0, 1.0], half))
    assert (gain.value, gain.low, gain.high) == pytest.approx((c.area.value / 2, c.area.low / 2, c.area.high / 2))
    strangers = [columns(v, torch.arange(80) + 1) for v in found]  # as many, one of them another
    with pytest.raises(ModalignError, match="different levels or items"):
        c.minus(curve([0.0, 1.0], strangers))
    with pytest.raises(ModalignError, match="seeds 0 and 1"):
        c.minus(curve([0.0, 1.0], half, seed=1))
    with pytest.raises(ModalignError, match="read from a file"):
        c.minus(Curve.from_json(c.json()))


def test_the_worst_condition() -> None:
    assert worst({"x": Score(0.3), "y": Score(0.1), "z": Score(0.2)}) == ("y", Score(0.1))


def test_noise_has_its_ratio_and_its_draws_whatever_the_level() -> None:
    x = torch.randn(400, 50, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.1, 3, 50)
    for ratio in (0.25, 2.0):
        noise = add_noise(x, ratio) - x
        assert float(noise.std() / x.var(0).mean().sqrt()) == pytest.approx(ratio, rel=0.02)
    assert torch.allclose((add_noise(x, 2.0) - x) / 8, add_noise(x, 0.25) - x, atol=1e-5)
    assert torch.equal(add_noise(x, 0.0), x)
    assert decibels(0.1) == pytest.approx(20.0)
    with pytest.raises(ModalignError, match="negative"):
        add_noise(x, -1.0)


def test_noise_lowers_recall_to_chance(heads: Heads, splits: dict[str, Views]) -> None:
    test = splits["test"].only("a", "b")
    found = noise_curves(heads, test, splits["train"], ratios=(0.0, 0.5, 20.0))
    whole = found["all"]
    assert set(found) == {"all", "a", "b"}
    assert whole.scores[0].value > whole.scores[1].value > whole.scores[2].value
    assert whole.scores[2].value == pytest.approx(whole.scores[2].chance, abs=0.05)
    assert found["a"].area.value > whole.area.value
    assert isinstance(whole, Curve)
    assert whole.json() == noise_curves(heads, test, splits["train"], ratios=(0.0, 0.5, 20.0))["all"].json()


def test_damage_is_averaged_over_its_kinds(heads: Heads, splits: dict[str, Views]) -> None:
    test = splits["test"].only("a", "b")
    mild = [add_noise(test["a"], level) for level in (0.0, 0.2, 0.4)]
    strong = [add_noise(test["a"], level) for level in (0.0, 1.0, 5.0)]
    found = damaged_curves(heads, test, "a", {"mild": mild, "strong": strong}, severities=(0, 1, 5))
    assert list(found) == ["all", "mild", "strong"]
    clean = [c.scores[0].value for c in found.values()]
    assert clean == pytest.approx([noise_curves(heads, test, ratios=(0.0, 1.0))["all"].scores[0].value] * 3)
    last = {name: c.scores[2].value for name, c in found.items()}
    assert last["mild"] > last["strong"]
    assert last["all"] == pytest.approx((last["mild"] + last["strong"]) / 2)
    with pytest.raises(ModalignError, match="'cut' of 'a' has features of"):
        damaged_curves(heads, test, "a", {"cut": [test["a"][:3]] * 2}, severities=(0, 1))
    with pytest.raises(ModalignError, match="another modality"):
        damaged_curves(heads, test.only("a"), "a", {"mild": mild}, severities=(0, 1, 5))
