"""Does encoding need more memory for more rows? Peak memory of ``embed`` on generated rows, each size in a process.

    python -m benchmarks memory

The encoder is a stand-in that costs nothing (features drawn from the words), so that the rest is measured: what
``embed`` adds to the peak once rows and encoder are in memory. "bytes a row" is that over the rows; the features
themselves take 4 x 384 = 1,536 bytes a row, so a program that kept them all would need more than that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SIZES = (10_000, 100_000)
PROGRAM = """
import json, resource, sys, tempfile, time
import torch
from modalign.data.manifest import Manifest
from modalign.features.embed import embed
from modalign.features.encoders.base import FrozenEncoder, source

class Drawn(FrozenEncoder):
    modality, dim, batch_size, shard_size = "text", 384, 512, 8192
    def description(self): return {"encoder": "drawn"}
    def collate(self, items): return torch.tensor([1.0 + hash(source(i)) % 997 for i in items])
    def __call__(self, batch): return batch[:, None] * torch.ones(1, self.dim)

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

torch.set_num_threads(1)
n = int(sys.argv[1])
few = Manifest.from_rows([{"group": i, "modality": "text", "text": str(i)} for i in range(9000)], name="warm")
rows = Manifest.from_rows(({"group": i, "modality": "text", "text": f"row {i}"} for i in range(n)), name="generated")
with tempfile.TemporaryDirectory() as folder:
    embed(few, {"text": Drawn()}, folder + "/warm")
    before, start = peak(), time.perf_counter()
    store = embed(rows, {"text": Drawn()}, folder + "/store")
    print(json.dumps({"rows": len(store.places["text"]), "before": before, "added": peak() - before,
                      "seconds": time.perf_counter() - start}))
"""


def run(sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """Rows of the table; memory in MiB."""
    return [row(size) for size in sizes]


def row(size: int) -> dict[str, Any]:
    """One size, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(size)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return {
        "rows": found["rows"],
        "MiB before": round(found["before"], 1),
        "MiB added": round(found["added"], 1),
        "bytes a row": round(found["added"] * 2**20 / size),
        "features, MiB": round(size * 1536 / 2**20, 1),
        "rows/s": round(size / found["seconds"]),
    }
