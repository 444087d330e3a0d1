"""Objectives on plain tensors: the same as on a batch, and compiled without a break."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import modalign as ma
from modalign.objectives import Clip, CyClip, Gram, SigLip, Triangle
from modalign.views import Batch, Views

COMPILED = (
    "clip", "siglip", "mil_nce", "cyclip", "consistency", "rma", "uniformity", "vicreg", "gram", "pmrl",
)  # fmt: skip


def rows(count: int = 2, n: int = 12, d: int = 8) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(n, d, generator=draw).requires_grad_() for _ in range(count)]


@pytest.mark.parametrize("objective", [Clip(), SigLip(), CyClip(), Gram()], ids=lambda o: type(o).__name__)
def test_tensors_are_rows_at_length_one_of_aligned_modalities(objective: ma.objectives.Objective) -> None:
    x, y = rows()
    loss = objective(x, y)
    ids = torch.arange(12)
    z = Views({m: torch.nn.functional.normalize(v, dim=1) for m, v in (("x", x), ("y", y))}, {"x": ids, "y": ids})
    want = objective(Batch(z, z))
    assert torch.allclose(loss, want, atol=1e-6)
    for got, right in zip(torch.autograd.grad(loss, (x, y)), torch.autograd.grad(want, (x, y)), strict=True):
        assert torch.allclose(got, right, atol=1e-6)


def test_against_a_plain_clip() -> None:
    x, y = rows()
    u, v = (torch.nn.functional.normalize(t, dim=1) for t in (x, y))
    logits = u @ v.T / 0.07
    want = (torch.nn.functional.cross_entropy(logits, torch.arange(12)) + torch.nn.functional.cross_entropy(
        logits.T, torch.arange(12)
    )) / 2  # fmt: skip
    assert torch.allclose(Clip()(x, y), want, atol=1e-5)


def test_three_tensors_and_groups() -> None:
    x, y, z = rows(3)
    assert Triangle()(x, y, z).isfinite()
    group = torch.arange(12) // 2
    assert not torch.allclose(Clip()(x, y, group=group), Clip()(x, y))
    v = Views({"x": torch.nn.functional.normalize(x, dim=1), "y": torch.nn.functional.normalize(y, dim=1)},
              {"x": group, "y": group})  # fmt: skip
    assert torch.allclose(Clip()(x, y, group=group), Clip()(Batch(v, v)))
    with pytest.raises(ma.ModalignError, match="different numbers of rows"):
        Clip()(x, y[:5])
    with pytest.raises(ma.ModalignError, match="equally long rows are needed, got shapes"):
        ma.objectives.VicReg()(x, y[:, :5])
    with pytest.raises(ma.ModalignError, match="one group id per row"):
        Clip()(x, y, group=group[:5])


def test_ids_of_groups_may_be_a_list() -> None:
    x, y = rows()
    assert torch.equal(Clip()(x, y, group=[0, 0, *range(10)]), Clip()(x, y, group=torch.tensor([0, 0, *range(10)])))


@pytest.mark.parametrize(
    ("objective", "count", "said"),
    [
        (Clip(), 1, "Clip learns from 2 modalities or more, got x"),
        (Gram(), 1, "Gram learns from 2 modalities or more, got x"),
        (ma.objectives.Rma(), 1, "Rma learns from 2 modalities or more, got x"),
        (Triangle(), 2, "Triangle learns from 3 modalities or more, got x, y"),
        (Clip(modalities=["image", "text"]), 2, "got x, y, and it looks at image, text alone"),
        (Gram(anchor="text"), 2, r"unknown anchor 'text' \(known: x, y\)"),
        (ma.objectives.Total(terms={"tuples": {"name": "triangle"}}), 2, "Triangle learns from 3 modalities"),
        (ma.objectives.Structure(), 2, "Structure compares points with what went into the heads: give both"),
        (ma.objectives.Rma("structure"), 2, "Rma compares points with what went into the heads: give both"),
    ],
)
def test_tensors_that_teach_nothing_are_refused(objective: ma.objectives.Objective, count: int, said: str) -> None:
    with pytest.raises(ma.ModalignError, match=said):
        objective(*rows(count))


def test_one_modality_teaches_what_looks_at_each_alone() -> None:
    (x,) = rows(1)
    for objective in (ma.objectives.Uniformity(), ma.objectives.VicReg(), ma.objectives.Rma("geodesic")):
        assert float(torch.autograd.grad(objective(x), x)[0].norm()) > 0.01


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda x, y: (x.detach().numpy(), y.detach().numpy()), "got ndarray, ndarray: torch.as_tensor"),
        (lambda x, y: (x, y.detach().numpy()), "got ndarray: torch.as_tensor"),
        (lambda x, y: ({"x": x, "y": y},), "got dict"),
        (lambda x, y: (Views.from_arrays(x=x, y=y),), "got Views.*Batch"),
        (lambda x, y: (x.detach().long(), y), r"got torch.int64: convert with x.float\(\)"),
        (lambda x, y: (x, y.detach().to("meta")), "on the device 'meta', which holds no numbers"),
    ],
)
def test_what_is_no_tensor_is_refused_in_one_line(given: Callable[..., tuple[object, ...]], said: str) -> None:
    for objective in (Clip(), Gram()):
        with pytest.raises(ma.ModalignError, match=said):
            objective(*given(*rows()))


@pytest.mark.parametrize("name", ["clip", "siglip", *(pytest.param(n, marks=pytest.mark.slow) for n in COMPILED[2:])])
def test_common_objectives_compile_without_a_break(name: str) -> None:
    x, y = rows()
    objective = ma.make("objective", name)
    torch._dynamo.reset()
    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    loss, want = compiled(x, y), objective(x, y)
    assert torch.allclose(loss, want, atol=1e-6)
    assert torch.allclose(torch.autograd.grad(loss, x)[0], torch.autograd.grad(want, x)[0], atol=1e-6)


@pytest.mark.slow
def test_structure_compiles_on_a_batch() -> None:
    features = Views.from_arrays(**{m: v.detach() for m, v in zip("xy", rows(), strict=True)})
    points = [torch.nn.functional.normalize(v[:, :4], dim=1).detach().requires_grad_() for v in rows()]
    batch = Batch(Views(dict(zip("xy", points, strict=True)), features.group), features)
    objective = ma.objectives.Structure(warm_up=0)
    torch._dynamo.reset()
    loss, want = torch.compile(objective, fullgraph=True, backend="aot_eager")(batch), objective(batch)
    assert loss.item() > 0.1
    assert torch.allclose(loss, want, atol=1e-6)
    assert torch.allclose(torch.autograd.grad(loss, points[0])[0], torch.autograd.grad(want, points[0])[0], atol=1e-6)


def test_a_compiled_mean_leaves_out_pairs_of_modalities_without_a_positive() -> None:
    x, y, z = (torch.nn.functional.normalize(t, dim=1) for t in rows(3))
    ids = torch.arange(12)
    views = Views({"x": x, "y": y, "z": z}, {"x": ids, "y": ids, "z": ids + 100})
    objective = Clip()
    torch._dynamo.reset()
    compiled = torch.compile(objective, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(Batch(views, views)), objective(Batch(views, views)), atol=1e-6)
    assert torch.allclose(objective(Batch(views, views)), objective(x, y), atol=1e-6)
