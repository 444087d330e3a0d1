"""Time against ranks: a training step and a transport plan on 1, 2 and 4 processes (docs/cluster.md).

    python -m benchmarks ranks

Processes of one thread each, joined by gloo. ``wall``: seconds of the quickest call, on the slowest rank; ``own``:
processor seconds of a rank. With more processes than cores the wall time says nothing of a cluster, and ``own`` still
says how the work is shared out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.functional import normalize

from modalign.geometry.transport import Problem, Solver, between, shared, solve
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.registry import make
from modalign.training import TrainingSettings, launch, ranks
from modalign.training.ranks import PlanRows
from modalign.training.sampling import Sampler
from modalign.training.step import Shared, descend, read
from modalign.views import Views

RANKS = (1, 2, 4)
TIMES = 5


class Deep(nn.Module):
    """Heads behind a network that costs something, in place of an encoder that is trained."""

    def __init__(self, width: int = 512, layers: int = 6) -> None:
        super().__init__()
        parts = [nn.Sequential(nn.Linear(width, width), nn.GELU()) for _ in range(layers)]
        self.body = nn.Sequential(*parts)
        self.heads = Heads({m: Head(FeatureMap(width), Projection(width, 128)) for m in "ab"})

    def forward(self, x: Views) -> Views:
        return x.map(lambda m, rows: self.heads[m](self.body(rows)))


def points(n: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=draw)
    return x, x + 2 * torch.randn(n, width, generator=draw)


def step(objective: str, batch: int) -> Callable[[], object]:
    """A whole step: read, encode, gather, loss, gradient."""
    torch.manual_seed(0)
    x = Views.from_arrays(**dict(zip("ab", points(2 * batch, 512), strict=True)))
    s = TrainingSettings(batch=batch, precision="float32")
    net, loss = Deep(), make("objective", objective)
    ranks.same(net, loss)
    encode, sampler, count = Shared(net), Sampler(x, batch), iter(range(100))

    def work() -> None:
        net.zero_grad()
        at = next(count)
        descend(encode, loss, read(x, x, sampler(at), s, at), s, at)

    return work


def plan(n: int, parted: bool) -> Callable[[], object]:
    """Value and gradient of a plan."""
    x, y = (normalize(v, dim=1).requires_grad_() for v in points(n, 128))

    def work() -> None:
        with shared(PlanRows(1 if parted else 1 << 62)):
            solve(Problem(between(x, y)), Solver(0.05)).objective.backward()

    return work


WORK: dict[str, Callable[[], Callable[[], object]]] = {
    "step, clip, batch 1,024, a network of 1.6 M": lambda: step("clip", 1024),
    "plan, 4,096 items a side, whole on each": lambda: plan(4096, False),
    "plan, 4,096 items a side, by rows": lambda: plan(4096, True),
    "plan, 8,192 items a side, by rows": lambda: plan(8192, True),
}


def measure() -> dict[str, dict[str, float]]:
    """Best wall and processor seconds, the slowest rank's."""
    torch.set_num_threads(1)
    out = {}
    for name, start in WORK.items():
        work, found = start(), []
        for _ in range(TIMES):
            if ranks.world() > 1:
                distributed.barrier()
            wall, own = time.perf_counter(), time.process_time()
            work()
            found.append([time.perf_counter() - wall, time.process_time() - own])
        best = torch.tensor(found, dtype=torch.float64).amin(0)
        wall, own = (-ranks.least(-best)).tolist()
        out[name] = {"wall": wall, "own": own}
    return out


def run() -> list[dict[str, Any]]:
    """Rows: work, ranks, wall and own seconds, and the speed-up in both over one process."""
    rows = []
    first: dict[str, dict[str, float]] = {}
    for count in RANKS:
        found = on(count)
        first = first or found
        for name, spent in found.items():
            ratio = {f"{k} x": first[name][k] / spent[k] for k in spent}
            rows.append({"work": name, "ranks": count, **spent, **ratio})
    return sorted(rows, key=lambda row: list(WORK).index(row["work"]))


def on(count: int) -> dict[str, dict[str, float]]:
    """What rank 0 of so many processes found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    program = [sys.executable, "-c", "from benchmarks.ranks import main; main()"]
    running = [
        subprocess.Popen(
            program, env={**known, "RANK": str(r), "LOCAL_RANK": str(r)}, stdout=subprocess.PIPE, text=True
        )
        for r in range(count)
    ]
    said = [process.communicate()[0] for process in running]
    found: dict[str, dict[str, float]] = json.loads(said[0])
    return found


def main() -> None:
    """What each process does."""
    with launch.together():
        found = measure()
        if ranks.leads():
            print(json.dumps(found))


if __name__ == "__main__":
    for row in run():
        print(row)
