"""The training loop against a bare loop of PyTorch, and its memory as the training rows grow.

    python -m benchmarks trainer

Overhead: both loops train the same two linear heads by the same objective ("clip") with AdamW and a clipped gradient,
in turn in one process; the median of the processor times of all steps counts. The bare loop does nothing else; ours
draws groups and rows of a function of the step, checks that the loss is finite, and may be stopped and resumed. Beside
it, a bare loop whose loss is two calls of ``cross_entropy``, which knows one positive an item only.

Memory: rows of two generated arrays, 256 wide, in memory-mapped files; each size in a process of its own. "MiB added"
is the peak of what the process holds itself above what it held before it opened them; pages of the files are not
counted, since the system takes them back when it needs them. "given back at once" is the same where the C library
keeps nothing of what is freed (``MALLOC_MMAP_THRESHOLD_=1000000``).
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from modalign.methods.gradient import Maps
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.registry import make
from modalign.training import TrainingSettings, train
from modalign.training.loop import parameter_groups
from modalign.views import Batch, Views

WIDTH, DIM, STEPS, WARM = 512, 256, 60, 5
BATCHES = (128, 512)
SIZES = (10_000, 100_000, 1_000_000)
CHILD = """
import json, sys, threading
import torch
from benchmarks.trainer import held, mapped, train_rows
torch.set_num_threads(1)
before, peak, done = held(), [0.0], threading.Event()
def watch():
    while not done.wait(0.02):
        peak[0] = max(peak[0], held())
threading.Thread(target=watch, daemon=True).start()
seconds = train_rows(mapped(sys.argv[1]))
done.set()
print(json.dumps({"added": peak[0] - before, "seconds": seconds}))
"""


def run(batches: tuple[int, ...] = BATCHES, sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """Rows of the table."""
    torch.set_num_threads(1)
    return [*map(overhead, batches), *map(memory, sizes)]


def overhead(batch: int, repeats: int = 8) -> dict[str, Any]:
    """Milliseconds a step of both loops."""
    x = Views.from_arrays(a=torch.randn(20_000, WIDTH), b=torch.randn(20_000, WIDTH))
    times = [(bare(x, batch), ours(x, batch), bare(x, batch, one_positive)) for _ in range(repeats)]
    plain, full, less = (1000 * statistics.median(itertools.chain(*t)) for t in zip(*times, strict=True))
    found = {"measure": f"batch {batch}", "bare, ms": plain, "ours, ms": full, "overhead, %": 100 * (full / plain - 1)}
    return {**found, "bare, cross_entropy, ms": less}


def between(marks: list[float]) -> list[float]:
    """What each step took, without the first, in which much is done once."""
    return [after - before for before, after in itertools.pairwise(marks[WARM:])]


def ours(x: Views, batch: int) -> list[float]:
    """Seconds of the steps of ``train``, from one loss to the next."""
    heads, objective, marks = maps(), make("objective", "clip"), list[float]()
    objective.register_forward_hook(lambda *_: marks.append(time.process_time()))
    train(heads, objective, x, TrainingSettings(batch=batch, steps=STEPS + WARM, every=STEPS + WARM))
    return between(marks)


def maps() -> Maps:
    """Two linear heads."""
    return Maps(Heads({m: Head(FeatureMap(WIDTH), Projection(WIDTH, DIM)) for m in "ab"}))


def one_positive(batch: Batch) -> torch.Tensor:
    """InfoNCE where row i belongs to row i."""
    logits, truth = 14.3 * batch.z["a"] @ batch.z["b"].T, torch.arange(len(batch.z["a"]))
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def bare(x: Views, batch: int, loss_of: Callable[[Batch], torch.Tensor] | None = None) -> list[float]:
    """Seconds of the steps of a loop that does nothing but train, from one loss to the next."""
    heads, objective, marks = maps(), make("objective", "clip"), list[float]()
    parameters = [*heads.parameters(), *objective.parameters()]
    optimiser = torch.optim.AdamW(parameter_groups(heads, objective, 0.01), lr=1e-3)
    order = torch.randperm(len(x["a"]))
    for step in range(STEPS + WARM):
        rows = order[torch.arange(step * batch, (step + 1) * batch) % len(order)]
        z = heads(Views({m: v[rows] for m, v in x.data.items()}, {m: g[rows] for m, g in x.group.items()}))
        loss = (loss_of or objective)(Batch(z, z))
        marks.append(time.process_time())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 1.0)
        optimiser.step()
    return between(marks)


def memory(rows: int) -> dict[str, Any]:
    """What training on so many rows adds."""
    with tempfile.TemporaryDirectory() as folder:
        for m in "ab":
            file = np.lib.format.open_memmap(f"{folder}/{m}.npy", "w+", np.float32, (rows, 256))
            g = np.random.default_rng(ord(m))
            for start in range(0, rows, 10_000):
                part = file[start : start + 10_000]
                part[:] = g.standard_normal(part.shape, np.float32)
            file.flush()
            del file
        kept, given_back = (child(folder, **known) for known in ({}, {"MALLOC_MMAP_THRESHOLD_": "1000000"}))
    found = {"measure": f"{rows:,} rows", "MiB added": kept["added"], "given back at once": given_back["added"]}
    return {**found, "seconds": kept["seconds"]}


def child(folder: str, **variables: str) -> dict[str, float]:
    """What a process of its own found."""
    command, known = [sys.executable, "-c", CHILD, folder], {**os.environ, **variables}
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, env=known).stdout)
    return found


def mapped(folder: str) -> Views:
    """The generated rows, memory-mapped."""
    from modalign.data.arrays import load_array

    return Views.from_arrays(**{m: load_array(Path(folder) / f"{m}.npy") for m in "ab"})


def train_rows(x: Views) -> float:
    """Seconds of 200 steps of the registered method, from random heads."""
    start = time.process_time()
    make("method", "gradient", start="random", dim=64, steps=200, batch=256, every=100).fit(x)
    return time.process_time() - start


def held() -> float:
    """MiB that this process holds itself."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0
