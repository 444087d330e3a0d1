"""The search index against plain faiss: build time, memory, queries per second, recall across modalities.

A gallery of generated pictures, queries from another modality (texts, across a gap) and from its own. Everything for
one kind of index is measured in one process, modalign and faiss in turn on the same index with the same settings.

    python -m benchmarks index
    INDEX_ROWS=1000000 python -m benchmarks index    (about half an hour on two cores; 5 GB of memory)

Columns: build_s, all of ``Index.build`` with ids, metadata, writing and (not exact) the measuring of recall; faiss_s,
of that, inside faiss; peak_mb while building; disk_mb; open_mb, what opening the index by memory mapping adds;
qps, queries per second one at a time, through modalign and through plain faiss; batch_qps in batches of 256; recall@10
against exact search for texts and for pictures as queries, of modalign (which scores candidates again with the full
vectors) and of plain faiss.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

DIM, QUERIES, K = 256, 1000, 10
THREADS = int(os.environ.get("INDEX_THREADS", "2"))
KINDS = {"exact": {}, "hnsw": {"links": 16, "effort": 60}, "ivfpq": {}}


def generate(folder: Path, rows: int) -> None:
    """Pictures (rows, 256) and texts as .npy files of unit rows: groups of 20, 64 main directions, noise, a gap."""
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((64, DIM), dtype=np.float32) / 8
    gap = 0.5 * rng.standard_normal(DIM, dtype=np.float32) / 16
    image = np.lib.format.open_memmap(folder / "image.npy", "w+", np.float32, (rows, DIM))
    text = np.empty((QUERIES, DIM), np.float32)
    every = rows // QUERIES
    kept = 0
    for start in range(0, rows, 20_000):
        n = min(20_000, rows - start)
        group = np.repeat(rng.standard_normal((n // 20 + 1, 64), dtype=np.float32), 20, 0)[:n]
        latent = (group + 0.6 * rng.standard_normal((n, 64), dtype=np.float32)) @ basis
        image[start : start + n] = _unit(latent + 0.35 * rng.standard_normal((n, DIM), dtype=np.float32) + gap)
        for row in range((-start) % every, n, every):
            if kept < QUERIES:
                text[kept] = latent[row] + 0.5 * rng.standard_normal(DIM, dtype=np.float32) - gap
                kept += 1
    image.flush()
    np.save(folder / "text.npy", _unit(text))


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def rss() -> float:
    """Memory of this process that is its own, MB (mapped files do not count)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def rate(run: Callable[[Any], Any], parts: list[Any], seconds: float = 4.0) -> tuple[float, int]:
    """Calls per second within a time limit, and how many were made."""
    run(parts[0])
    start, done = time.perf_counter(), 0
    for part in parts:
        run(part)
        done += 1
        if time.perf_counter() - start > seconds:
            break
    return done / (time.perf_counter() - start), done


def measure(folder: Path, kind: str) -> dict[str, Any]:
    """One row: build an index of a kind, open it, ask it, ask faiss."""
    import faiss
    import torch

    from modalign.search import AnnSettings, Index, ann
    from modalign.search.recall import overlap, scores_of

    torch.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
    image, text = np.load(folder / "image.npy", mmap_mode="c"), np.load(folder / "text.npy")
    inside = [0.0]
    build = ann.build

    def timed(*given: Any) -> Any:
        start = time.perf_counter()
        try:
            return build(*given)
        finally:
            inside[0] += time.perf_counter() - start

    ann.build = timed
    items = {"image": [{"group": i} for i in range(len(image))], "text": []}
    start = time.perf_counter()
    place = folder / kind
    Index.build(place, {"image": image, "text": text}, items, settings=AnnSettings(kind, **KINDS[kind]), only=["image"])
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    del items
    before = rss()
    index = Index(place)
    opened = rss() - before
    part = index.parts["image"][0]
    plain = part.faiss or faiss.IndexFlatIP(image.shape[1])
    if part.faiss is None:
        plain.add(part.vectors)
    pictures = index.vectors("image", np.arange(QUERIES) * len(image) // QUERIES)
    options = None if kind == "exact" else _options(faiss, kind, part)
    singles = [q.astype(np.float64) for q in text[:200]]
    batches = [text[i : i + 256] for i in range(0, 1000, 256)]
    row: dict[str, Any] = {
        "kind": kind,
        "rows": len(image),
        "build_s": round(seconds, 1),
        "faiss_s": round(inside[0], 1),
        "peak_mb": round(peak),
        "disk_mb": round(sum(p.stat().st_size for p in place.rglob("*") if p.is_file()) / 2**20),
        "open_mb": round(opened, 1),
        "qps": round(rate(lambda q: index.nearest(q, ["image"], K), singles)[0], 1),
        "qps_faiss": round(rate(lambda q: plain.search(np.float32(q)[None], K, params=options), singles)[0], 1),
    }
    for name, f in (
        ("batch_qps", lambda b: index.nearest_many(b, "image", K)),
        ("batch_qps_faiss", lambda b: plain.search(b, K, params=options)),
    ):
        row[name] = round(256 * rate(f, batches, 20.0)[0], 1)
    for name, queries in (("text", text[:256]), ("image", pictures[:256])):
        scores = partial(scores_of, index, "image", queries)
        right = scores(index.nearest_many(queries, "image", K, exact=True))
        row[f"recall_{name}"] = round(overlap(scores(index.nearest_many(queries, "image", K)), right), 4)
        row[f"recall_{name}_faiss"] = round(overlap(scores(plain.search(queries, K, params=options)[1]), right), 4)
    return row


def _options(faiss: Any, kind: str, part: Any) -> Any:
    if kind == "hnsw":
        return faiss.SearchParametersHNSW(efSearch=part.settings.beam)
    return faiss.SearchParametersIVF(nprobe=part.faiss.nprobe)


def run() -> list[dict[str, Any]]:
    """One row per kind of index, each from a process of its own."""
    from modalign.cli import WAITING

    rows = int(os.environ.get("INDEX_ROWS", "50000"))
    table = []
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), rows)
        for kind in os.environ.get("INDEX_KINDS", ",".join(KINDS)).split(","):
            command = [sys.executable, "-m", "benchmarks.index", folder, kind]
            environment = {**os.environ, **WAITING}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
            table.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"  {table[-1]}", file=sys.stderr, flush=True)
    return table


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2])))
