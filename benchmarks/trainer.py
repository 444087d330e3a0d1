"""The training loop against a bare loop of PyTorch, and its memory as the training rows grow.

    python -m benchmarks trainer

Overhead: both loops train the same two linear heads by the same objective ("clip") with AdamW and a clipped gradient,
in turn in one process; the smallest of several processor times a step counts. The bare loop does nothing else; ours
draws groups and rows of a function of the step, checks that the loss is finite, and may be stopped and resumed. Beside
it, a bare loop whose loss is two calls of ``cross_entropy``, which knows one positive an item only.

Memory: rows of two generated arrays, 256 wide, in memory-mapped files; each size in a process of its own. "MiB added"
is the peak of what the process holds itself above what it held before training; pages of the files are not counted,
since the system takes them back when it needs them. Group ids and the order of a pass are 8 bytes each an item.
"""

from __future__ import annotations

import json
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
from modalign.training.loop import TrainingSettings, parameter_groups, train
from modalign.views import Batch, Views

WIDTH, DIM, STEPS = 512, 256, 60
BATCHES = (128, 512)
SIZES = (10_000, 100_000, 1_000_000)
CHILD = """
import json, sys, threading
import torch
from benchmarks.trainer import held, mapped, train_rows
torch.set_num_threads(1)
x = mapped(sys.argv[1])
before, peak, done = held(), [0.0], threading.Event()
def watch():
    while not done.wait(0.02):
        peak[0] = max(peak[0], held())
threading.Thread(target=watch, daemon=True).start()
seconds = train_rows(x)
done.set()
print(json.dumps({"added": peak[0] - before, "seconds": seconds}))
"""


def run(batches: tuple[int, ...] = BATCHES, sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """Rows of the table."""
    torch.set_num_threads(1)
    return [*map(overhead, batches), *map(memory, sizes)]


def overhead(batch: int, repeats: int = 5) -> dict[str, Any]:
    """Milliseconds a step of both loops."""
    x = Views.from_arrays(a=torch.randn(20_000, WIDTH), b=torch.randn(20_000, WIDTH))
    times = [(bare(x, batch), ours(x, batch), bare(x, batch, one_positive)) for _ in range(repeats)]
    plain, full, less = (1000 * min(t) for t in zip(*times, strict=True))
    found = {"measure": f"batch {batch}", "bare, ms": plain, "ours, ms": full, "overhead, %": 100 * (full / plain - 1)}
    return {**found, "bare, cross_entropy, ms": less}


def ours(x: Views, batch: int) -> float:
    """Seconds a step of ``train``: the time of many steps less that of few, which has what is done once."""
    whole, few = (timed(x, TrainingSettings(batch=batch, steps=n, every=n)) for n in (STEPS + 5, 5))
    return (whole - few) / STEPS


def timed(x: Views, settings: TrainingSettings) -> float:
    """Seconds of a training."""
    heads = maps()
    start = time.process_time()
    train(heads, make("objective", "clip"), x, settings)
    return time.process_time() - start


def maps() -> Maps:
    """Two linear heads."""
    return Maps(Heads({m: Head(FeatureMap(WIDTH), Projection(WIDTH, DIM)) for m in "ab"}))


def one_positive(batch: Batch) -> torch.Tensor:
    """InfoNCE where row i belongs to row i."""
    logits, truth = 14.3 * batch.z["a"] @ batch.z["b"].T, torch.arange(len(batch.z["a"]))
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def bare(x: Views, batch: int, loss_of: Callable[[Batch], torch.Tensor] | None = None) -> float:
    """Seconds a step of a loop that does nothing but train."""
    heads, objective = maps(), make("objective", "clip")
    parameters = [*heads.parameters(), *objective.parameters()]
    optimiser = torch.optim.AdamW(parameter_groups(heads, objective, 0.01), lr=1e-3)
    order = torch.randperm(len(x["a"]))
    begun = 0.0
    for step in range(STEPS + 5):
        if step == 5:
            begun = time.process_time()
        rows = order[torch.arange(step * batch, (step + 1) * batch) % len(order)]
        z = heads(Views({m: v[rows] for m, v in x.data.items()}, {m: g[rows] for m, g in x.group.items()}))
        loss = (loss_of or objective)(Batch(z, z))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 1.0)
        optimiser.step()
    return (time.process_time() - begun) / STEPS


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
        done = subprocess.run([sys.executable, "-c", CHILD, folder], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return {"measure": f"{rows:,} rows", "MiB added": found["added"], "seconds": found["seconds"]}


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
