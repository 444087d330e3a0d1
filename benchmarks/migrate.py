"""Time of migration: a store mapped against the bare matrix product, and a whole fit.

    python -m benchmarks migrate
    MIGRATE_ROWS=200000 python -m benchmarks migrate    rows to map (default 1,000,000)

The mapping: the bare product and the adapters take turns, each time is the least of five, by processor time of one
thread, so that other work on the machine does not count. The fit: 1,000
pairs and 100,000 unlinked rows, all adapters, both directions; its wall time and its processor time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch

from modalign.migration import Adapter, migrate


def in_turn(works: dict[str, Callable[[], Any]], times: int = 5) -> dict[str, float]:
    """Processor seconds of the quickest call of each, all of them called once before any is called again."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(times):
        for name, work in works.items():
            start = time.process_time()
            work()
            found[name] = min(found[name], time.process_time() - start)
    return found


def mapping(rows: int, width: int = 384) -> list[dict[str, Any]]:
    """Rows: bare product, linear adapter, adapter with a kernel of 1,500 landmarks."""
    draw = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(rows, width, generator=draw), dim=1)
    turn = torch.linalg.qr(torch.randn(width, width, generator=draw)).Q.contiguous()
    linear = Adapter("ridge", turn, torch.randn(width, generator=draw) / 50)
    parts = {"centre": x[:100].mean(0), "anchors": x[:1500].contiguous(), "values": x[:1500] / 100}
    bent = Adapter("full", turn, linear.bias, "kernel", parts, 2.0)
    bare = f"bare product, {rows:,} x {width}"
    found = in_turn({bare: lambda: x @ turn, "linear adapter": lambda: linear(x)})
    found |= in_turn({"kernel adapter": lambda: bent(x)}, 1)
    return [{"work": name, "processor seconds": spent, "ratio": spent / found[bare]} for name, spent in found.items()]


def fit(links: int = 1000, more: int = 50_000) -> dict[str, Any]:
    """A whole migration of two models of the same noisy clusters, 384 and 256 wide."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(200, 40, generator=draw)
    z = centres[torch.randint(200, (2 * more + links,), generator=draw)] + torch.randn(
        2 * more + links, 40, generator=draw
    )
    old, new = (z @ torch.randn(40, w, generator=draw) + torch.randn(len(z), w, generator=draw) for w in (384, 256))
    pairs = torch.arange(links)[:, None].expand(links, 2)
    wall, cpu = time.perf_counter(), time.process_time()
    moved = migrate(old[: links + more], torch.cat([new[:links], new[links + more :]]), pairs)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"work": f"fit of {links:,} pairs, {2 * more:,} unlinked rows ({moved.facts['queries']['method']})",
            "seconds": wall, "processor seconds": cpu}  # fmt: skip


def run() -> list[dict[str, Any]]:
    """Rows of both tables."""
    torch.set_num_threads(1)
    return [*mapping(int(os.environ.get("MIGRATE_ROWS", "1000000"))), fit()]


if __name__ == "__main__":
    for row in run():
        print(row)
