"""Masks: nested, never empty, at their rates; views that lost modalities; fusion; fills; curves over missing rates."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.volume import gram_distance
from modalign.metrics.evaluate import evaluate
from modalign.model import Heads
from modalign.robustness import (
    missing_curves,
    ranking,
    refitted_curve,
    subset_scores,
    subsets,
    unbalanced,
    unbalanced_scores,
    worst,
)
from modalign.robustness.fill import filler
from modalign.robustness.fusion import largest, volumes
from modalign.views import Aligned, Stack, Views, aligned, compose, presence, side


def everything(n: int = 600, m: int = 3) -> torch.Tensor:
    return torch.ones(n, m, dtype=torch.bool)


@pytest.mark.parametrize("seed", range(40))
def test_the_largest_cosine_of_equal_rows_is_equal_wherever_they_stand(seed: int) -> None:
    """A product of matrices may round them otherwise at its edges: tied items were told apart."""
    g = torch.Generator().manual_seed(seed)
    n, m, d = torch.randint(1, 200, (3,), generator=g).tolist()
    of = torch.randint(0, m, (m + 3,), generator=g)
    y = torch.nn.functional.normalize(torch.randn(m, d, generator=g), dim=1)[of]
    x = torch.nn.functional.normalize(torch.randn(n, d, generator=g), dim=1)
    query, gallery = (Stack(v[:, None], torch.ones(len(v), 1, dtype=torch.bool), torch.arange(len(v))) for v in (x, y))
    first = (of[:, None] == of[None, :]).int().argmax(1)
    scores = largest(query, gallery)
    assert torch.equal(scores, scores[:, first])
    torch.testing.assert_close(scores, x.double() @ y.double().T)


def test_subsets_and_unbalanced_rates() -> None:
    assert len(subsets("abc")) == 7
    assert subsets("abc")[-1] == ("a", "b", "c")
    dealt = list(unbalanced("abc"))
    assert len(dealt) == 6
    assert all(sorted(d.values()) == [0.3, 0.5, 0.7] for d in dealt)
    with pytest.raises(ModalignError, match="as many rates"):
        list(unbalanced("abcd"))


def embedded(seed: int = 0) -> Aligned:
    g = torch.Generator().manual_seed(seed)
    data = {m: torch.nn.functional.normalize(torch.randn(12, 5, generator=g), dim=1) for m in "abc"}
    present = presence(everything(12), 0.4, seed=seed)
    return Aligned(torch.arange(12), data, present)


def test_rules_equal_slow_references() -> None:
    z = embedded()
    q, g = side(z, ["a", "b"]), side(z, ["c"])
    row = {int(i): k for k, i in enumerate(z.group)}
    best, volume = largest(q, g), volumes(q, g)
    for i, qi in enumerate(q.group.tolist()):
        have = [m for k, m in enumerate("ab") if z.present[row[qi], k]]
        own = torch.stack([z.data[m][row[qi]] for m in have])
        mean = torch.nn.functional.normalize(own.sum(0), dim=0)
        assert torch.allclose(compose(q)[i], mean, atol=1e-6)
        for j, gj in enumerate(g.group.tolist()):
            item = z.data["c"][row[gj]]
            assert float(best[i, j]) == pytest.approx(float((own @ item).max()), abs=1e-6)
            assert float(volume[i, j]) == pytest.approx(-float(gram_distance(item[None], own[None])), abs=1e-5)


@pytest.mark.parametrize("rule", ["mean", "max", "volume"])
def test_equal_items_are_found_by_every_rule(rule: str) -> None:
    z = torch.eye(6)
    q = Stack(z[:, None].repeat(1, 2, 1), torch.ones(6, 2, dtype=torch.bool), torch.arange(6))
    g = Stack(z[:, None], torch.ones(6, 1, dtype=torch.bool), torch.arange(6))
    for r in (ranking(q, g, rule), ranking(g, q, rule)):
        assert r.above.tolist() == [0] * 6
        assert r.tied.tolist() == [1] * 6


def test_fills_put_the_right_values_in() -> None:
    g = torch.Generator().manual_seed(0)
    s = torch.randn(200, 3, generator=g)
    data = {m: s @ torch.randn(3, d, generator=g) + 2.0 for m, d in (("a", 6), ("b", 5))}
    train = Aligned(torch.arange(150), {m: v[:150] for m, v in data.items()}, everything(150, 2))
    present = torch.tensor([[True, False], [True, True]]).repeat(25, 1)
    test = Aligned(
        torch.arange(50), {m: v[150:] * present[:, k, None] for k, (m, v) in enumerate(data.items())}, present
    )
    truth = data["b"][150:]
    lost = ~present[:, 1]
    filled = {kind: filler(kind, train)(test) for kind in ("zero", "mean", "knn", "ppca")}
    for out in filled.values():
        assert bool(out.present.all())
        assert torch.equal(out.data["b"][~lost], truth[~lost])
        assert torch.equal(out.data["a"], test.data["a"])
    error = {kind: float((out.data["b"][lost] - truth[lost]).norm()) for kind, out in filled.items()}
    assert torch.equal(filled["zero"].data["b"][lost], torch.zeros(int(lost.sum()), 5))
    assert torch.allclose(filled["mean"].data["b"][lost], data["b"][:150].mean(0).expand(int(lost.sum()), -1))
    assert error["ppca"] < 0.05 * error["mean"]  # both modalities are linear in three latents: nearly exact
    assert error["ppca"] < error["knn"] < error["mean"] < error["zero"]


def test_a_fill_needs_complete_training_groups() -> None:
    alone = Aligned(
        torch.arange(4), {"a": torch.randn(4, 3), "b": torch.zeros(4, 3)}, torch.tensor([[True, False]] * 4)
    )
    for kind in ("knn", "ppca"):
        with pytest.raises(ModalignError, match="complete training groups"):
            filler(kind, alone)
    with pytest.raises(ModalignError, match="fill"):
        filler("guess", alone)


def test_no_missing_equals_the_normal_score(heads: Heads, splits: dict[str, Views]) -> None:
    test = splits["test"].only("a", "c")
    found = missing_curves(heads, test, ["a"], ["c"], rates=(0.0, 0.5), rules=["mean", "max"], fills=["zero"])
    scores = evaluate(heads.embed(test), intervals=False)
    names = [f"recall/{q}->{g}/any@{k}" for q, g in ("ac", "ca") for k in (1, 5, 10)]
    normal = sum(scores[n].value for n in names) / 6
    for c in (found["mean"], found["max"]):
        assert c.scores[0].value == pytest.approx(normal)
        assert c.scores[1].value == pytest.approx(normal)  # the only modality of a side is never lost


def test_curves_fall_and_what_is_present_beats_bad_fills(heads: Heads, splits: dict[str, Views]) -> None:
    found = missing_curves(heads, splits["test"], ["a", "b"], ["c"], splits["train"], rates=(0.0, 0.3, 0.7))
    for name, c in found.items():
        if name not in ("max", "volume"):  # these two lose to the mean where all is there, and may gain by losing
            assert c.scores[0].value > c.scores[-1].value
        assert all(s.low <= s.value <= s.high for s in c.scores)
        assert c.area.low <= c.area.value <= c.area.high
    assert {"mean", "weighted", "max", "volume", "single", "fill:zero", "fill:mean", "fill:knn", "fill:ppca"} == set(
        found
    )
    assert found["mean"].area.value > found["fill:zero"].area.value
    assert found["mean"].area.value > found["single"].area.value
    assert found["mean"].minus(found["single"]).low > 0
    again = missing_curves(heads, splits["test"], ["a", "b"], ["c"], splits["train"], rates=(0.0, 0.3, 0.7))
    assert {k: c.json() for k, c in again.items()} == {k: c.json() for k, c in found.items()}


def test_a_fill_never_looks_at_the_partner(heads: Heads, splits: dict[str, Views]) -> None:
    """Whatever the gallery holds, the filled queries are the same: their ranks against shuffled partners are chance."""
    test = splits["test"]
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    shuffled = Views({**test.data, "c": test["c"][order]}, test.group)
    found = missing_curves(heads, shuffled, ["a", "b"], ["c"], splits["train"], rates=(0.0, 0.9), rules=["mean"])
    for c in found.values():
        for s in c.scores:
            assert s.value == pytest.approx(s.chance, abs=0.03)


def test_everything_missing_is_chance_or_an_error_never_nan(heads: Heads, splits: dict[str, Views]) -> None:
    found = missing_curves(heads, splits["test"], ["a", "b"], ["c"], rates=(0.0, 1.0), rules=["mean"], fills=["zero"])
    assert 0 < found["mean"].scores[1].value < found["mean"].scores[0].value  # one modality is always left
    assert all(s.value == s.value for c in found.values() for s in c.scores)
    nothing = aligned(heads.embed(splits["test"])).kept(torch.zeros(120, 3, dtype=torch.bool))
    with pytest.raises(ModalignError, match="nothing to compose"):
        side(nothing, ["a"])
    apart = Views({"a": torch.randn(5, 32), "c": torch.randn(5, 32)}, {"a": torch.arange(5), "c": torch.arange(5, 10)})
    with pytest.raises(ModalignError, match="no test group has both"):
        missing_curves(heads, apart, ["a"], ["c"])


def test_subsets_of_the_query_and_the_worst_of_them(heads: Heads, splits: dict[str, Views]) -> None:
    scores = subset_scores(heads, splits["test"], ["a", "b"], ["c"])
    assert set(scores) == {"a", "b", "a+b"}
    assert scores["a+b"].value >= max(scores["a"].value, scores["b"].value)
    assert worst(scores)[0] in ("a", "b")
    dealt = unbalanced_scores(heads, splits["test"], ["a", "b"], ["c"])
    assert len(dealt) == 6
    assert all(s.value < scores["a+b"].value for s in dealt.values())


def test_missing_in_training_too_is_worse(splits: dict[str, Views]) -> None:
    from modalign.registry import make

    def fit(x: Views) -> Heads:
        seen.append({m: len(v) for m, v in x.data.items()})
        return make("method", "cca", dim=16, ridge=0.1).fit(x)

    seen: list[dict[str, int]] = []
    found = refitted_curve(fit, splits["train"], splits["test"], ["a", "b"], ["c"], rates=(0.0, 0.6))
    assert seen[0] == {"a": 300, "b": 300, "c": 300}
    assert max(seen[1].values()) < 200
    assert found.scores[1].value < found.scores[0].value


def test_a_task_needs_two_different_sides(heads: Heads, splits: dict[str, Views]) -> None:
    with pytest.raises(ModalignError, match="different modalities"):
        missing_curves(heads, splits["test"], ["a", "c"], ["c"])
    with pytest.raises(ModalignError, match="modality"):
        missing_curves(heads, splits["test"], ["a", "x"], ["c"])
