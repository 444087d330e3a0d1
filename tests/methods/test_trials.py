"""What the trials of "full" share, and what they are spared: the same ends as without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalign.methods import folds, full, local_scaling, transport_cca
from modalign.methods.canonical_space import CanonicalSpace
from modalign.methods.cases import CASES
from modalign.methods.folds import folds_of
from modalign.methods.full import Full
from modalign.methods.local_scaling import roughly_leading, top, without_hubs
from modalign.methods.prepared import prepare
from modalign.methods.transport_cca import TransportCCA
from modalign.methods.tuning import steady
from modalign.training.loop import dev_recalls
from modalign.views import Views, hide_links

Problem = Callable[..., Views]
LATE = {"ridge": 10.0, "last_ridge": 1.0, "late": True, "smoothing": 0.0, "plan_neighbours": 0, "rounds": 3}


@pytest.mark.parametrize("other", [{"last_power": 0.9}, {"share": 0.4, "matches": 5}])
def test_settings_that_come_to_the_same_plans_share_them(
    latent: Problem, other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, dev = hide_links(latent(300, 0), torch.arange(80)), latent(60, 1)
    made: list[int] = []
    plans = TransportCCA.plans

    def counted(self: TransportCCA, *given: Any) -> Any:
        made.append(1)
        return plans(self, *given)

    monkeypatch.setattr(TransportCCA, "plans", counted)
    p = prepare(x, root=True, unit=True)
    TransportCCA(8, **LATE).solve(p, dev)
    shared = TransportCCA(8, **{**LATE, **other}).solve(p, dev).space.embed_new(dev)
    assert len(made) == 3
    alone = TransportCCA(8, **{**LATE, **other}).solve(prepare(x, root=True, unit=True), dev).space.embed_new(dev)
    assert all(torch.equal(shared[m], alone[m]) for m in alone.modalities)
    TransportCCA(8, **{**LATE, **other, "epsilon": 0.1}).solve(p, dev)
    TransportCCA(8, **{**LATE, **other, "late": False}).solve(p, dev)
    assert len(made) == 12


def test_the_order_of_unlinked_rows_brings_no_partners_into_a_plan(
    latent: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = prepare(hide_links(latent(1000, 0), torch.arange(100)), root=True, unit=True)
    monkeypatch.setattr(transport_cca, "EARLY_ROWS", 200)
    method = TransportCCA(8, rounds=6)
    ((rows, columns, _),) = method.plans(method.solve(p).space, 1).values()
    assert len(rows) == len(columns) == 200
    assert int(torch.isin(rows, columns).sum()) < 80  # things share their place; about 44 by chance


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_a_trial_is_judged_as_its_heads_are(latent: Problem, smoothing: float) -> None:
    x, dev = hide_links(latent(300, 0), torch.arange(80)), latent(60, 1)
    p = prepare(x, root=True, unit=True)
    fold = folds_of(x, p, dev, 0)[0]
    space = TransportCCA(8, smoothing=smoothing).solve(p, dev).space
    for hubs in (False, True):
        heads = space.heads(8)
        slow = fold.recalls(fold.without_hubs(heads, 0) if hubs else heads)
        torch.testing.assert_close(fold.recalls_in(space, 8, hubs, 0), slow, atol=0.35, rtol=0)  # of few items
        assert float(fold.recalls_in(space, 8, hubs, 0).mean()) == pytest.approx(float(slow.mean()), abs=0.01)


def test_rounds_are_judged_as_settings_are(latent: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    x, dev = hide_links(latent(300, 0), torch.arange(80)), latent(60, 1)
    fold = folds_of(x, prepare(x, root=True, unit=True), dev, 0)[0]
    plain, items = Full(dim=8).solved(LATE, fold, CASES["few"])
    assert torch.equal(items, fold.recalls_of(plain.embed_new(dev)))
    waiting, spaces = iter([0.1, 0.5, 0.3, 0.2, 0.4]), []

    def scripted(self: folds.Fold, space: CanonicalSpace, dim: int, hubs: bool, seed: int) -> Tensor:
        assert (dim, hubs, seed) == (8, True, 3)
        spaces.append(space)
        return torch.full((60,), next(waiting))

    monkeypatch.setattr(folds.Fold, "recalls_in", scripted)
    best, items = Full(dim=8, seed=3).solved(LATE, fold, CASES["links"])
    assert best is spaces[1]
    assert items.tolist() == [0.5] * 60
    assert [bool(space.anchors) for space in spaces] == [False] * 4 + [True]


def test_rough_directions_hold_nearly_what_the_leading_ones_do() -> None:
    draw = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(200, 200, generator=draw)).Q
    z = normalize(torch.randn(900, 200, generator=draw) * torch.linspace(1.0, 0.05, 200) @ turn, dim=1)
    moment = (z.T @ z).double() / len(z)

    def held(axes: Tensor) -> float:
        return float((axes.double().T @ moment @ axes.double()).trace() / moment.trace())

    axes = roughly_leading({"a": z}, 20)
    assert 2 * (20 + local_scaling.ROUGH[0]) < 200  # by iteration
    torch.testing.assert_close(axes.T @ axes, torch.eye(20), atol=1e-5, rtol=0)
    assert 0.97 * held(top(moment, 20)) < held(axes) <= held(top(moment, 20)) + 1e-6
    signs = torch.where(torch.arange(200) % 3 == 0, -1.0, 1.0)
    other = roughly_leading({"a": z * signs}, 20)  # as another library's singular vectors would have it
    torch.testing.assert_close((z * signs) @ other @ other.T * signs, z @ axes @ axes.T, atol=1e-4, rtol=0)


def test_only_the_better_half_at_a_glance_goes_through_its_rounds(
    latent: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, dev = hide_links(latent(300, 0), torch.arange(80)), latent(60, 1)
    first = {1.0: 0.3, 2.0: 0.1, 3.0: 0.5, 4.0: 0.2, 5.0: 0.4}
    monkeypatch.setattr(TransportCCA, "glance", lambda self, p, dev: self.ridge)
    monkeypatch.setattr(folds.Fold, "recalls_of", lambda self, ridge: torch.tensor([first[ridge]]))
    method = Full(dim=8)
    fold = folds_of(x, prepare(x, root=True, unit=True), dev, 0)[0]
    settings = [{"ridge": r} for r in first]
    assert [s["ridge"] for s in method.promising(settings, [fold])] == [1.0, 3.0, 5.0]
    assert [t["settings"]["ridge"] for t in method.record["passed_over"]] == [2.0, 4.0]
    assert method.promising(settings[:3], [fold]) == settings[:3]
    assert full.FEWEST_TO_HALVE == 4


@pytest.mark.parametrize("late", [False, True])
def test_without_dev_views_few_settings_are_tried_and_the_round_that_a_refit_ends_in_is_judged(
    latent: Problem, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    x = hide_links(latent(700, 0), torch.arange(500))
    monkeypatch.setattr(full, "HELD_ROWS", 60)
    method = Full(dim=6, closed={"late": late})
    heads = method.fit(x)
    p = prepare(x, root=True, unit=True)
    (fold,) = folds_of(x, p, None, 0)
    few, settings = fold.p.thinned(60, 0), [method.form(number, 500) for number in (9, 1, 6)]
    spaces = [TransportCCA(6, **s).solve(few).space for s in settings]
    items = [dev_recalls(space.embed_new(fold.dev)) for space in spaces]
    assert [len(fold.dev["image"]), len(few.unlinked("image", "text"))] == [100, 60]
    assert [t["settings"] for t in method.record["trials"]] == settings
    assert [t["score"] for t in method.record["trials"]] == pytest.approx([float(i.mean()) for i in items])
    best = steady(items)
    assert method.record["chosen"] == {**settings[best], "hubs": 1.0}
    again = without_hubs(TransportCCA(6, **settings[best]).solve(p).space.heads(6), x)
    assert all(torch.equal(heads.embed(x)[m], again.embed(x)[m]) for m in x.modalities)


@pytest.mark.parametrize(
    ("strengths", "lost", "best"), [((1.0,), 0.1, 1.0), ((1.0,), 0.5, 0.0), ((0.5, 1.0), 0.1, 0.0)]
)
def test_where_items_are_many_hubs_go_unless_dev_says_otherwise_beyond_noise(
    latent: Problem, monkeypatch: pytest.MonkeyPatch, strengths: tuple[float, ...], lost: float, best: float
) -> None:
    x, dev = latent(60, 0), latent(20, 1)
    uneven = torch.tensor([1.0, -1.0] * 10)  # what single dev items add differs much
    monkeypatch.setattr(
        folds.Fold,
        "crowded_recalls",
        lambda self, ends: [torch.full((20,), 0.9), *[0.9 - lost - uneven for _ in ends[1:]]],
    )
    method = Full(dim=8, steps=0)
    method.record |= {"trials": [], "chosen": {}}
    fold = folds_of(x, prepare(x, root=True, unit=True), dev, 0)[0]
    heads = TransportCCA(8).fit(x)
    assert method.strength([heads], [fold], strengths) == best
