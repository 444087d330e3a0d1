"""Heads without hubs: the scaling inside the space, and what a hub loses by it."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from modalign.methods import local_scaling
from modalign.methods.local_scaling import MOST, of_strength, top, without_hubs
from modalign.model import Model
from modalign.model.heads import LocalScaling
from modalign.registry import make
from modalign.views import Views, hide_links


def unit(n: int, d: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def stage(z_other: torch.Tensor, own: int, mean: float, **settings: float) -> LocalScaling:
    last = LocalScaling(z_other.shape[1], len(z_other), own, 2, 5, **settings)  # type: ignore[arg-type]
    last.bank.copy_(z_other)
    last.mean.fill_(mean)
    return last


def test_the_cosine_loses_both_crowds() -> None:
    """Before rows are scaled back to unit length, z . w becomes z . w - b(z) - b(w) exactly."""
    z, w = unit(40, 8, 0), unit(50, 8, 1)
    text, image = stage(w, 0, 0.3), stage(z, 1, 0.4)

    def long(last: LocalScaling, rows: torch.Tensor) -> torch.Tensor:
        out = last(rows)
        return out / out[:, :8].norm(dim=1, keepdim=True)  # undo the scaling: the first part had length 1

    got = long(text, z) @ long(image, w).T
    crowd_z = (z @ w.T).topk(5, dim=1).values.mean(1)
    crowd_w = (w @ z.T).topk(5, dim=1).values.mean(1)
    want = z @ w.T - (crowd_z[:, None] - 0.3) / 2 - (crowd_w[None] - 0.4) / 2
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
    torch.testing.assert_close(text(z).norm(dim=1), torch.ones(40))


def test_strength_0_only_adds_constants() -> None:
    z, w = unit(20, 4, 0), unit(30, 4, 1)
    text, image = stage(w, 0, 0.0, strength=0.0), stage(z, 1, 0.0, strength=0.0)
    order = (z @ w.T).argsort(dim=1)
    assert torch.equal((text(z) @ image(w).T).argsort(dim=1), order)


def problem(n: int = 300) -> Views:
    """Two noisy views of the same points, one of them with a crowd in the middle."""
    draw = torch.Generator().manual_seed(3)
    s = torch.randn(n, 12, generator=draw)
    x, y = s + 0.6 * torch.randn(n, 12, generator=draw), s + 0.6 * torch.randn(n, 12, generator=draw)
    y[: n // 10] = 0.1 * y[: n // 10] + 0.5
    return Views.from_arrays(text=x, image=y)


def test_no_item_is_found_by_so_many_queries() -> None:
    x = problem()
    plain = make("method", "cca", dim=8).fit(x)
    fewer = without_hubs(plain, x)
    assert (fewer.dim, fewer["text"].map.dim) == (plain.dim, plain.dim - 2)

    def most_found(heads):  # type: ignore[no-untyped-def]
        z = heads.embed(x)
        first = (z["text"] @ z["image"].T).topk(5, dim=1).indices
        return int(torch.bincount(first.flatten()).max())

    assert most_found(fewer) < most_found(plain)


def test_saved_and_loaded(tmp_path) -> None:  # type: ignore[no-untyped-def]
    x = problem(100)
    heads = make("method", "cca", dim=6, hubs=True).fit(x)
    assert heads.dim == 6
    Model(heads).save(tmp_path)
    again = Model.load(tmp_path)
    assert torch.equal(again.transform(x["text"], "text"), heads.transform(x["text"], "text"))


def test_clip_takes_the_stage_by_choice() -> None:
    x = problem(80)
    plain = make("method", "clip", dim=6, trials=1, steps=20).fit(x)
    fewer = make("method", "clip", dim=6, trials=1, steps=20, hubs=True).fit(x)
    assert (plain.dim, fewer.dim) == (6, 6)
    assert plain["text"].hubs is None
    assert fewer["text"].hubs is not None


def test_small_and_large_banks() -> None:
    x = problem(12)
    heads = make("method", "cca", dim=4, hubs=True).fit(x)
    assert heads["text"].hubs is None  # 12 items say nothing about crowds
    big = Views.from_arrays(a=unit(MOST + 5, 3, 0), b=unit(MOST + 5, 3, 1), c=unit(MOST + 5, 3, 2))
    first, again = (without_hubs(make("method", "cca", dim=3).fit(big), big) for _ in range(2))
    assert first["a"].hubs is not None
    assert first["a"].hubs.bank.shape == (2 * (MOST // 2), 1)
    assert torch.equal(first["a"].hubs.bank, again["a"].hubs.bank)  # type: ignore[union-attr]


def test_strength_can_be_changed_afterwards() -> None:
    x = problem()
    heads = make("method", "cca", dim=8).fit(x)
    changed, want = of_strength(without_hubs(heads, x), 0.5), without_hubs(heads, x, strength=0.5)
    assert torch.equal(changed.embed(x)["text"], want.embed(x)["text"])
    assert of_strength(heads, 0.5) is heads


@pytest.mark.parametrize("dev", [True, False])
def test_full_keeps_the_stage_only_where_it_helps(dev: bool) -> None:
    x = problem(120)
    method = make("method", "full", dim=10, trials=5, steps=10)
    heads = method.fit(x.groups(torch.arange(90)), x.groups(torch.arange(90, 120)) if dev else None)
    assert heads.dim == 10
    strength = method.record["chosen"]["hubs"]
    assert (0.0 if heads["text"].hubs is None else heads["text"].hubs.strength) == strength
    tried = {t["settings"]["hubs"]: t["score"] for t in method.record["trials"] if "hubs" in t["settings"]}
    assert set(tried) == {0.5, 1.0}
    assert method.record["dev"] >= max(tried.values())
    off = make("method", "full", dim=10, trials=2, steps=10, hubs=False)
    assert off.fit(x.groups(torch.arange(90)))["text"].hubs is None


def test_late_anchors_are_the_same_where_no_plan_is_made() -> None:
    x = problem(60)
    early, late = (make("method", "transport_cca", dim=8, smoothing=0.0, late=v).fit(x) for v in (False, True))
    assert torch.equal(early.transform(x["text"], "text"), late.transform(x["text"], "text"))
    assert early["text"].features.settings["anchors"] == 60


def test_the_ridge_falls_over_the_rounds() -> None:
    x = hide_links(problem(120), torch.arange(40))
    fixed = make("method", "transport_cca", dim=8, ridge=10.0, rounds=2).fit(x)
    same = make("method", "transport_cca", dim=8, ridge=10.0, last_ridge=10.0, rounds=2).fit(x)
    falls = make("method", "transport_cca", dim=8, ridge=10.0, last_ridge=1.0, rounds=2).fit(x)
    assert torch.equal(fixed.transform(x["text"], "text"), same.transform(x["text"], "text"))
    assert not torch.equal(fixed.transform(x["text"], "text"), falls.transform(x["text"], "text"))


def test_leading_directions_of_a_wide_matrix_are_found_by_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(500, 90, generator=draw).double() * torch.linspace(1, 0, 90).double() ** 3
    moment = rows.T @ rows
    exact = top(moment, 6)
    monkeypatch.setattr(local_scaling, "WIDE", 10)
    monkeypatch.setattr(local_scaling, "SPARE", 8)
    found = top(moment, 6)
    torch.testing.assert_close(found.T @ found, torch.eye(6).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close((found * exact).sum(0).abs(), torch.ones(6).double(), atol=1e-2, rtol=0)
    assert not torch.equal(found.abs(), exact.abs())
