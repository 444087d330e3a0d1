"""The whole geometry of a space, metric by metric, with chance and intervals: processor seconds.

    python -m benchmarks geometry                         5,000 rows
    GEOMETRY_ROWS=20000 OMP_WAIT_POLICY=PASSIVE python -m benchmarks geometry

The second is to take less than two minutes on two cores (waiting threads that spin would count as work; the program
``modalign`` sets that variable by itself).

Two modalities of n rows each, 256 dimensions, one item per group; everything that ``modalign evaluate --geometry``
measures, as it measures it. Seconds are processor seconds of all threads; the last row is the sum.
"""

from __future__ import annotations

import os
import time
from typing import Any

import torch

from benchmarks.retrieval import problem
from modalign.metrics.evaluate import evaluate
from modalign.runs.evaluate import FEW, GEOMETRY, QUICK
from modalign.views import Views

WIDTH = 256


def run() -> list[dict[str, Any]]:
    """One row per metric and the sum."""
    n = int(os.environ.get("GEOMETRY_ROWS", "5000"))
    x, y, _ = problem(n, WIDTH)
    z = Views.from_arrays(image=x, text=y)
    evaluate(Views.from_arrays(image=x[:200], text=y[:200]), [*QUICK, *GEOMETRY], intervals=False)  # imports
    rows: list[dict[str, Any]] = []
    for name in (*QUICK, *GEOMETRY):
        cpu, wall = time.process_time(), time.perf_counter()
        evaluate(z, [name], draws=FEW)
        seconds = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        rows.append({"metric": name, "n": n, "d": WIDTH, **seconds, "threads": torch.get_num_threads()})
    total = {key: sum(row[key] for row in rows) for key in ("cpu_s", "wall_s")}
    return [*rows, {"metric": "all", "n": n, "d": WIDTH, **total, "threads": torch.get_num_threads()}]
