"""Fits against the number of rows, from memory-mapped files: time, memory above the files, recall.

    python -m benchmarks.growth --rows 10000 100000 1000000
    python -m benchmarks.growth --rows 10000000 --methods cca
    python -m benchmarks.growth --rows 100000 --links 500 --methods full --threads 1 --seed 1

Generated data of known structure: 64 latent coordinates with a falling spectrum and long tails, seen through two random
linear maps, 512 and 384 wide, with noise. Some rows are linked (half of them where that is less), the others have no
known partner and stand in another order. Recall is the mean of Recall@1/5/10 both ways on 1,000 new items. Memory is
the peak of what the process holds itself, pages of the files not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modalign.data.arrays import load_array
from modalign.views import Views

BLOCK = 50_000
WIDTHS = (512, 384)
SPECTRUM = np.linspace(1.5, 0.3, 64, dtype=np.float32)  # of the latent coordinates
CHILD = """
import json, sys, threading, time
import torch
from benchmarks.growth import read, read_test
from modalign.registry import make
from modalign.training.loop import dev_recall
folder, method, links, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
def held():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 2**20
peak, done = [held()], threading.Event()
def watch():
    while not done.wait(0.05):
        peak[0] = max(peak[0], held())
threading.Thread(target=watch, daemon=True).start()
views = read(folder, links)
before, cpu, wall = held(), time.process_time(), time.perf_counter()
heads = make("method", method).fit(views)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
done.set()
recall = 100 * dev_recall(heads.embed(read_test(folder)))
print(json.dumps({"cpu_s": cpu, "wall_s": wall, "memory_gb": peak[0] - before, "recall": recall}))
"""


def source(seed: int) -> tuple[np.random.Generator, list[np.ndarray], Callable[[int], list[np.ndarray]]]:
    """What draws, the maps into both modalities, and so many new items of both."""
    draw = np.random.default_rng(seed)
    maps = [draw.standard_normal((len(SPECTRUM), d), dtype=np.float32) / d**0.5 for d in WIDTHS]

    def items(n: int) -> list[np.ndarray]:
        s = draw.standard_normal((n, len(SPECTRUM)), dtype=np.float32)
        s = np.sign(s) * np.abs(s) ** 1.5 * SPECTRUM
        return [s @ a + draw.standard_normal((n, a.shape[1]), dtype=np.float32) for a in maps]

    return draw, maps, items


def write(folder: Path, rows: int, links: int, seed: int = 0) -> None:
    """Two arrays whose first rows are partners, the others shuffled within blocks of one side, and a test set."""
    draw, _, items = source(seed)
    out = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (rows, d))
        for name, d in zip("xy", WIDTHS, strict=True)
    ]
    for start in range(0, rows, BLOCK):
        parts = items(min(BLOCK, rows - start))
        order = np.arange(len(parts[1]))
        free = order[max(0, links - start) :]
        order[max(0, links - start) :] = draw.permutation(free)
        out[0][start : start + BLOCK], out[1][start : start + BLOCK] = parts[0], parts[1][order]
    for name, part in zip("xy", items(1000), strict=True):
        np.save(folder / f"test_{name}.npy", part)


def read(folder: str, links: int) -> Views:
    """What was written, mapped into memory: the first rows are linked."""
    x, y = (load_array(f"{folder}/{name}.npy") for name in "xy")
    item = torch.arange(len(x))
    return Views({"x": x, "y": y}, {"x": item, "y": torch.where(item < links, item, item + len(x))})


def read_test(folder: str) -> Views:
    """The new items."""
    return Views.from_arrays(**{name: load_array(f"{folder}/test_{name}.npy") for name in "xy"})


def run(
    rows: Sequence[int] = (10_000,),
    methods: Sequence[str] = ("cca", "full"),
    linked: int = 10_000,
    threads: int = 2,
    place: str | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One line per method and number of rows."""
    lines = []
    for n in rows:
        links = min(linked, n // 2)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            write(Path(folder), n, links, seed)
            for method in methods:
                command = [sys.executable, "-c", CHILD, folder, method, str(links), str(threads)]
                done = subprocess.run(
                    command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
                )
                if done.returncode:
                    raise RuntimeError(done.stderr)
                lines.append(
                    {
                        "rows": n,
                        "links": links,
                        "seed": seed,
                        "method": method,
                        **json.loads(done.stdout.splitlines()[-1]),
                    }
                )
                print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    return lines


def main() -> None:
    """Print the table."""
    from benchmarks.__main__ import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000])
    parser.add_argument("--methods", nargs="+", default=["cca", "full"])
    parser.add_argument("--links", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    parser.add_argument("--place", help="folder for the files; default: the system's temporary folder")
    asked = parser.parse_args()
    print(table(run(asked.rows, asked.methods, asked.links, asked.threads, asked.place, asked.seed)))


if __name__ == "__main__":
    main()
