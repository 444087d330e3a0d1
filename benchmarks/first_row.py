"""By the clock: how long `modalign demo` takes to the first row of its table, as after `make demo` has installed.

    python -m benchmarks.first_row

In folders of its own, so that no features are cached and no bytecode is compiled; ended when the row is there. Two free
cores are asked for: the load beside it is the machine's mean of one minute, before it begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.__main__ import table


def seconds() -> float:
    """From the start of the program to the heading and the first row, which come together."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS")}
        environment |= {"MODALIGN_CACHE": str(folder / "cache"), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        command = [sys.executable, "-m", "modalign", "demo", "--out", str(folder / "run")]
        start = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as demo:
            assert demo.stdout is not None
            headed = any(line.startswith("method") for line in demo.stdout)
            taken = time.perf_counter() - start if headed and next(demo.stdout, None) else None
            demo.terminate()
        if taken is None:
            sys.exit(f"the demo ended without a row, with exit code {demo.returncode}")
        return taken


def run() -> list[dict[str, Any]]:
    """One row: the seconds, and how busy the machine was before."""
    load = os.getloadavg()[0]
    return [{"first row after, s": seconds(), "cores": os.cpu_count(), "load before": load}]


if __name__ == "__main__":
    print(table(run()))
