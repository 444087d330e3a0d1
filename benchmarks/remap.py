"""Does mapping a store need more memory for more rows? ``modalign remap`` on generated stores, each in a process.

    python -m benchmarks remap
    REMAP_ROWS=10000000 REMAP_WIDTH=128 REMAP_PLACE=/big/disk python -m benchmarks remap

The store (float32) and what it is mapped to lie on disk together: 10,000,000 rows of 128 take 10.2 GB, which are
removed afterwards. "MiB held" is the peak of what the process holds itself (RssAnon, twenty times a second), pages of
files that the system may drop at any time not counted. "right" compares rows from all over the result with the adapter.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modalign.errors import ModalignError
from modalign.migration import migrate

BLOCK = 100_000
CHILD = """
import json, sys, threading, time
import torch
from modalign.migration.remap import remap
from pathlib import Path
torch.set_num_threads(1)
def held():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
before = held()
peak, done = [before], threading.Event()
def watch():
    while not done.wait(0.05):
        peak[0] = max(peak[0], held())
threading.Thread(target=watch, daemon=True).start()
wall, cpu = time.perf_counter(), time.process_time()
remap(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({"seconds": round(wall, 1), "processor seconds": round(cpu, 1), "MiB before": round(before),
                  "MiB held": round(peak[0])}))
"""


def items(draw: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Rows of one generated model."""
    return draw.standard_normal((n, width), dtype=np.float32)


def run() -> list[dict[str, Any]]:
    """One line per number of rows: 100,000 and REMAP_ROWS."""
    width, most = int(os.environ.get("REMAP_WIDTH", "128")), int(os.environ.get("REMAP_ROWS", "1000000"))
    with tempfile.TemporaryDirectory(dir=os.environ.get("REMAP_PLACE")) as name:
        folder = Path(name)
        if (need := 8 * most * width) > 0.8 * (free := shutil.disk_usage(folder).free):
            raise ModalignError(f"{need / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free")
        draw = np.random.default_rng(0)
        turn = np.linalg.qr(draw.standard_normal((width, width)))[0].astype(np.float32)
        sample = torch.from_numpy(items(draw, 2000, width))
        pairs = [[i, i] for i in range(500)]
        moved = migrate(sample, sample @ torch.from_numpy(turn), pairs, folder / "moved", methods=["ridge"])
        return [row(folder, n, width, moved) for n in sorted({min(100_000, most), most})]


def row(folder: Path, rows: int, width: int, moved: Any) -> dict[str, Any]:
    """A store of so many rows, mapped in a process of its own and looked at."""
    old, out = folder / "old.npy", folder / "mapped.npy"
    file = np.lib.format.open_memmap(old, "w+", np.float32, (rows, width))
    draw = np.random.default_rng(1)
    for start in range(0, rows, BLOCK):
        file[start : start + BLOCK] = items(draw, min(BLOCK, rows - start), width)
    del file
    call = [sys.executable, "-c", CHILD, str(folder / "moved"), str(old), str(out)]
    found = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    looked = np.random.default_rng(2).integers(0, rows, 1000)
    x, y = (np.load(path, mmap_mode="r")[looked] for path in (old, out))
    right = bool(np.allclose(moved.rows(torch.from_numpy(x)).numpy(), y, atol=1e-5))
    out.unlink()
    return {"rows": rows, "width": width, **found, "right": right}


if __name__ == "__main__":
    for line in run():
        print(line)
