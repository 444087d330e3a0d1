"""The steps of "full" against a slow transcription in numpy: trials, folds, descent and hub removal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modalign.methods import descents, folds, full
from modalign.methods.cases import CASES, CLOSED
from modalign.methods.descents import joins
from modalign.methods.full import Full
from modalign.model import Heads
from modalign.training.loop import dev_recalls
from modalign.views import Views, hold_out

Array = np.ndarray
Rows = dict[str, Array]


class SlowFull:
    """Closed forms, then hub removal, on folds; the first best of each."""

    def __init__(self, hand: Any, folds: list[tuple[Views, Views]], dim: int, whole: Views | None = None) -> None:
        """``whole``: views from which the folds are made."""
        self.hand, self.folds, self.dim = hand, folds, dim
        self.scores: list[float] = []
        ends, each = [], []
        self.order = [0, 5, 4, 1, 2, 3, 6, 7]  # few links and free items
        for settings in (CLOSED[k] for k in self.order):
            done = [hand.Slow(x, root=True, whole=whole, dim=dim, **settings).solved(dev) for x, dev in folds]
            ends.append([(embed, rows) for _, embed, rows in done])
            hits = [hand.hits(embed(dev)) for (_, embed, _), (_, dev) in zip(done, folds, strict=True)]
            each.append(np.concatenate(hits))
            self.scores.append(float(each[-1].mean()))
        self.best = 0
        for k, now in enumerate(each):
            gain = now - each[self.best]
            if gain.mean() > 0.5 * gain.std(ddof=1) / len(gain) ** 0.5:
                self.best = k
        self.settings = CLOSED[self.order[self.best]]
        self.ends = [self.narrow(*end) for end in ends[self.best]]

    def refitted(self, x: Views, strength: float) -> Callable[[Views], Rows]:
        """The chosen closed form on all pairs, without dev views, and hub removal fitted to the same items."""
        slow = self.hand.Slow(x, root=True, dim=self.dim, **self.settings)
        last = list(slow.rounds())[-1]
        if slow.s["late"]:
            slow.close(last)
        rows = {m: slow.embed(m) for m in slow.rows}
        self.folds = [(x, x)]
        self.ends = [self.narrow(lambda v: {m: slow.new(m, v[m].numpy()) for m in v.modalities}, rows)]
        return lambda v: self.final(0, v, strength)

    def narrow(self, embed: Callable[[Views], Rows], rows: Rows) -> Callable[[Views], Rows]:
        """At most ``dim`` directions."""
        if rows["image"].shape[1] <= self.dim:
            return embed
        axes = self.hand.reduced(rows, rows, self.dim)[1]
        return lambda v: {m: self.hand.unit(z @ axes) for m, z in embed(v).items()}

    def final(self, k: int, v: Views, strength: float) -> Rows:
        """Embedded views of a fold with hub removal of some strength."""
        z, train = self.ends[k](v), self.ends[k](self.folds[k][0])
        if not strength:
            return z
        dim = z["image"].shape[1] - 2
        z, train = (self.hand.reduced(rows, train, dim)[0] for rows in (z, train))
        return dict(self.hand.scaled(z, train, strength))

    def strengths(self) -> dict[float, float]:
        """Dev score of each strength."""
        folds = list(enumerate(self.folds))
        return {
            s: float(np.mean([self.hand.crowded(self.final(k, f[1], s), self.final(k, f[0], s)) for k, f in folds]))
            for s in (0.0, *CASES["few"].strengths)
        }


def checked(method: Full, slow: SlowFull) -> float:
    """The trials of both are equal; the strength chosen."""
    tried = method.record["trials"]
    closed = [t for t in tried if "ridge" in t["settings"]]
    assert [t["score"] for t in closed] == pytest.approx(slow.scores, abs=1e-12)
    chosen = dict(method.record["chosen"])
    strength = chosen.pop("hubs")
    assert chosen == slow.settings
    by_strength = slow.strengths()
    assert {t["settings"]["hubs"]: t["score"] for t in tried if "hubs" in t["settings"]} == pytest.approx(
        {s: by_strength[s] for s in CASES["few"].strengths}, abs=1e-12
    )
    assert strength == max(by_strength, key=by_strength.__getitem__)
    ends = [slow.hand.recall(slow.final(k, dev, strength)) for k, (_, dev) in enumerate(slow.folds)]
    assert method.record["dev"] == pytest.approx(float(np.mean(ends)), abs=1e-12)
    return float(strength)


def same_as(heads: Heads, slow: Rows, views: Views) -> None:
    """Heads, in float32, and the transcription give the same cosines."""
    z = {m: v.numpy() for m, v in heads.embed(views).data.items()}
    np.testing.assert_allclose(z["image"] @ z["text"].T, slow["image"] @ slow["text"].T, atol=1e-4, rtol=0)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("seed", [0, 3])
def test_full_takes_the_best_closed_form_and_strength_on_dev(slow: Any, seed: int) -> None:
    x, dev = slow.problem(linked=20, seed=seed), slow.dev_of(seed=seed + 1)
    method = Full(dim=7, steps=0)
    heads = method.fit(x, dev)
    by_hand = SlowFull(slow, [(x, dev)], dim=7)
    same_as(heads, by_hand.final(0, dev, checked(method, by_hand)), dev)


@pytest.mark.usefixtures("exact")
def test_full_without_dev_chooses_over_three_folds_and_refits_to_all_pairs(slow: Any) -> None:
    x = slow.problem(linked=40, texts=0)
    method = Full(dim=7)
    heads = method.fit(x)
    by_hand = SlowFull(slow, [hold_out(x, seed=k) for k in range(3)], dim=7, whole=x)
    again = by_hand.refitted(x, checked(method, by_hand))
    same_as(heads, again(slow.dev_of()), slow.dev_of())


@pytest.mark.parametrize(
    ("planned", "gains", "best"),
    [
        (False, (-0.1, -0.2, -0.3), None),
        (False, (0.0, 0.0, 0.0), None),
        (False, (0.1, 0.2, 0.1), ["perceptron"]),
        (False, (0.2, 0.1, 0.0), ["linear"]),
        (False, (-0.1, -0.1, 0.1), ["linear", "perceptron"]),
        (True, (0.2, 0.1, -0.1), None),
        (True, (0.2, 0.1, 0.0), ["linear", "perceptron"]),
        (True, (-0.1, -0.1, 0.1), ["linear", "perceptron"]),
    ],
)
def test_full_descends_only_where_dev_rises(
    slow: Any,
    monkeypatch: pytest.MonkeyPatch,
    planned: bool,
    gains: tuple[float, float, float],
    best: list[str] | None,
) -> None:
    x, dev = slow.problem(linked=20), slow.dev_of()
    ends: list[Heads] = []
    begun = Full(dim=7, steps=0, trials=3, hubs=False).fit(x, dev)
    each = dev_recalls(begun.embed(dev))
    start = float(each.mean())

    class Scripted:
        """Gradient descent whose dev scores are given; its heads are turned, so that they can be told apart."""

        def __init__(self, objective: dict[str, Any], **settings: Any) -> None:
            assert [objective[k] for k in ("name", "alpha", "beta", "gamma")] == ["total", 0.2, 0.3, 2.0]
            self.retrieval = objective["retrieval"]["name"]
            assert settings["lr"] == 1e-3
            self.record: dict[str, Any] = {}

        def descend(self, heads: Heads, *_: Any) -> Heads:
            assert (heads["image"].map.residual is not None) == (self.retrieval == "siglip") == bool(ends)
            self.record["training"] = {"dev": 0.0}
            for m in heads.modalities:
                heads[m].map.weight.data.mul_(-1.0)
            ends.append(heads)
            return heads

    def both(several: list[Heads], views: Views, dim: int, seed: int) -> Heads:
        assert several == ends
        assert (views is x, dim, seed) == (True, begun.dim, 0)
        ends.append(Heads({m: several[0][m] for m in several[0].modalities}))
        return ends[-1]

    def recalls(fold: folds.Fold, heads: Heads) -> Tensor:
        assert fold.dev is dev
        return each + next((gain for h, gain in zip(ends, gains, strict=False) if h is heads), 0.0)

    monkeypatch.setattr(descents, "Gradient", Scripted)
    monkeypatch.setattr(full, "joined", both)
    Full(dim=7, trials=5, hubs=False).fit(x, dev)  # too few pairs to descend
    assert not ends
    monkeypatch.setattr(folds.Fold, "recalls", recalls)
    monkeypatch.setattr(descents, "FEWEST_TO_DESCEND", 2)
    monkeypatch.setattr(full, "TRIAL_ROWS", 1 if planned else 1 << 30)
    for name in ("plan", "links", "few"):
        monkeypatch.setitem(CASES, name, CASES[name]._replace(tried=(0, 5, 4)))
    method = Full(dim=7, trials=6, hubs=False, alpha=0.2, beta=0.3, gamma=2.0)
    found = method.fit(x, dev)
    assert len(ends) == 3
    assert method.record["chosen"].get("descent") == best
    places = {"None": None, "['linear']": 0, "['perceptron']": 1, "['linear', 'perceptron']": 2}
    place = places[str(best)]
    assert all((found is heads) == (k == place) for k, heads in enumerate(ends))
    assert method.record["dev"] == pytest.approx(start + (0.0 if place is None else gains[place]))


@pytest.mark.parametrize("best", ["pairs", "ridged"])
def test_many_links_descend_on_pairs_alone_from_two_starts(
    slow: Any, monkeypatch: pytest.MonkeyPatch, best: str
) -> None:
    x, dev = slow.problem(linked=20), slow.dev_of()
    ends: list[Heads] = []

    class Scripted:
        """Gradient descent that stays where it begins."""

        def __init__(self, objective: dict[str, Any], **settings: Any) -> None:
            assert (objective["name"], objective["retrieval"]["name"]) == ("total", "clip")
            assert (settings["lr"], settings["steps"], settings["unpaired"]) == (3e-4, 150, 0.0)
            self.record = {"training": {"dev": 0.0}}

        def descend(self, heads: Heads, *_: Any) -> Heads:
            ends.append(heads)
            return heads

    def recalls(fold: folds.Fold, heads: Heads) -> Tensor:
        return torch.full((30,), 0.5 if len(ends) == 2 and heads is ends[best == "ridged"] else 0.1)

    monkeypatch.setattr(descents, "Gradient", Scripted)
    monkeypatch.setattr(descents, "FEWEST_TO_DESCEND", 2)
    monkeypatch.setattr(descents, "MANY", 2)
    monkeypatch.setattr(folds.Fold, "recalls", recalls)
    for name in ("plan", "links", "few"):
        monkeypatch.setitem(CASES, name, CASES[name]._replace(tried=(0, 5, 4)))
    method = Full(dim=7, trials=6, steps=100, hubs=False)
    found = method.fit(x, dev)
    assert found is ends[best == "ridged"]
    assert method.record["chosen"]["descent"] == [best]
    assert [t["settings"] for t in method.record["trials"][-2:]] == [{"descent": ["pairs"]}, {"descent": ["ridged"]}]
    begun = Full(dim=7, steps=0, hubs=False, chosen=CLOSED[6]).fit(x, dev)
    assert torch.equal(ends[1].embed(dev)["image"], begun.embed(dev)["image"])
    again = Full(dim=7, steps=100, hubs=False, chosen=method.record["chosen"])
    assert again.descents(20) == [best]
    assert not joins([best])


def test_what_descends_follows_from_the_number_of_links() -> None:
    method = Full()
    assert [method.descents(n) for n in (499, 500, 2499)] == [[], ["linear", "perceptron"], ["linear", "perceptron"]]
    assert method.descents(2500) == ["pairs", "ridged"]
    assert [joins(method.descents(n)) for n in (499, 2499, 2500)] == [False, True, False]
    assert Full(trials=2).descents(2500) == ["pairs"]
    assert Full(steps=0).descents(2500) == []
