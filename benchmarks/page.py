"""Latency of the search page under load: 50 clients on loopback, each asking other words than all the rest.

    python -m benchmarks page
    PAGE_REQUESTS=40 python -m benchmarks page    requests of each client (default 12)

The run has 5,000 items in each of two modalities, encoders of words and pictures, and random heads. Clients keep their
connection and ask one thing after another without pause: words that were never asked before (encoded and searched),
words that were (searched), and pictures of results. Bounded in count and time; the server is ended afterwards.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

CLIENTS = 50
ITEMS = 5000
LIMIT = 240.0  # seconds for each kind of request


def make_run(folder: Path) -> Path:
    """A run folder with pictures and words, whose heads are random."""
    import torch
    from PIL import Image

    from modalign.model import Heads, Model
    from modalign.model.heads import FeatureMap, Head, Projection
    from modalign.runs.items import Items
    from modalign.views import Views

    torch.manual_seed(0)
    widths = {"image": 1280, "text": 384}
    encoders = {"image": {"name": "efficientnet-lite0"}, "text": {"name": "minilm"}}
    Model(
        Heads({m: Head(FeatureMap(w), Projection(w, 256)) for m, w in widths.items()}), encoders, {}, {"name": "random"}
    ).save(folder)
    centre = torch.randn(ITEMS, 256)
    z = {m: torch.nn.functional.normalize(centre + torch.randn(ITEMS, 256), dim=1) for m in widths}
    (folder / "media").mkdir()
    for i in range(100):
        Image.effect_noise((96, 96), 40 + i).convert("RGB").save(folder / "media" / f"{i}.png")
    items: dict[str, list[dict[str, Any]]] = {
        "image": [{"split": "test", "picture": f"media/{i % 100}.png"} for i in range(ITEMS)],
        "text": [{"split": "test", "text": f"thing {i}"} for i in range(ITEMS)],
    }
    Items(Views(z, {m: torch.arange(ITEMS) for m in z}), items).write(folder)
    return folder


def load(port: int, kind: str, requests: int) -> dict[str, Any]:
    """Send all requests of a kind from all clients at once, and sum up their times."""
    times: list[float] = []
    failed: list[int] = []
    lock, begin = threading.Lock(), threading.Barrier(CLIENTS + 1)
    end = time.monotonic() + LIMIT

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        begin.wait()
        for i in range(requests):
            if time.monotonic() > end:
                break
            start = time.perf_counter()
            try:
                status = ask(connection, kind, number, i)
            except OSError:
                status = 0
                connection.close()
            took = time.perf_counter() - start
            with lock:
                times.append(took)
                failed.extend([status] if status != 200 else [])
        connection.close()

    clients = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    for thread in clients:
        thread.start()
    begin.wait()
    start = time.perf_counter()
    for thread in clients:
        thread.join()
    spent = time.perf_counter() - start
    ranked = sorted(times)
    return {
        "asked": kind,
        "clients": CLIENTS,
        "requests": len(times),
        "failed": len(failed),
        "per_second": round(len(times) / spent, 1),
        "median_ms": round(1000 * statistics.median(ranked)),
        "p95_ms": round(1000 * ranked[int(0.95 * (len(ranked) - 1))]),
        "max_ms": round(1000 * ranked[-1]),
    }


def ask(connection: http.client.HTTPConnection, kind: str, number: int, i: int) -> int:
    """One request; its status."""
    if kind == "pictures":
        connection.request("GET", f"/media/0/image/{(number * 7 + i) % 100}")
    else:
        words = f"thing {i % 5}" if kind == "known words" else f"a {number} coloured thing number {i} on a table"
        body = json.dumps({"terms": [{"kind": "text", "value": words}], "k": 12})
        connection.request("POST", "/api/search", body, {"content-type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    return reply.status


def run() -> list[dict[str, Any]]:
    """Rows: new words, known words, pictures."""
    requests = int(os.environ.get("PAGE_REQUESTS", "12"))
    with tempfile.TemporaryDirectory() as folder:
        place = make_run(Path(folder) / "run")
        command = [sys.executable, "-m", "modalign", "serve", str(place), "--port", "0", "--threads", "1"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            found = re.search(r":(\d+)/", server.stderr.readline())
            assert found is not None
            port = int(found[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            for i in range(5):  # weights are loaded, the five known words are known
                ask(connection, "known words", 0, i)
            ask(connection, "pictures", 0, 0)
            return [load(port, kind, requests) for kind in ("new words", "known words", "pictures")]
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    for row in run():
        print(row)
