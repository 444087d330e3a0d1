"""CLIP, SigLIP, CyCLIP, Symile: independent oracles, many positives, temperature."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from modalign.errors import ModalignError
from modalign.objectives.base import Scale
from modalign.objectives.retrieval import Clip, SigLip, Symile
from modalign.registry import make
from modalign.views import Batch, Views


def as_batch(z):
    return Batch(z, z)


def test_many_positives_equal_supcon_of_pytorch_metric_learning(rows):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    x, y = rows(5, 4, 0), rows(8, 4, 1)
    gx, gy = torch.tensor([0, 1, 2, 3, 9]), torch.tensor([0, 0, 1, 2, 2, 2, 3, 8])
    z = Views({"text": x, "image": y}, {"text": gx, "image": gy})
    oracle = losses.SupConLoss(temperature=0.5)
    paired = torch.isin(gx, gy)
    there = oracle(x[paired], gx[paired], ref_emb=y, ref_labels=gy)
    paired = torch.isin(gy, gx)
    back = oracle(y[paired], gy[paired], ref_emb=x, ref_labels=gx)
    found = Clip(scale=2.0).double()(as_batch(z))
    torch.testing.assert_close(found, 0.5 * (there + back), atol=1e-7, rtol=0)


def test_true_pairs_are_not_pushed_apart(rows):
    """Two captions of one photo: with hard labels each is the other's negative."""
    x = rows(1, 4, 0)
    caption = rows(2, 4, 1).requires_grad_()
    z = Views({"image": x, "text": caption}, {"image": torch.tensor([3]), "text": torch.tensor([3, 3])})
    Clip()(as_batch(z)).backward()
    together = caption.detach()[:1].expand(2, 4).clone().requires_grad_()
    z = Views({"image": x, "text": together}, {"image": torch.tensor([3]), "text": torch.tensor([3, 3])})
    loss = Clip()(as_batch(z))
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * math.log(2))  # the least value with two equal positives
    assert together.grad.abs().max() < 1e-7
    assert torch.isfinite(caption.grad).all()


def test_more_than_two_modalities_average_over_pairs(make_batch):
    batch = make_batch()
    pairs = [("text", "image"), ("text", "audio"), ("image", "audio")]
    single = [Clip(modalities=list(p))(batch) for p in pairs]
    torch.testing.assert_close(Clip()(batch), torch.stack(single).mean())


def test_links_replace_groups(make_batch):
    z = make_batch().z.only("text", "image")
    crossed = Views(z.data, z.group, links={("text", "image"): torch.tensor([[0, 1], [1, 0]])})
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[0, 1] = mask[1, 0] = True
    assert torch.equal(crossed.positives("text", "image"), mask)
    assert not torch.isclose(Clip()(as_batch(crossed)), Clip()(as_batch(z)))


@pytest.mark.parametrize("wild", [1e3, -1e3, math.inf, -math.inf])
def test_wild_temperatures_stay_finite_and_are_clamped(make_batch, wild):
    for name in ("clip", "siglip", "cyclip", "symile", "gram", "triangle"):
        objective = make("objective", name)
        with torch.no_grad():
            objective.scale.log_scale.fill_(wild)
        z = {m: v.float().requires_grad_() for m, v in make_batch().z.data.items()}
        loss = objective(as_batch(Views.from_arrays(**z)))
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(v.grad).all() for v in z.values())
        assert torch.isfinite(objective.scale.log_scale.grad)
        logged = objective.log()
        value = logged.get("scale", 1 / logged["temperature"] if "temperature" in logged else None)
        assert 1.0 - 1e-6 <= value <= 100.0 + 1e-3
        objective.after_step()
        assert objective.scale.bounds[0] <= objective.scale.log_scale.item() <= objective.scale.bounds[1] + 1e-6


def test_temperature_starts_at_its_published_value_and_learns(make_batch):
    objective = Clip()
    assert objective.scale.log_scale.item() == pytest.approx(2.659260, abs=1e-6)
    objective(make_batch()).backward()
    assert objective.scale.log_scale.grad.abs() > 0
    assert not list(Clip(learn_scale=False).parameters())
    with pytest.raises(ModalignError, match="within"):
        Scale(1000.0)


def test_batch_of_one_is_zero_with_zero_gradient(rows):
    x, y = rows(1, 4, 0).requires_grad_(), rows(1, 4, 1).requires_grad_()
    loss = Clip()(as_batch(Views.from_arrays(text=x, image=y)))
    loss.backward()
    assert loss.item() == 0.0
    assert not x.grad.any()
    assert not y.grad.any()


def test_siglip_equals_its_formula(rows):
    x, y = rows(5, 4, 0), rows(5, 4, 1)
    z = Views.from_arrays(text=x, image=y)
    sign = 2 * torch.eye(5, dtype=torch.float64) - 1
    expected = -logsigmoid(sign * (10 * x @ y.T - 10)).sum()
    torch.testing.assert_close(SigLip().double()(as_batch(z)), expected / 5, atol=1e-6, rtol=0)
    mean = SigLip(scale=20.0, reduction="mean").double()(as_batch(z))
    torch.testing.assert_close(mean, -logsigmoid(sign * (20 * x @ y.T - 10)).mean(), atol=1e-6, rtol=0)


def test_siglip_leaves_out_pairs_that_nobody_knows(rows):
    """Unpaired items are negatives of paired ones, but say nothing about each other."""
    x, y = rows(3, 4, 0), rows(3, 4, 1)
    z = Views({"text": x, "image": y}, {"text": torch.tensor([0, 1, 2]), "image": torch.tensor([0, 1, 7])})
    logits = 10 * x @ y.T - 10
    sign = torch.tensor([[1, -1, -1], [-1, 1, -1], [-1, -1, 0]], dtype=torch.float64)
    expected = -(torch.where(sign == 0, 0.0, logsigmoid(sign * logits))).sum() / 2
    torch.testing.assert_close(SigLip().double()(as_batch(z)), expected, atol=1e-6, rtol=0)


def test_symile_all_combinations_equal_the_official_package(make_batch):
    symile = pytest.importorskip("symile")
    batch = make_batch(n=4)
    vectors = list(batch.z.data.values())
    oracle = symile.Symile("n_squared")(vectors, torch.tensor(5.0))
    found = Symile("all", official=True, scale=5.0).double()(batch)
    torch.testing.assert_close(found, oracle, atol=1e-6, rtol=0)


def test_symile_permuted_negatives_equal_the_official_package_where_no_tuple_repeats(make_batch, monkeypatch):
    symile = pytest.importorskip("symile")
    batch = make_batch(n=6)
    orders = [torch.tensor([1, 2, 3, 4, 5, 0]), torch.tensor([2, 3, 4, 5, 0, 1])]
    drawn = iter(orders * 6)
    monkeypatch.setattr(torch, "randperm", lambda n, **_: next(drawn))
    oracle = symile.Symile("n")(list(batch.z.data.values()), torch.tensor(5.0))
    found = Symile("n", official=True, scale=5.0).double()(batch)
    torch.testing.assert_close(found, oracle, atol=1e-6, rtol=0)


@pytest.mark.parametrize("d", [64, 512])
def test_symile_sees_what_only_three_modalities_share(d):
    """c = a * b: any two modalities are independent, all three determine each other. In any dimension."""
    a, b = (torch.randn(32, d, generator=torch.Generator().manual_seed(s)).sign() / d**0.5 for s in (0, 1))
    z = Views.from_arrays(a=a, b=b, c=a * b * d**0.5)
    assert Symile()(as_batch(z)).item() < 0.2
    assert Clip()(as_batch(z)).item() > math.log(32)


def test_symile_uses_complete_groups_only(make_batch):
    batch = make_batch()
    part = batch.z.select({"audio": torch.arange(3)})
    whole = batch.z.select({m: torch.arange(3) for m in batch.z.data})
    assert Symile("all")(as_batch(part)).item() == pytest.approx(Symile("all")(as_batch(whole)).item())


def test_clip_trains_two_random_heads_to_find_each_other():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(64, 8, generator=generator)
    x = Views.from_arrays(
        text=shared @ torch.randn(8, 12, generator=generator), image=shared @ torch.randn(8, 10, generator=generator)
    )
    heads = torch.nn.ModuleDict({"text": torch.nn.Linear(12, 8), "image": torch.nn.Linear(10, 8)})
    objective = Clip()
    optimiser = torch.optim.Adam([*heads.parameters(), *objective.parameters()], lr=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        z = x.map(lambda m, v: torch.nn.functional.normalize(heads[m](v), dim=1))
        objective(Batch(z, x)).backward()
        optimiser.step()
        objective.after_step()
    hits = (z["text"] @ z["image"].T).argmax(1) == torch.arange(64)
    assert hits.float().mean() > 0.95
