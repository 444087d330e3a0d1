"""Prepared views: what is kept of many rows, and that blocks, thinning and folds change nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from modalign.geometry.correlation import principal_axes, principal_axes_of
from modalign.methods import folds, meeting, prepared
from modalign.methods.folds import sampled, within
from modalign.methods.prepared import prepare
from modalign.registry import make
from modalign.views import Views
from modalign.views.links import hide_links

MakeViews = Callable[..., Views]


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_blocks_give_the_axes_of_the_whole(far: float) -> None:
    x = torch.randn(500, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + far
    whole, parts = principal_axes(x), principal_axes_of(x.split(64))
    torch.testing.assert_close(parts.mean, whole.mean)
    torch.testing.assert_close(parts.values, whole.values, rtol=1e-9, atol=0)
    torch.testing.assert_close(parts.axes.abs(), whole.axes.abs(), rtol=0, atol=1e-7)
    assert torch.equal(principal_axes_of([x]).values, whole.values)
    flat = principal_axes_of((x @ torch.diag(torch.tensor([1.0, 1, 1, 0, 0, 0, 0], dtype=torch.float64))).split(100))
    assert len(flat.values) == 3


def test_a_tilt_moves_ridges_towards_the_modality_of_more_features(latent: MakeViews) -> None:
    x = latent(80, 0)
    wide, narrow = sorted(x.modalities, key=lambda m: -x[m].shape[1])
    p = prepare(x)
    ratio = x[wide].shape[1] / x[narrow].shape[1]
    assert ratio > 1
    assert p.tilted(0.0) is p
    assert p.tilted(2.0) is p.tilted(2.0)
    for tilt in (1.0, 2.0):
        tilted = p.tilted(tilt)
        times = {m: float(tilted.principal[m].total / p.principal[m].total) for m in x.modalities}
        assert times[wide] / times[narrow] == pytest.approx(ratio**tilt)
        assert times[wide] * times[narrow] == pytest.approx(1.0)
        assert not tilted.memo
        assert all(torch.equal(tilted.principal[m].values, p.principal[m].values) for m in x.modalities)
    whole = {m: float(p.tilted(1.0).principal[m].total / p.principal[m].values.sum()) for m in x.modalities}
    assert whole[wide] == pytest.approx(whole[narrow])  # a tilt of 1: the ridge is in units of the whole variance


def test_small_blocks_change_no_row(latent: MakeViews, monkeypatch: pytest.MonkeyPatch) -> None:
    x = hide_links(latent(80, 0), torch.arange(30))
    whole = prepare(x, unit=True)
    monkeypatch.setattr(prepared, "BLOCK", 7)
    monkeypatch.setattr(meeting, "BLOCK", 7)
    parts = prepare(x, unit=True)
    for m in x.modalities:
        assert torch.equal(parts.ids[m], whole.ids[m])
        torch.testing.assert_close(parts.rows[m] @ parts.rows[m].T, whole.rows[m] @ whole.rows[m].T, atol=1e-8, rtol=0)


def test_of_many_rows_all_linked_ones_stay_and_counts_are_of_all(latent: MakeViews) -> None:
    x = hide_links(latent(80, 0), torch.arange(30))
    whole, few = prepare(x), prepare(x, rows=10)
    assert [len(r) for r in few.rows.values()] == [40, 40]
    assert few.free == whole.free == {("image", "text"): (50, 50)}
    assert torch.equal(few.bank["image"], whole.bank["image"])
    for p in (few, whole.thinned(10, 0)):
        pairs, weight = p.links["image", "text"]
        assert (len(pairs), float(weight.sum())) == (30, 30.0)
        assert torch.equal(p.ids["image"][pairs[:, 0]], p.ids["text"][pairs[:, 1]])
        rows = torch.searchsorted(whole.ids["image"], p.ids["image"])
        assert torch.equal(p.rows["image"], whole.rows["image"][rows])
    assert whole.thinned(50, 0) is whole


def test_groups_left_out_are_nowhere(latent: MakeViews) -> None:
    x = hide_links(latent(80, 0), torch.arange(30))
    gone = torch.arange(5, 12)
    p, want = prepare(x).without(gone), prepare(x.groups(x.group_ids()[~torch.isin(x.group_ids(), gone)]))
    for m in x.modalities:
        assert torch.equal(p.ids[m], want.ids[m])
        assert len(p.bank[m]) == len(p.banked[m]) == 73
    assert torch.equal(p.links["image", "text"][0], want.links["image", "text"][0])
    assert p.free == want.free


def test_more_rows_than_fit_are_drawn_everywhere(latent: MakeViews, monkeypatch: pytest.MonkeyPatch) -> None:
    x = hide_links(latent(400, 0), torch.arange(60))
    for name in ("MOST_ROWS", "MOST_BANK"):
        monkeypatch.setattr(prepared, name, 100)
    monkeypatch.setattr(folds, "CROWD", 100)
    assert len(within(x, prepare(x))) == 60 + 200
    crowd = sampled(x, 0, torch.arange(10))
    assert not torch.isin(crowd.group["image"], torch.arange(10)).any()
    assert len(crowd["image"]) == 100
    for name in ("cca", "asif", "ridge", "procrustes", "transport_cca", "full", "wasserstein_procrustes"):
        settings = {"trials": 4, "steps": 10} if name == "full" else {}
        z = make("method", name, **settings).fit(x).embed(latent(50, 1))
        first = (z["image"] @ z["text"].T).argsort(dim=1, descending=True)[:, :10]
        assert (first == torch.arange(50)[:, None]).any(1).float().mean() > 0.5, name
