"""Encode sentences by Ray's actors, one of which is killed at a third, and by one process: bytes and memory.

    python -m benchmarks.on_ray                  # 100,000 sentences
    python -m benchmarks.on_ray --rows 20000

Texts of 12 words are encoded with `wordllama`. "held" is what the program that writes the store holds itself: before
the first shard, with its list of items, and at most; "actor" that of the largest actor, "Ray's store" what its shared
memory took at most. The files of both stores are compared byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROWS = 100_000
WORDS = ("a", "red", "green", "small", "old", "new", "dog", "cat", "house", "tree", "river", "runs", "sleeps", "near")
ACTOR = b"MapWorker"


def resident(pid: int | str = "self") -> float:
    """MiB that a process holds itself, without shared memory and pages of files; 0 once it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def actors() -> list[int]:
    """Processes of Ray that encode."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if ACTOR in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def shared_memory() -> float:
    """MiB of shared memory in use, where Ray keeps what actors give."""
    place = os.statvfs("/dev/shm")
    return (place.f_blocks - place.f_bfree) * place.f_frsize / 2**20


class Watch:
    """Looks at memory while a store is written, and kills an actor when a third is there."""

    def __init__(self, kills: bool) -> None:
        self.kills, self.killed = kills, 0
        self.before = self.most = self.actor = self.store = 0.0
        self.base, self.done = shared_memory(), threading.Event()
        threading.Thread(target=self.look, daemon=True).start()

    def look(self) -> None:
        while not self.done.wait(0.2):
            self.most = max(self.most, resident())
            if self.kills:
                self.actor = max([self.actor, *map(resident, actors())])
                self.store = max(self.store, shared_memory() - self.base)

    def progress(self, done: int, total: int, what: str) -> None:
        """As ``embed`` calls it."""
        if not self.before:
            self.before = self.most = resident()
        if self.kills and not self.killed and done >= total / 3 and (running := actors()):
            os.kill(running[0], signal.SIGKILL)
            self.killed = running[0]


def child(engine: str, folder: Path, out: Path) -> None:
    """One engine, in a process of its own."""
    import torch

    from modalign.features.embed import embed_dataset
    from modalign.features.on_ray import connect

    torch.set_num_threads(1)
    on_ray = engine == "ray"
    if on_ray:
        connect()
    watch, start = Watch(on_ray), time.perf_counter()
    embed_dataset(
        "folders", folder, out, ["text=wordllama"], ["lines=true"], progress=watch.progress,
        engine=engine, workers=2 if on_ray else None,
    )  # fmt: skip
    watch.done.set()
    row = {"engine": engine, "s": round(time.perf_counter() - start), "held before, MiB": round(watch.before)}
    row |= {"held at most, MiB": round(watch.most)}
    if on_ray:
        row |= {"actor, MiB": round(watch.actor), "Ray's store, MiB": round(watch.store), "killed": bool(watch.killed)}
    print(json.dumps(row))


def sentence(i: int) -> str:
    """Twelve words, others for each number."""
    return f"sentence {i} " + " ".join(WORDS[(i * k + k) % len(WORDS)] for k in range(1, 11))


def run(rows: int = ROWS) -> list[dict[str, Any]]:
    """Rows of the table: one of each engine, with a hash of its store."""
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "media").mkdir()
        (folder / "media" / "all.txt").write_text("\n".join(map(sentence, range(rows))))
        for engine in ("local", "ray"):
            known = {**os.environ, "MODALIGN_CACHE": str(folder / f"cache-{engine}")}
            command = [sys.executable, "-m", "benchmarks.on_ray", "--engine", engine, "--folder", name]
            done = subprocess.run(command, env=known, check=True, stdout=subprocess.PIPE, text=True)
            found = next(line for line in done.stdout.splitlines() if line.startswith("{"))  # Ray prints, too
            table.append({"rows": rows, **json.loads(found), "bytes": digest(folder / engine)})
    return table


def digest(folder: Path) -> str:
    """The start of a hash of all files, names and bytes."""
    found = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()[:12]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--engine")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.engine:
        child(given.engine, given.folder / "media", given.folder / given.engine)
    else:
        from benchmarks.__main__ import table

        print(table(run(given.rows)))
