"""The same on the device that MODALIGN_DEVICE names as on the CPU: objectives, plans, trainings."""

from __future__ import annotations

import copy

import pytest
import torch

from modalign.geometry.transport import Problem, Solver, between, solve
from modalign.methods.gradient import Maps
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.registry import make
from modalign.training import TrainingSettings, ranks, train
from modalign.views import Batch, Views

from .test_every_objective import NAMES, build


def points(width: int) -> Views:
    g = torch.Generator().manual_seed(1)
    group = {"text": [0, 0, 1, 1, 2, 3, 5, 5, 4], "image": [0, 1, 2, 4, 5], "audio": [0, 1, 2, 3, 4, 5]}
    rows = {
        m: torch.nn.functional.normalize(torch.randn(len(ids), width, generator=g, dtype=torch.float64), dim=1)
        for m, ids in group.items()
    }
    return Views(rows, {m: torch.tensor(ids) for m, ids in group.items()})


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_is_the_same_there(name: str) -> None:
    x, embedded = points(6), points(4)
    objective = build(name, Batch(x, x)).eval()
    found = []
    for place in (torch.device("cpu"), ranks.device()):
        own, z = copy.deepcopy(objective).to(place), embedded.to(place).map(lambda m, v: v.clone().requires_grad_())
        torch.manual_seed(0)
        loss = own(Batch(z, x.to(place), z, 3))
        loss.backward()
        assert loss.device.type == place.type
        found.append([loss.detach().cpu(), *(v.grad.cpu() for v in z.data.values() if v.grad is not None)])
    assert len(found[0]) == len(found[1])
    if name not in ("symile", "symile-all", "gram-matching"):  # draws differ from device to device
        for here, there in zip(*found, strict=True):
            torch.testing.assert_close(there, here, atol=1e-4, rtol=1e-3)


#: Words become tensors on the host, and are carried over.
HOST = {"caption", "total-with-tasks"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HOST])
def test_an_objective_makes_its_tensors_where_its_batch_is(name: str) -> None:
    """With "meta" as the place of new tensors, one that is made without saying where can be joined with no other."""
    x, z = points(6), points(4)
    objective, found = build(name, Batch(x, x)).eval(), []
    for place in ("cpu", "meta"):
        torch.manual_seed(0)
        with torch.device(place):
            found.append(copy.deepcopy(objective)(Batch(z, x, z, 3)))
    assert found[1].device.type == "cpu"
    torch.testing.assert_close(*found, atol=0, rtol=0)


def test_a_plan_is_the_same_there() -> None:
    x, y = (torch.randn(n, 6, generator=torch.Generator().manual_seed(n)) for n in (30, 20))
    here, there = (solve(Problem(between(x.to(d), y.to(d))), Solver(tolerance=1e-5)) for d in ("cpu", ranks.device()))
    assert there.plan.device.type == ranks.device().type
    torch.testing.assert_close(there.plan.cpu(), here.plan, atol=1e-5, rtol=1e-3)


def test_a_training_is_the_same_there(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(0)
    base = torch.randn(80, 5, generator=g)
    x = Views.from_arrays(a=base @ torch.randn(5, 8, generator=g), b=base @ torch.randn(5, 6, generator=g))
    ends = []
    for place in ("cpu", str(ranks.device())):
        monkeypatch.setenv("MODALIGN_DEVICE", place)
        torch.manual_seed(0)
        heads = Heads({m: Head(FeatureMap(v.shape[1]), Projection(v.shape[1], 4)) for m, v in x.data.items()})
        settings = TrainingSettings(steps=8, batch=20, every=4, precision="float32")
        train(Maps(heads), make("objective", "clip"), x, settings)
        assert all(p.device.type == "cpu" for p in heads.parameters())
        ends.append(heads.state_dict())
    for key, value in ends[0].items():
        torch.testing.assert_close(ends[1][key], value, atol=1e-3, rtol=1e-2)
