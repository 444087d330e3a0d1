"""What each process of the distributed tests does: compare what several ranks find with what one process finds.

Run as a program, once per rank, with the variables that torchrun sets; writes a table of check -> what is wrong.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import sys
import tarfile
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from test_every_objective import NAMES, build
from test_loop import heads, pairs, schedule

from modalign.data.manifest import Manifest
from modalign.data.shards import open_member
from modalign.data.webdataset import webdataset
from modalign.files import RunFile
from modalign.geometry.transport import Problem, Solver, Unbalanced, between, shared, solve
from modalign.geometry.transport.parted import Joined
from modalign.methods.closed_form import CCA
from modalign.methods.full import Full
from modalign.methods.gradient import Gradient
from modalign.methods.transport_cca import TransportCCA
from modalign.model import Heads
from modalign.registry import make
from modalign.training import TrainingSettings, launch, ranks, train
from modalign.training.ranks import PlanRows
from modalign.training.stream import Stream, shards
from modalign.views import Batch, Views

Check = tuple[str, Callable[[], None]]
NARROW, WIDE = 4, 6
#: One objective of each family; all of them are checked by the longer tests.
SOME = ("clip", "siglip", "symile", "transport", "klot", "rma-carried", "gram", "vicreg", "total")


class Head(torch.nn.Module):
    """One linear map for all modalities."""

    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(WIDE, NARROW).double()

    def forward(self, x: Views) -> Views:
        return x.map(lambda m, rows: torch.nn.functional.normalize(self.map(rows), dim=1))


def ragged() -> Views:
    """Several items of a group, groups of one modality, and different numbers of each."""
    g = torch.Generator().manual_seed(1)
    group = {"text": [0, 0, 1, 1, 2, 3, 5, 5, 4], "image": [0, 1, 2, 4, 5], "audio": [0, 1, 2, 3, 4, 5]}
    rows = {m: torch.randn(len(ids), WIDE, generator=g, dtype=torch.float64) for m, ids in group.items()}
    return Views(rows, {m: torch.tensor(ids) for m, ids in group.items()})


def piece(x: Views, rank: int, of: int) -> Views:
    """An unequal part of every modality; the last rank has no audio, and of text only one item or two."""
    ends = {m: [0, *(max(1, len(v) - (of - k)) for k in range(1, of)), len(v)] for m, v in x.data.items()}
    ends["audio"] = [*ends["audio"][:-2], len(x["audio"]), len(x["audio"])]
    part = x.select({m: torch.arange(e[rank], e[rank + 1]) for m, e in ends.items()})
    return part.only(*(m for m in part.modalities if len(part[m])))


def close(found: torch.Tensor | None, wanted: torch.Tensor | None, **tolerance: float) -> None:
    none = torch.zeros(())
    found, wanted = (none if t is None else t.detach() for t in (found, wanted))
    torch.testing.assert_close(found, wanted.expand_as(found), **({"atol": 1e-7, "rtol": 1e-5} | tolerance))


def objective_check(name: str) -> Check:
    """Value and gradients, of the encoder and of the objective, with the items unevenly on the ranks."""
    x = ragged()
    torch.manual_seed(0)
    head = Head()
    objective = build(name, Batch(x, x)).eval()
    alone, own = copy.deepcopy(head), copy.deepcopy(objective)
    wanted = own(Batch(alone(x), x, alone(x.map(lambda m, v: v + 0.1)), 3))
    wanted.backward()

    def check() -> None:
        part = piece(x, ranks.rank(), ranks.world())
        engine = ranks.spread(head)
        batch = ranks.gather(part)
        assert {m: v.tolist() for m, v in batch.data.items()} == {m: v.tolist() for m, v in x.data.items()}
        second = engine(part.map(lambda m, v: v + 0.1))
        z = ranks.gather(engine(part))
        loss = objective(Batch(z, batch, ranks.gather(second), 3))
        loss.backward()
        ranks.join(engine.parameters())
        close(loss, wanted)
        for p, q in zip(head.parameters(), alone.parameters(), strict=True):
            close(p.grad, q.grad)
        for p, q in zip(objective.parameters(), own.parameters(), strict=True):
            close(p.grad, q.grad)

    return f"objective {name}", check


def plain_heads() -> Heads:
    """Without dropout, which every rank draws for itself."""
    made = heads()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made


def table(name: str) -> dict:
    extra = {"alpha": 0.1, "beta": 0.1, "transport": {"name": "transport"}, "neighbourhood": {"name": "rma"}}
    return extra if name == "total" else {}


def curve_check(title: str, name: str = "total", tolerance: float = 1e-4, **changes: object) -> Check:
    """A training with mixing, noise, unpaired items, an uneven batch and a dev set: its end and its dev score."""
    s = schedule(**{"batch": 17, "steps": 12, **changes})
    alone, shared = plain_heads(), plain_heads()
    end = train(alone, make("objective", name, **table(name)), pairs(), s, pairs(seed=1))

    def check() -> None:
        found = train(shared, make("objective", name, **table(name)), pairs(), s, pairs(seed=1))
        assert abs(found.best - end.best) < 0.02, (found.best, end.best)
        for key, value in alone.state_dict().items():
            close(shared.state_dict()[key], value, atol=tolerance, rtol=tolerance * 10)

    return f"training {title}", check


def closed_form_check(title: str, method: Callable[[], object]) -> Check:
    x = pairs(200, 50)
    alone = method().fit(x)

    def check() -> None:
        found = method().fit(x)
        for m in ("x", "y"):  # directions are known up to a sign: compare what they say of likeness
            a, b = (h.embed(x)[m].double() for h in (alone, found))
            close(b @ b.T, a @ a.T, atol=1e-5, rtol=1e-5)

    return f"closed form {title}", check


class ByModality(torch.nn.Module):
    """A linear map for each modality, so that one may be without a gradient."""

    def __init__(self, x: Views) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.names = x.modalities
        self.maps = torch.nn.ModuleList(torch.nn.Linear(rows.shape[1], NARROW) for rows in x.data.values())

    def forward(self, x: Views) -> Views:
        return x.map(lambda m, rows: torch.nn.functional.normalize(self.maps[self.names.index(m)](rows), dim=1))


def rare(links: bool = False) -> Views:
    """Three modalities, the third in two groups, so that batches lack it; or many-to-many links of two."""
    g = torch.Generator().manual_seed(0)
    rows = {m: torch.randn(n, 5, generator=g) for m, n in {"a": 24, "b": 29, "c": 2}.items()}
    if not links:
        return Views(rows, {m: torch.arange(len(r)) for m, r in rows.items()})
    table = torch.unique(torch.randint(24, (2, 60), generator=g), dim=1)
    return Views(rows, {m: torch.arange(len(r)) for m, r in rows.items()}, {("a", "b"): table}).only("a", "b")


def uneven_check(title: str, of: Sequence[str] | None = None, links: bool = False, **changes: object) -> Check:
    """A training in which ranks have unequal shares of a batch, and a modality has no gradient in some steps or all."""
    x = rare(links)
    s = TrainingSettings(**{"steps": 6, "batch": 7, "lr": 0.02, "every": 6, **changes})
    alone, apart = ByModality(x), ByModality(x)
    train(alone, make("objective", "clip", modalities=of), x, s)

    def check() -> None:
        train(apart, make("objective", "clip", modalities=of), x, s)
        for key, value in alone.state_dict().items():
            close(apart.state_dict()[key], value, atol=1e-6)

    return f"training of {title} {changes or ''}", check


def uneven_checks() -> Iterator[Check]:
    for changes in ({}, {"mini_batch": 3}, {"mini_batch": 3, "sharded": True}):
        yield uneven_check("a modality that batches lack", **changes)
    yield uneven_check("two of three modalities", ["a", "b"])
    yield uneven_check("links", links=True, mini_batch=2)
    yield uneven_check("one group at a time", batch=1)


def resume_check() -> Check:
    """A training that stopped on one process goes on, between two checkpoints of a pass, on several."""
    s = schedule(batch=17, steps=12, every=3)
    alone, shared, run = plain_heads(), plain_heads(), Path(tempfile.mkdtemp())
    train(alone, make("objective", "total", **table("total")), pairs(), s, pairs(seed=1))

    class Killed(Exception):
        pass

    def kill(done: int, total: int, what: str) -> None:
        if done == 6:
            raise Killed

    with contextlib.suppress(Killed):
        train(
            plain_heads(), make("objective", "total", **table("total")), pairs(), s, pairs(seed=1), run, progress=kill
        )

    def check() -> None:
        folder = run if ranks.leads() else Path("/nowhere")
        train(shared, make("objective", "total", **table("total")), pairs(), s, pairs(seed=1), folder)
        for key, value in alone.state_dict().items():
            close(shared.state_dict()[key], value, atol=1e-4, rtol=1e-3)
        if ranks.leads():
            lines = [json.loads(line)["step"] for line in (run / RunFile.LOG).read_text().splitlines()]
            assert lines == [0, 3, 6, 9, 12]

    return "resumed on other ranks", check


def links_check() -> Check:
    """Links name rows of their own rank and hold in the whole."""

    def check() -> None:
        n = 2 + ranks.rank()
        x = Views({"a": torch.eye(n, 8), "b": torch.eye(n, 8)}, {m: torch.arange(n) + 100 * ranks.rank() for m in "ab"})
        linked = Views(x.data, x.group, {("a", "b"): torch.tensor([[0, 1], [1, 0]])})
        found = ranks.gather(linked)
        starts = [sum(2 + r for r in range(k)) for k in range(ranks.world())]
        assert found.links[("a", "b")].T.tolist() == [p for s in starts for p in ([s, s + 1], [s + 1, s])]

    return "links", check


def plan_check(title: str, cost: str, problem: Callable[..., Problem], **solver: float) -> Check:
    """A plan of which each rank holds some rows, none of them the same number: all that is asked of it."""
    g = torch.Generator().manual_seed(3)
    x, y = (torch.randn(n, WIDE, generator=g, dtype=torch.float64).requires_grad_() for n in (23, 14))
    b = torch.rand(14, generator=g, dtype=torch.float64)
    b = b / b.sum()
    alone = solve(problem(between(x, y, cost), None, b), Solver(**solver))
    wanted = torch.autograd.grad(alone.objective, (x, y))

    def check() -> None:
        with shared(PlanRows(entries=1)):
            found = solve(problem(between(x, y, cost), None, b), Solver(**solver))
        assert isinstance(found.coupling, Joined)
        assert len(found.coupling.inner.matrix) == ranks.share(23).stop - ranks.share(23).start < 23
        close(found.objective, alone.objective)
        for mine, theirs in zip(torch.autograd.grad(found.objective, (x, y)), wanted, strict=True):
            close(mine, theirs)
        for name in ("f", "g", "plan", "value"):
            close(getattr(found, name), getattr(alone, name), atol=1e-5)
        assert found.converged
        assert found.log_domain == alone.log_domain

    return f"plan by rows, {title}", check


def parted_curve_check() -> Check:
    """A training whose transport plans are held in parts, whatever their size."""
    s = schedule(batch=17, steps=12, mixing=0.0, noise=0.0)
    alone, apart = plain_heads(), plain_heads()
    train(alone, make("objective", "transport"), pairs(), s, pairs(seed=1))

    def check() -> None:
        before, PlanRows.__init__.__defaults__ = PlanRows.__init__.__defaults__, (1,)
        try:
            train(apart, make("objective", "transport"), pairs(), s, pairs(seed=1))
        finally:
            PlanRows.__init__.__defaults__ = before
        for key, value in alone.state_dict().items():
            close(apart.state_dict()[key], value, atol=1e-4, rtol=1e-3)

    return "training with plans by rows", check


def plan_checks() -> Iterator[Check]:
    yield parted_curve_check()
    tight = {"epsilon": 0.05, "tolerance": 1e-9}
    yield plan_check("cosine", "cosine", Problem, **tight)
    yield plan_check("squares, annealed", "sqeuclidean", Problem, epsilon=0.3, tolerance=1e-9, anneal=0.5)
    yield plan_check("log domain", "cosine", Problem, rows=4, **tight)
    yield plan_check("unbalanced", "cosine", partial(Unbalanced, rho=0.5), **tight)
    yield plan_check("unbalanced, small epsilon", "sqeuclidean", partial(Unbalanced, rho=0.2), epsilon=0.02)


def tar_of_rows(folder: Path) -> tuple[Manifest, torch.Tensor]:
    """Five WebDataset shards of twelve arrays of numbers each, and the numbers."""
    rows = torch.randn(60, WIDE, generator=torch.Generator().manual_seed(2))
    for shard in range(5):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for i in range(12 * shard, 12 * shard + 12):
                entry = tarfile.TarInfo(f"{i:03d}.bin")
                entry.size = 4 * WIDE
                tar.addfile(entry, io.BytesIO(rows[i].numpy().tobytes()))
    return webdataset(folder, modalities={"bin": "x"}), rows


class Net(torch.nn.Module):
    """One linear map for both modalities, in float32; a rank may have no rows of one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map = torch.nn.Linear(WIDE, NARROW)
        self.nets = torch.nn.ModuleList()

    def forward(self, x: Views) -> Views:
        return x.map(lambda m, rows: torch.nn.functional.normalize(self.map(rows.reshape(-1, WIDE)), dim=1))


def stream_check(**changes: object) -> Check:
    """Shards read by the rank and the worker they belong to: the training of one process that has all in memory."""
    manifest, rows = tar_of_rows(Path(tempfile.mkdtemp()))
    group = {m: torch.arange(60) for m in ("x", "y")}
    known = Views({"x": rows, "y": rows.flip(1)}, group)
    s = TrainingSettings(steps=15, batch=16, lr=0.05, every=5, **changes)
    alone, apart = Net(), Net()
    train(alone, make("objective", "clip"), known, s)
    seen: dict[int, set[str]] = {}

    def decode(places: torch.Tensor) -> torch.Tensor:
        at = [str(manifest.uri[int(p)]) for p in places]
        seen.setdefault(threading.get_ident(), set()).update(place.partition("#")[0] for place in at)
        return torch.stack([torch.frombuffer(bytearray(open_member(p).read()), dtype=torch.float32) for p in at])

    def check() -> None:
        places = Views({"x": torch.arange(60), "y": known["y"]}, group)
        with Stream({"x": decode}, {"x": shards(manifest)}, workers=2) as stream:
            train(apart, make("objective", "clip"), places, s, seen=known, stream=stream)
        for key, value in alone.state_dict().items():
            close(apart.state_dict()[key], value, atol=1e-5, rtol=1e-4)
        mine = set().union(*seen.values())
        assert sum(map(len, seen.values())) == len(mine), "two workers read one shard"
        everyone: list[set[str]] = [set()] * ranks.world()
        torch.distributed.all_gather_object(everyone, mine)
        assert sum(map(len, everyone)) == len(set().union(*everyone)) == 5, everyone

    return f"shards by rank and worker {changes or ''}", check


def checks(which: str) -> Iterator[Check]:
    if which in ("some", "short"):
        yield stream_check()
        yield from map(objective_check, SOME if which == "some" else NAMES)
        yield curve_check("total")
        yield from uneven_checks()
        yield links_check()
        yield closed_form_check("cca", lambda: CCA(8))
        if which == "some":
            yield plan_check("cosine", "cosine", Problem, epsilon=0.05, tolerance=1e-9)
            return
        yield from plan_checks()
        yield stream_check(mini_batch=5, workers=2)
        yield stream_check(mini_batch=5, sharded=True)
        yield resume_check()
        return
    yield curve_check("total in mini-batches", mini_batch=5)
    yield curve_check("total sharded", sharded=True)
    yield curve_check("total in bfloat16", precision="bfloat16", tolerance=0.05)
    yield curve_check("batch of one", batch=1, unpaired=0.0, steps=4, mixing=0.0)
    yield closed_form_check("transport_cca", lambda: TransportCCA(8, rounds=1))
    yield closed_form_check("full", lambda: Full(8, trials=2, steps=0))
    yield closed_form_check("gradient", lambda: Gradient("clip", dim=6, steps=6, batch=20, every=3))
    for name in ("clip", "siglip", "transport", "symile", "gram", "rma"):
        yield curve_check(name, name, mixing=0.0, noise=0.0)


def main(out: Path, which: str) -> None:
    torch.set_num_threads(1)
    waiting = list(checks(which))
    found = {}
    with launch.together():
        for name, check in waiting:
            try:
                check()
                found[name] = ""
            except Exception:
                found[name] = traceback.format_exc()
        (out / f"{ranks.rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
