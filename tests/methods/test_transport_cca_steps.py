"""Each round of transport-CCA against a slow transcription in numpy, which shares no code with it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from modalign.methods import transport_cca
from modalign.methods.prepared import prepare
from modalign.methods.transport_cca import Round, TransportCCA, better, recall_of

CLOSE = {"rtol": 0, "atol": 1e-9}
SETTINGS: list[dict[str, Any]] = [
    {},
    {
        "last_ridge": 0.5,
        "ridge": 8.0,
        "tilt": 2.0,
        "rounds": 3,
        "share": 0.3,
        "sharpness": 1.5,
        "smoothing": 0.5,
        "neighbours": 3,
        "last_epsilon": 0.2,
    },
    {"smoothing": 0.0, "plan_neighbours": 0, "epsilon": 0.2, "weight": 0.3, "matches": 4, "power": 1.0, "dim": 3},
    {
        "late": True, "smoothing": 0.0, "ridge": 2.0, "last_ridge": 1.0, "tilt": 1.0, "last_power": 1.0, "rounds": 2,
        "share": 0.5,
    },
    {"share": 0.0, "plan_neighbours": 2, "weight": 2.0},
]  # fmt: skip
EASY = {"epsilon": 0.1, "plan_neighbours": 3}  # plans that a plain iteration solves to the last digit


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("parts", [("image", "text"), ("image", "text", "sound")])
def test_every_round_has_its_ridge_plan_anchors_and_vectors(
    slow: Any, parts: tuple[str, ...], settings: dict[str, Any]
) -> None:
    x, dev, settings = slow.problem(parts, linked=10 + 4 * len(parts)), slow.dev_of(parts), {**EASY, **settings}
    found = list(TransportCCA(**settings).refits(prepare(x), recall_of(dev)))
    by_hand = slow.Slow(x, **settings)
    assert len(found) == settings.get("rounds", 2) + 1
    for number, (now, (ridge, _, plans)) in enumerate(zip(found, by_hand.rounds(), strict=True)):
        assert now.ridge == pytest.approx(ridge, rel=1e-12)
        assert bool(now.plans) == (number > 0)
        for pair, (left, right, plan) in plans.items():
            rows, columns, ours = now.plans[pair]
            assert (rows.tolist(), columns.tolist()) == (left, right)
            axes = [now.space.p.principal[m].axes.numpy() for m in pair]
            moment = by_hand.rows[pair[0]][left].T @ plan @ by_hand.rows[pair[1]][right]
            np.testing.assert_allclose(axes[0] @ ours.moment.numpy() @ axes[1].T, moment, rtol=0, atol=1e-9)
            np.testing.assert_allclose(ours.certainty.numpy(), plan.max(1), rtol=1e-6, atol=1e-11)
            assert ours.partner.tolist() == plan.argmax(1).tolist()
            best = [i for i, j in enumerate(plan.argmax(1)) if plan[:, j].argmax() == i]
            assert ours.mutual.nonzero().flatten().tolist() == best
        if by_hand.anchors:
            np.testing.assert_allclose(now.space.weight.numpy(), by_hand.weight)
            for m, rows in now.space.anchors.items():
                whitened = now.space.whitened(m, now.space.p.rows[m]).numpy()
                np.testing.assert_allclose(
                    whitened @ rows.numpy().T, by_hand.rows[m] @ by_hand.white[m] @ by_hand.anchors[m].T, **CLOSE
                )
        assert bool(now.space.anchors) == (settings.get("share", 1.0) > 0 and not settings.get("late", False))
        z = {m: now.space.embed(m, now.space.p.rows[m]).numpy() for m in parts}
        for a, b in itertools.combinations_with_replacement(parts, 2):
            np.testing.assert_allclose(z[a] @ z[b].T, by_hand.embed(a) @ by_hand.embed(b).T, **CLOSE)
        assert now.score == pytest.approx(by_hand.score(dev), abs=1e-12)


def test_fewer_than_ten_known_pairs_are_no_anchors(slow: Any) -> None:
    for linked in range(10, 18):  # some of them lack one side
        p = prepare(slow.problem(linked=linked))
        known = len(p.links["image", "text"][0])
        assert bool(TransportCCA().anchors(p)) == (known >= 10)
        assert not TransportCCA(share=0.0).anchors(p)
    assert known > 10


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_best_round_on_dev_becomes_the_heads(slow: Any, settings: dict[str, Any]) -> None:
    x, dev, settings = slow.problem(), slow.dev_of(), {**EASY, **settings}
    method = TransportCCA(**settings)
    found = method.solve(prepare(x), dev)
    space, score = found.space, found.score
    best, embed, rows = slow.Slow(x, **settings).solved(dev)
    assert score == pytest.approx(best, abs=1e-12) == max(method.record["rounds"])
    ours = {m: space.embed(m, space.p.rows[m]).numpy() for m in x.modalities}
    np.testing.assert_allclose(ours["image"] @ ours["text"].T, rows["image"] @ rows["text"].T, **CLOSE)
    z, hand = space.heads().embed(dev), embed(dev)  # heads hold float32
    np.testing.assert_allclose((z["image"] @ z["text"].T).numpy(), hand["image"] @ hand["text"].T, atol=2e-5, rtol=0)


def test_scores_choose_the_round(slow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, dev = slow.problem(), slow.dev_of()
    for scores, best in (([0.2, 0.5, 0.4], 1), ([0.5, 0.5, 0.4], 0), ([0.1, 0.2, 0.3], 2)):
        waiting = iter(scores)
        spaces = []

        def scripted(space: Any, waiting=waiting, spaces=spaces) -> torch.Tensor:  # type: ignore[no-untyped-def]
            spaces.append(space)
            return torch.tensor(next(waiting), dtype=torch.float64)

        monkeypatch.setattr(transport_cca, "recall_of", lambda _: scripted)
        found = TransportCCA(rounds=2).solve(prepare(x), dev)
        assert (found.space is spaces[best], found.score) == (True, scores[best])
    monkeypatch.undo()
    a, b, later = (Round(None, {}, 1.0, s) for s in (torch.tensor(0.5), torch.tensor(0.1), None))  # type: ignore[arg-type]
    assert better(a, b) is a
    assert better(later, later._replace(ridge=2.0)).ridge == 2.0


def test_without_dev_the_last_round_is_kept(slow: Any) -> None:
    x = slow.problem()
    found = TransportCCA().solve(prepare(x))
    space, score = found.space, found.score
    last = list(TransportCCA().refits(prepare(x)))[-1]
    assert score == -1.0
    assert torch.equal(
        space.embed("image", space.p.rows["image"]), last.space.embed("image", last.space.p.rows["image"])
    )
