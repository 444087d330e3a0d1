"""A whole way with very many rows a side: CCA, transform, exact ranks, an index and queries to it, from mapped files.

    python -m benchmarks.streamed --rows 1000000
    python -m benchmarks.streamed --rows 10000000 --place /large/disk    12 GB of files, removed at the end

Generated data: 32 latent coordinates with a falling spectrum seen through two random maps, 64 and 48 wide, noise .3;
a hundredth of the rows, 100,000 at most, is linked. Arrays are memory-mapped float32, and what a stage makes goes to a
mapped file in blocks. Each stage has its processor seconds and the peak of memory beside mapped files (Linux). Queries
are the first 1,000 rows without a link, whose partners stand in the same places.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modalign.data.arrays import load_array
from modalign.geometry.neighbours.flat import on_threads
from modalign.metrics import measures
from modalign.metrics.ranking import rank
from modalign.model import Heads
from modalign.registry import make
from modalign.search import ann
from modalign.search.settings import AnnSettings
from modalign.views import Views

BLOCK = 500_000
WIDTHS = {"x": 64, "y": 48}
LATENT, NOISE, DIM = 32, 0.3, 32
QUERIES, K = 1000, 10
SETTINGS = AnnSettings("ivfpq", lists=1024, probes=32)


def write(folder: Path, rows: int, seed: int) -> None:
    """One array a side; row i of both is the same thing."""
    draw = np.random.default_rng(seed)
    maps = {m: draw.standard_normal((LATENT, d), dtype=np.float32) / LATENT**0.5 for m, d in WIDTHS.items()}
    spectrum = np.linspace(1.5, 0.3, LATENT, dtype=np.float32)
    out = {m: mapped(folder / f"{m}.npy", rows, d) for m, d in WIDTHS.items()}
    for start in range(0, rows, BLOCK):
        size = min(BLOCK, rows - start)
        latent = draw.standard_normal((size, LATENT), dtype=np.float32) * spectrum
        for m, d in WIDTHS.items():
            noise = draw.standard_normal((size, d), dtype=np.float32)
            out[m][start : start + size] = latent @ maps[m] + NOISE * noise


def mapped(path: Path, rows: int, width: int) -> np.ndarray:
    """A new array in a file."""
    return np.lib.format.open_memmap(path, "w+", np.float32, (rows, width))


def held() -> float:
    """GB that this process holds itself; pages of files are not counted."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) / 2**20


@contextmanager
def stage(name: str, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Adds a line with seconds and the peak of memory; what else is found goes into it."""
    line: dict[str, Any] = {"stage": name, "result": ""}
    before, done = held(), threading.Event()
    peak = [before]

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], held())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.process_time()
    yield line
    line["cpu_s"] = time.process_time() - start
    done.set()
    watcher.join()
    line["memory_gb"] = peak[0] - before
    lines.append(line)
    print(line, file=sys.stderr, flush=True)


def transform(heads: Heads, x: torch.Tensor, side: str, path: Path) -> None:
    """Embeddings of all rows, in blocks, into a mapped file."""
    out = mapped(path, len(x), heads.dim)
    for start in range(0, len(x), BLOCK):
        out[start : start + BLOCK] = heads.transform(x[start : start + BLOCK], side).numpy()


def overlap(found: list[np.ndarray], queries: np.ndarray, gallery: np.ndarray, places: np.ndarray) -> float:
    """Share of queries whose partner is among the K best of their candidates, by full vectors."""
    hits = 0
    for query, rows, place in zip(queries, found, places, strict=True):
        best = rows[np.argsort(-(gallery[rows] @ query), kind="stable")[:K]]
        hits += int(place in best)
    return 100 * hits / len(queries)


def run(rows: int = 100_000, threads: int = 1, place: str | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """One line per stage."""
    torch.set_num_threads(threads)
    lines: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        staged(folder, rows, seed, threads, lambda name: stage(name, lines))
    finally:
        shutil.rmtree(folder)
    return lines


def staged(folder: Path, rows: int, seed: int, threads: int, timed: Callable[[str], Any]) -> None:
    """All stages, each under its name."""
    links = min(100_000, rows // 100)
    places = np.arange(links, links + QUERIES)
    with timed("write"):
        write(folder, rows, seed)
    x = {m: load_array(f"{folder}/{m}.npy") for m in WIDTHS}
    group = torch.arange(rows)
    views = Views(x, {"x": group, "y": torch.where(group < links, group, group + rows)})
    with timed("CCA"):
        heads = make("method", "cca", dim=DIM).fit(views)
    for side in WIDTHS:
        with timed(f"transform {side}"):
            transform(heads, x[side], side, folder / f"z_{side}.npy")
    z = {side: load_array(f"{folder}/z_{side}.npy") for side in WIDTHS}
    queries = z["x"][places].clone()
    with timed(f"ranks of {QUERIES} queries") as line:
        found = rank(queries, z["y"], torch.stack([torch.arange(QUERIES), torch.from_numpy(places)], 1))
        line["result"] = "recall@1/5/10 " + " / ".join(
            f"{100 * float(measures.any_hit(found, k).mean()):.1f}" for k in (1, 5, 10)
        )
    gallery = z["y"].numpy()
    with on_threads(threads):
        with timed("index, IVF-PQ"):
            index = ann.build(gallery, SETTINGS)
        with timed(f"{QUERIES} queries of it") as line:
            candidates = ann.candidates(index, queries.numpy(), K, SETTINGS)
            line["result"] = f"recall@10 {overlap(candidates, queries.numpy(), gallery, places):.1f}"


def main() -> None:
    """Print the table."""
    from benchmarks.__main__ import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", help="folder for the files; default: the system's temporary folder")
    asked = parser.parse_args()
    print(table(run(asked.rows, asked.threads, asked.place, asked.seed)))


if __name__ == "__main__":
    main()
