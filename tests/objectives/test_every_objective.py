"""What every objective must satisfy, whatever it computes. A new objective joins by one line in CASES."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modalign import registry
from modalign.objectives.base import Objective
from modalign.training.gradcache import backward
from modalign.views import Batch, Views

WIDTHS = {"text": 6, "image": 6, "audio": 6}

#: name -> settings. Every registered objective is here (a test checks it).
CASES: dict[str, dict] = {
    "clip": {"name": "clip"},
    "infonce": {"name": "infonce", "label_smoothing": 0.1},
    "mil_nce": {"name": "mil_nce"},
    "siglip": {"name": "siglip", "bias": -1.0},
    "cyclip": {"name": "cyclip"},
    "symile": {"name": "symile"},
    "symile-all": {"name": "symile", "negatives": "all"},
    "transport": {"name": "transport", "epsilon": 0.2, "tolerance": 1e-10},
    "transport-debiased": {"name": "transport", "epsilon": 0.2, "debias": True, "tolerance": 1e-10},
    "transport-semi-paired": {"name": "transport", "epsilon": 0.2, "method": "semi_paired", "tolerance": 1e-10},
    "klot": {"name": "klot", "teacher": "features", "teacher_epsilon": 0.1, "epsilon": 0.2, "tolerance": 1e-10},
    "klot-official": {"name": "klot", "teacher": "features", "epsilon": 0.2, "teacher_epsilon": 0.2, "official": True},
    "klot-cca": {"name": "klot", "teacher": "cca", "teacher_epsilon": 0.1, "epsilon": 0.2, "tolerance": 1e-10},
    "rma-literal": {"name": "rma", "form": "literal", "k": 2},
    "rma-carried": {"name": "rma", "form": "carried", "k": 2},
    "rma-diffused": {"name": "rma", "form": "diffused", "k": 2},
    "rma-geodesic": {"name": "rma", "form": "geodesic", "k": 2},
    "rma-structure": {"name": "rma", "form": "structure", "levels": 2},
    "structure": {"name": "structure", "warm_up": 1},
    "gram": {"name": "gram"},
    "gram-official": {"name": "gram", "official": True},
    "gram-all-anchors": {"name": "gram", "anchor": "all"},
    "gram-matching": {"name": "gram", "matching": 0.1, "dim": 4},
    "triangle": {"name": "triangle"},
    "triangle-official": {"name": "triangle", "official": True},
    "pmrl": {"name": "pmrl", "temperature": 0.5},
    "bridge": {"name": "bridge"},
    "separation": {"name": "separation", "widths": WIDTHS, "dim": 4},
    "consistency": {"name": "consistency"},
    "jiang": {"name": "jiang", "widths": WIDTHS, "dim": 4},
    "uniformity": {"name": "uniformity", "alignment": 1.0},
    "vicreg": {"name": "vicreg"},
    "caption": {"name": "caption", "captions": {g: f"item {g} here" for g in range(6)}, "dim": 4, "width": 8},
    "classify": {"name": "classify", "labels": {g: "abc"[g % 3] for g in range(6)}, "dim": 4},
    "classify-several": {"name": "classify", "labels": {g: ["a", "bc"[g % 2]] for g in range(6)}, "dim": 4},
    "total-with-tasks": {
        "name": "total",
        "terms": {
            "words": {"name": "caption", "captions": {0: "a", 3: "b c"}, "dim": 4, "width": 8, "dropout": 0.0},
            "classes": {"name": "classify", "labels": {1: "a", 4: "b"}, "dim": 4},
        },
        "weights": {"words": 0.5},
    },
    "total": {
        "name": "total",
        "alpha": 0.5,
        "beta": {"end": 0.5, "steps": 10},
        "transport": {"name": "transport", "epsilon": 0.2, "tolerance": 1e-10},
        "neighbourhood": {"name": "rma", "form": "carried", "k": 2},
        "terms": {"spread": {"name": "uniformity"}},
    },
    "total-uncertainty": {
        "name": "total",
        "transport": {"name": "transport", "epsilon": 0.2, "tolerance": 1e-10},
        "weighting": "uncertainty",
    },
}
NAMES = list(CASES)
PAIRED_ONLY = {"clip", "infonce", "siglip", "cyclip", "symile", "symile-all", "gram", "gram-official", "triangle"}
PAIRED_ONLY |= {"gram-all-anchors", "gram-matching", "triangle-official", "pmrl", "bridge", "consistency"}
PAIRED_ONLY |= {"rma-carried", "rma-diffused"}
#: Sampled tuples, seeded by the step, depend on the order of the items; so do features dropped at random.
ORDERED = {"symile", "gram-matching", "separation", "jiang"}
#: Extra heads: some drop features at random in training, and rotations of the space do not reach them.
UNBOUND = {"separation", "jiang", "caption", "classify", "classify-several", "total-with-tasks"}


def build(name: str, batch: Batch | None = None) -> Objective:
    settings = dict(CASES[name])
    objective = registry.make("objective", settings.pop("name"), **settings)
    if name == "klot-cca" and batch is not None:
        objective.prepare(batch.x)
    return objective.double().eval() if name in UNBOUND else objective.double()


def with_z(batch: Batch, z: dict[str, torch.Tensor]) -> Batch:
    return replace(batch, z=replace(batch.z, data=z))


def leaves(batch: Batch) -> dict[str, torch.Tensor]:
    return {m: v.detach().clone().requires_grad_() for m, v in batch.z.data.items()}


def test_every_registered_objective_is_tested():
    assert {case["name"] for case in CASES.values()} == set(registry.names("objective"))


@pytest.mark.parametrize("name", NAMES)
def test_value_is_a_finite_scalar_and_logs_are_numbers(name, make_batch):
    batch = make_batch()
    objective = build(name, batch)
    loss = objective(batch)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    objective.after_step()
    assert all(isinstance(v, float) for v in objective.log().values())


@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_finite_differences(name, make_batch):
    batch = make_batch(n=5, d=4)
    objective = build(name, batch)
    z = list(batch.z.data)

    def loss(*rows: torch.Tensor) -> torch.Tensor:
        return objective(with_z(batch, dict(zip(z, rows, strict=True))))

    inputs = tuple(leaves(batch).values())
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, nondet_tol=1e-9, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_items_does_not_matter(name, make_batch):
    if name in ORDERED:
        pytest.skip("draws tuples or drops features at random, in the order of the items")
    batch = make_batch(n=6)
    objective = build(name, batch)
    order = {m: torch.randperm(6, generator=torch.Generator().manual_seed(i)) for i, m in enumerate(batch.z.data)}
    moved = Batch(batch.z.select(order), batch.x.select(order), batch.augmented.select(order), batch.step)
    torch.testing.assert_close(objective(moved), objective(batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith(("symile", "vicreg", "gram-matching", "jiang"))])
def test_rotation_of_the_shared_space_does_not_matter(name, make_batch):
    if name in UNBOUND:
        pytest.skip("its extra heads live in fixed coordinates")
    batch = make_batch()
    objective = build(name, batch)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64))[0]
    turned = replace(batch, z=batch.z.map(lambda m, v: v @ turn), augmented=batch.augmented.map(lambda m, v: v @ turn))
    torch.testing.assert_close(objective(turned), objective(batch), atol=1e-5, rtol=1e-5)


def degenerate(kind: str, batch: Batch) -> dict[str, torch.Tensor]:
    if kind == "identical":
        return {m: torch.ones_like(v) / v.shape[1] ** 0.5 for m, v in batch.z.data.items()}
    if kind == "opposite":
        signs = dict(zip(batch.z.data, (1, -1, 1), strict=False))
        return {m: signs[m] * torch.ones_like(v) / v.shape[1] ** 0.5 for m, v in batch.z.data.items()}
    if kind == "coincident modalities":
        return dict.fromkeys(batch.z.data, batch.z["text"])
    base = batch.z["text"][:1]
    near = {m: torch.nn.functional.normalize(base + 1e-7 * v, dim=1) for m, v in batch.z.data.items()}
    return near if kind == "near-collinear" else {m: v.to(getattr(torch, kind)) for m, v in batch.z.data.items()}


@pytest.mark.parametrize(
    "kind", ["identical", "opposite", "coincident modalities", "near-collinear", "float16", "bfloat16", "float32"]
)
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_inputs_give_finite_values_and_gradients(name, kind, make_batch):
    batch = make_batch()
    if kind == "float16" or kind == "bfloat16" or kind == "float32":
        dtype = getattr(torch, kind)
        batch = Batch(batch.z.to(dtype=dtype), batch.x.to(dtype=dtype), batch.augmented.to(dtype=dtype), batch.step)
    objective = build(name, batch).float()
    for part in objective.modules():
        part.tolerance = 1e-4  # what float32 can reach
        if hasattr(part, "solver"):
            part.solver = replace(part.solver, tolerance=1e-4)
    z = {m: v.float() if v.dtype == torch.float64 else v for m, v in degenerate(kind, batch).items()}
    z = {m: v.detach().requires_grad_() for m, v in z.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = objective(with_z(batch, z))
    loss.backward()
    assert torch.isfinite(loss)
    assert loss.dtype in (torch.float32, torch.float64)
    assert all(v.grad is None or torch.isfinite(v.grad).all() for v in z.values())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in objective.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_batch_of_one_is_finite(name, make_batch):
    whole = make_batch()
    one = {m: torch.tensor([0]) for m in whole.z.data}
    batch = Batch(whole.z.select(one), whole.x.select(one), whole.augmented.select(one), whole.step)
    objective = build(name, whole)
    z = leaves(batch)
    loss = objective(with_z(batch, z))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(v.grad is None or torch.isfinite(v.grad).all() for v in z.values())
    if name in ("clip", "symile", "gram", "triangle", "rma-geodesic"):
        assert loss.item() == pytest.approx(0.0, abs=1e-9)
        assert all(v.grad is None or v.grad.abs().max() < 1e-9 for v in z.values())


@pytest.mark.parametrize("name", NAMES)
def test_unpaired_items_alone_teach_what_they_can_and_never_break(name, make_batch):
    whole = make_batch()
    objective = build(name, whole)
    apart = {m: v + 100 * i for i, (m, v) in enumerate(whole.z.group.items())}
    views = [Views(v.data, apart) for v in (whole.z, whole.x, whole.augmented)]
    z = leaves(whole)
    batch = with_z(Batch(*views, whole.step), z)
    loss = objective(batch)
    loss.backward()
    assert torch.isfinite(loss)
    if name in PAIRED_ONLY:
        assert loss.item() == 0.0
        assert all(v.grad is not None and not v.grad.any() for v in z.values())


@pytest.mark.parametrize("name", NAMES)
def test_absent_and_empty_modalities_are_absent(name, make_batch):
    whole = make_batch()
    objective = build(name, whole)
    two = [v.only("text", "image") for v in (whole.z, whole.x, whole.augmented)]
    empty = {"audio": torch.zeros(0, dtype=torch.long)}
    three = [v.select(empty) for v in (whole.z, whole.x, whole.augmented)]
    without = objective(Batch(*two, whole.step))
    assert torch.isfinite(without)
    torch.testing.assert_close(objective(Batch(*three, whole.step)), without)
    nobody = {m: torch.zeros(0, dtype=torch.long) for m in whole.z.data}
    assert objective(Batch(*[v.select(nobody) for v in (whole.z, whole.x, whole.augmented)], 3)).item() == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_several_items_per_group_and_ragged_lengths(name, make_batch):
    whole = make_batch()
    objective = build(name, whole)
    rows = {"text": torch.tensor([0, 0, 1, 1, 2, 3, 5]), "image": torch.tensor([0, 1, 2, 4]), "audio": torch.arange(5)}
    batch = Batch(*[v.select(rows) for v in (whole.z, whole.x, whole.augmented)], whole.step)
    z = leaves(batch)
    loss = objective(with_z(batch, z))
    loss.backward()
    assert torch.isfinite(loss)
    assert any(v.grad is not None and v.grad.any() for v in z.values())


@pytest.mark.parametrize("mini_batch", [1, 4, 6])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_cache_equals_the_plain_gradient(name, mini_batch, make_batch):
    batch = make_batch()
    head = torch.nn.Linear(6, 4).double()

    def encode(x: Views) -> Views:
        return x.map(lambda m, rows: torch.nn.functional.normalize(head(rows), dim=1))

    objective = build(name, batch)
    second = batch.x.map(lambda m, rows: rows + 0.1)
    parameters = [*head.parameters(), *objective.parameters()]
    plain = objective(Batch(encode(batch.x), batch.x, encode(second), batch.step))
    plain.backward()
    wanted = [p.grad.clone() if p.grad is not None else None for p in parameters]
    head.zero_grad(), objective.zero_grad()
    cached = backward(encode, batch.x, objective, mini_batch=mini_batch, augmented=second, step=batch.step)
    torch.testing.assert_close(cached, plain.detach(), atol=1e-8, rtol=1e-6)
    for p, grad in zip(parameters, wanted, strict=True):
        if grad is not None and grad.any():
            torch.testing.assert_close(p.grad, grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_a_save_and_a_load(name, make_batch):
    batch = make_batch()
    objective = build(name, batch)
    with torch.no_grad():
        for p in objective.parameters():
            p.mul_(0.9)
    other = build(name)  # a teacher is not fitted again, its buffers come from the state
    other.load_state_dict(objective.state_dict())
    torch.testing.assert_close(other(batch), objective(batch))


def test_every_registered_objective_is_documented_with_its_defaults():
    page = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
    for name in registry.names("objective"):
        assert f"`{name}`" in page, name
        assert "Reference:" in registry.get("objective", name).__doc__ or name == "total", name
