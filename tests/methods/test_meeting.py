"""Matching a few rows among all of the other side: against plain arithmetic, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from modalign.methods import folds, full, meeting, prepared
from modalign.methods.cases import CASES, CLOSED, rounds_among
from modalign.methods.full import Full
from modalign.methods.prepared import Prepared, prepare
from modalign.training.loop import dev_recall
from modalign.views import Views
from modalign.views.links import hide_links

MakeViews = Callable[..., Views]
PAIR = ("image", "text")


def spaces(p: Prepared, k: int = 4) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(5)
    return {m: torch.randn(len(axes.values), k, generator=g, dtype=torch.float64) for m, axes in p.principal.items()}


def uneven(latent: MakeViews) -> Views:
    """30 linked things with a second text each, 50 pictures and 40 texts of things without a link, in another order."""
    x = latent(120, 0)
    texts = torch.cat([torch.arange(30), torch.arange(30), torch.arange(80, 120), torch.arange(80, 95)])
    texts = texts[torch.randperm(len(texts), generator=torch.Generator().manual_seed(1))]
    return Views({"image": x["image"][:80], "text": x["text"][texts]}, {"image": torch.arange(80), "text": texts})


def by_hand(p: Prepared, x: Views, own: str, other: str, into: dict[str, torch.Tensor], epsilon: float) -> np.ndarray:
    """Mean of x y^T over all rows of one side without a link, y what each is matched with."""
    unit = {m: x[m].double().numpy() / np.linalg.norm(x[m].double().numpy(), axis=1, keepdims=True) for m in x.data}
    rows = {m: (unit[m] - p.principal[m].mean.numpy()) @ p.principal[m].axes.numpy() for m in unit}
    group = {m: x.group[m].numpy() for m in unit}
    free = {m: np.setdiff1d(group[m], group[o]) for m, o in ((own, other), (other, own))}
    means = np.array([rows[own][group[own] == g].mean(0) for g in free[own]])
    items = rows[other][np.isin(group[other], free[other])]
    z, w = (v @ into[m].numpy() for v, m in ((means, own), (items, other)))
    cosine = (z / np.linalg.norm(z, axis=1, keepdims=True)) @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T
    hubs = np.sort(cosine, axis=0)[-meeting.CROWD :].mean(0)
    out = 0
    for row, scores in zip(means, cosine, strict=True):
        near = np.argsort(-scores)[: meeting.NEAREST]
        weight = np.exp((scores - hubs)[near] / epsilon)
        out = out + np.outer(row, weight @ items[near] / weight.sum()) / len(means)
    return out


@pytest.mark.parametrize("block", [7, 1 << 15])
@pytest.mark.parametrize("sought", [9, 1 << 17])
def test_the_moment_is_that_of_soft_matches_among_all(
    latent: MakeViews, monkeypatch: pytest.MonkeyPatch, block: int, sought: int
) -> None:
    monkeypatch.setattr(meeting, "BLOCK", block)
    monkeypatch.setattr(meeting, "SOUGHT", sought)
    monkeypatch.setattr(meeting, "NEAREST", 5)
    x = uneven(latent)
    p = prepare(x, unit=True, rows=20, meet=True)
    assert p.everyone is not None
    into = spaces(p)
    found = p.everyone.moment(PAIR, into, 0.1, seed=0).numpy()
    one, other = by_hand(p, x, "image", "text", into, 0.1), by_hand(p, x, "text", "image", into, 0.1).T
    share = 40 / 50  # of the 50 pictures 40 at most can have a text
    np.testing.assert_allclose(found, (share * one + other) / (share + 1), atol=1e-5)


def test_few_rows_are_asked_and_others_by_another_seed(latent: MakeViews, monkeypatch: pytest.MonkeyPatch) -> None:
    x = hide_links(latent(400, 0), torch.arange(60))
    p = prepare(x, rows=50, meet=True)
    assert p.everyone is not None
    asked: list[int] = []
    monkeypatch.setattr(
        meeting, "nearest", lambda q, *rest, plain=meeting.nearest: asked.append(len(q)) or plain(q, *rest)
    )
    whole = p.everyone.moment(PAIR, spaces(p), 0.05, seed=0)
    assert asked == [340, 340]
    torch.testing.assert_close(p.everyone.moment(PAIR, spaces(p), 0.05, seed=9), whole)
    few = p.thinned(10, seed=0).everyone
    assert few is not None
    some = [few.moment(PAIR, spaces(p), 0.05, seed) for seed in (0, 0, 2)]
    assert asked[-2:] == [40, 40]
    few.moment(PAIR, spaces(p), 0.05, 0, rounds_left=3)
    assert asked[-2:] == [40, 40]  # few are not halved
    monkeypatch.setattr(meeting, "FEWEST", 15)
    for left, expected in ((1, 20), (2, 15), (9, 15)):
        few.moment(PAIR, spaces(p), 0.05, 0, rounds_left=left)
        assert asked[-2:] == [expected, expected]
    assert torch.equal(some[0], some[1])
    assert not torch.allclose(some[0], some[2])


def test_only_rows_without_a_link_that_a_plan_cannot_hold_are_sought(latent: MakeViews) -> None:
    x = hide_links(latent(80, 0), torch.arange(30))
    assert prepare(x, rows=50, meet=True).everyone is None
    assert prepare(x, rows=49).everyone is None
    plain, p = prepare(x, rows=49), prepare(x, rows=49, meet=True)
    for m in x.modalities:
        assert torch.equal(plain.rows[m], p.rows[m])
    gone = torch.tensor([40, 41, 10])
    for q, left in ((p, 50), (p.without(gone), 48), (p.thinned(5, 0), 50)):
        assert q.everyone is not None
        (pictures, texts), ids = q.everyone.free[PAIR], q.everyone.ids
        assert (len(pictures), len(texts)) == (left, 50)  # a text without a link is a thing of its own
        assert not torch.isin(ids["image"][pictures], torch.arange(30)).any()
    assert not torch.isin(ids["image"][p.without(gone).everyone.free[PAIR][0]], gone).any()  # type: ignore[union-attr]
    shut = Views({"image": x["image"], "text": x["text"][:30]}, {"image": x.group["image"], "text": torch.arange(30)})
    assert prepare(shut, rows=10, meet=True).everyone is None  # nothing to be matched with


def test_more_rounds_among_more_rows() -> None:
    assert [rounds_among(rows) for rows in (100, 10_000, 31_000, 100_000, 1_000_000)] == [4, 4, 5, 6, 8]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans that hold 100 rows."""
    monkeypatch.setattr(prepared, "MOST_ROWS", 100)
    for module in (full, folds):
        monkeypatch.setattr(module, "TRIAL_ROWS", 50)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("judged", [False, True])
def test_ten_times_the_rows_do_not_hurt(latent: MakeViews, judged: bool) -> None:
    test, dev = latent(300, 7, noise=0.4), latent(100, 8, noise=0.4) if judged else None

    def recall(rows: int) -> float:
        method = Full(steps=0)
        heads = method.fit(hide_links(latent(rows, 0, noise=0.4), torch.arange(30)), dev)
        chosen = method.record["chosen"]
        assert (chosen["weight"], chosen["rounds"]) == (CLOSED[CASES["beyond"].tried[0]]["weight"], 4)
        return dev_recall(heads.embed(test))

    few, many = recall(300), recall(3000)
    assert many > few - 0.005


def test_more_rows_are_asked_among_more() -> None:
    assert [meeting.asked_among(n) for n in (9_000, 100_000, 1_000_000, 10_000_000)] == [32_768, 32_768, 65_536, 98_304]
    assert [meeting.asked_among(1_000_000, links) for links in (500, 5_000, 10_000)] == [65_536, 32_768, 32_768]
    assert meeting.asked_among(10_000_000, 5_000) == 65_536


def test_the_crowd_is_drawn_from_all_that_are_asked(latent: MakeViews, monkeypatch: pytest.MonkeyPatch) -> None:
    x = hide_links(latent(400, 0), torch.arange(60))
    p = prepare(x, rows=50, meet=True)
    assert p.everyone is not None
    side, into = p.everyone.sides["text"], spaces(p)["text"]
    space = (side.axes.axes @ into).float()
    queries = torch.nn.functional.normalize(torch.randn(90, space.shape[1], generator=torch.Generator().manual_seed(0)))
    item = torch.arange(20).view(10, 2)
    monkeypatch.setattr(meeting, "ASKED", 40)
    thinned = meeting.crowding(item, queries, side, space)
    monkeypatch.setattr(meeting, "ASKED", 90)
    torch.testing.assert_close(thinned, meeting.crowding(item, queries[::3], side, space))
    assert not torch.allclose(thinned, meeting.crowding(item, queries, side, space))
