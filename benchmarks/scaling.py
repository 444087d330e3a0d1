"""What each stage costs against its size: measured at four sizes, fitted, checked on a fifth (docs/cost.md).

    python -m benchmarks scaling

A stage has a law: the terms of its work, each with a coefficient that is not negative. The law is fitted to processor
seconds (one thread) at four sizes by relative least squares, and then says what the fifth takes, which was not in the
fit. Memory is the peak of what the process holds itself above what it held before, in MiB, at the fifth size. For
ranks, what is counted is the bytes that one rank gives to ``all_gather`` in a training step.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls
from torch.nn.functional import normalize

from benchmarks.trainer import held
from modalign.geometry.transport import Problem, Solver, between, solve
from modalign.methods.closed_form import CCA
from modalign.methods.gradient import Maps
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.registry import make
from modalign.training import TrainingSettings, train
from modalign.training.loop import dev_recall
from modalign.views import Views

DIM = 128
PROGRAM = """
import sys
import torch
from torch import distributed
from benchmarks.scaling import heads_of, views
from modalign.registry import make
from modalign.training import TrainingSettings, launch, ranks, train
torch.set_num_threads(1)
sent = [0]
def counted(name):
    real = getattr(distributed, name)
    def call(*given, **named):
        sent[0] += given[-1].numel() * given[-1].element_size() if name == "all_gather" else 0
        return real(*given, **named)
    setattr(distributed, name, call)
counted("all_gather")
x = views(512, 256)
with launch.together():
    sizes = []
    for steps in (3, 4):
        sent[0] = 0
        train(heads_of(x), make("objective", "clip"), x, TrainingSettings(steps=steps, batch=240, every=100))
        sizes.append(sent[0])
    if ranks.leads():
        print(sizes[1] - sizes[0])
"""


class Stage(NamedTuple):
    """A stage of the work.

    sizes: five; the last is the check. terms: of the law, by name, of a size. measure: size -> seconds (or bytes).
    """

    name: str
    sizes: Sequence[int]
    terms: dict[str, Callable[[int], float]]
    measure: Callable[[int], float]


def run() -> list[dict[str, Any]]:
    """Rows of the table."""
    torch.set_num_threads(1)
    return [row(stage) for stage in stages()]


def row(stage: Stage) -> dict[str, Any]:
    """Fit four sizes, check the fifth."""
    found = [stage.measure(size) for size in stage.sizes[:-1]]
    with memory() as peak:
        last = stage.measure(stage.sizes[-1])
    table = np.array([[f(size) for f in stage.terms.values()] for size in stage.sizes])
    cost = nnls(table[:-1] / np.array(found)[:, None], np.ones(len(found)))[0]
    law = " + ".join(f"{c:.3g} {name}" for c, name in zip(cost, stage.terms, strict=True) if c)
    said = float(table[-1] @ cost)
    return {
        "stage": stage.name, "sizes": " ".join(map(str, stage.sizes)), "law": law, "said": said, "found": last,
        "off, %": 100 * (said / last - 1), "MiB": round(peak[0]),
    }  # fmt: skip


def stages() -> list[Stage]:
    """All that is measured."""
    one, linear, square = {"1": lambda n: 1.0}, {"n": float}, {"n^2": lambda n: float(n) ** 2}
    doubling = [4_000, 8_000, 16_000, 32_000, 64_000]
    return [
        Stage("embedding into a store, items (stand-in encoder)", [4_000, 8_000, 16_000, 32_000, 64_000], one | linear,
              embedding),
        Stage("closed form, items (width 256)", doubling, one | linear, lambda n: closed_form(views(n, 256))),
        Stage("closed form, width (8,000 items)", [64, 128, 192, 256, 384],
              {"w": float, "w^2": lambda w: float(w) ** 2, "w^3": lambda w: float(w) ** 3},
              lambda w: closed_form(views(8_000, w))),
        Stage("training step, batch (width 256)", [128, 256, 512, 1024, 1536], one | linear | square,
              lambda n: step(views(4_096, 256), n)),
        Stage("training step, width (batch 256)", [64, 128, 256, 512, 768], one | {"w": float},
              lambda w: step(views(2_048, w), 256)),
        Stage("training step, modalities (batch 256)", [2, 3, 4, 5, 6],
              one | {"m": float, "m (m - 1) / 2": lambda m: m * (m - 1) / 2},
              lambda m: step(views(2_048, 256, m), 256)),
        Stage("transport plan, items (epsilon .05)", [1024, 1536, 2048, 3072, 4096], linear | square, plan),
        Stage("evaluation, items", [1_000, 2_000, 4_000, 8_000, 12_000], linear | square, evaluation),
        Stage("gathered by a rank, bytes a step, ranks (batch 240)", [1, 2, 3, 4, 6], {"1 / r": lambda r: (r > 1) / r},
              gathered),
    ]  # fmt: skip


def views(n: int, width: int, modalities: int = 2) -> Views:
    """Generated rows with something shared."""
    g = torch.Generator().manual_seed(0)
    shared = torch.randn(n, 32, generator=g)
    made = {}
    for m in range(modalities):
        made[f"m{m}"] = shared @ torch.randn(32, width, generator=g) + torch.randn(n, width, generator=g)
    return Views.from_arrays(**made)


def heads_of(x: Views) -> Maps:
    """Linear heads, as ``train`` gets them."""
    heads = {m: Head(FeatureMap(v.shape[1]), Projection(v.shape[1], DIM)) for m, v in x.data.items()}
    return Maps(Heads(heads))


def least(work: Callable[[], object], times: int = 3) -> float:
    """The smallest of several processor times."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def closed_form(x: Views) -> float:
    return least(lambda: CCA(DIM, ridge=1.0, power=0.5).fit(x), 2)


def step(x: Views, batch: int) -> float:
    """Seconds of one step of ``train``."""

    def steps(count: int) -> float:
        settings = TrainingSettings(steps=count, batch=batch, every=count)
        return least(lambda: train(heads_of(x), make("objective", "clip"), x, settings), 3)

    return (steps(22) - steps(2)) / 20


def plan(n: int) -> float:
    a, b = (normalize(v[:, :DIM], dim=1) for v in views(n, 256).data.values())
    return least(lambda: solve(Problem(between(a, b)), Solver(0.05)), 3)


def evaluation(n: int) -> float:
    z = views(n, DIM).map(lambda m, v: normalize(v, dim=1))
    return least(lambda: dev_recall(z), 2)


def embedding(n: int) -> float:
    from modalign.data.manifest import Manifest
    from modalign.features.embed import embed
    from modalign.features.encoders.base import FrozenEncoder, source

    class Drawn(FrozenEncoder):
        modality, dim, batch_size, shard_size = "text", 384, 512, 8192

        def description(self) -> dict[str, Any]:
            return {"encoder": "drawn"}

        def collate(self, items: Sequence[Any]) -> torch.Tensor:
            return torch.tensor([hash(source(i)) % 997 + 1 for i in items])

        def __call__(self, batch: torch.Tensor) -> torch.Tensor:
            return batch[:, None] * torch.ones(1, self.dim)

    rows = Manifest.from_rows(({"group": i, "modality": "text", "text": f"row {i}"} for i in range(n)), name="drawn")
    with tempfile.TemporaryDirectory() as folder:
        return least(lambda: embed(rows, {"text": Drawn()}, Path(folder) / str(time.time_ns())), 2)


def gathered(ranks: int) -> float:
    """Bytes that one rank gives to ``all_gather`` in a step."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {**os.environ, "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    known |= {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-c", PROGRAM]
    running = [
        subprocess.Popen(
            command, env={**known, "RANK": str(r), "LOCAL_RANK": str(r)}, text=True, stdout=subprocess.PIPE
        )
        for r in range(ranks)
    ]
    return float(json.loads(running[0].communicate()[0])) or 1e-9


@contextmanager
def memory() -> Iterator[list[float]]:
    """The peak of what this process holds itself inside, above what it held before, in MiB."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before, peak, done = held(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], held() - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield peak
    done.set()
    watcher.join()
