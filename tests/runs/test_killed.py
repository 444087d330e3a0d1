"""kill -9 at random moments: nothing is lost, and the next call leaves what an undisturbed one leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from modalign.features.store import Store
from modalign.outputs import kind_of
from modalign.specification import dump_toml

TRAIN = """
out = "{out}"
[data]
name = "table"
root = "{root}"
columns = {{text = "caption", narration = "narration"}}
[encoders]
text = "minilm"
narration = "minilm"
[method]
name = "cca"
dim = 8
"""


class Job(NamedTuple):
    """A command, and how often it is killed."""

    name: str
    kills: int


JOBS = (Job("align", 4), Job("embed", 4), Job("train", 4), Job("finetune", 3), Job("index", 3), Job("bench", 2))


class Place(NamedTuple):
    """A folder with what the commands read, and a cache of its own."""

    folder: Path

    def line(self, name: str, out: Path) -> list[str]:
        here = self.folder
        if name == "train":
            (here / f"{out.name}.toml").write_text(TRAIN.format(out=out, root=here / "list.csv"))
        lines = {
            "align": ["align", "a.npy", "b.npy", "--dim", "8", "--out", str(out)],
            "embed": ["embed", "table", "list.csv", "--out", str(out)],
            "train": ["train", f"{out.name}.toml"],
            "finetune": ["finetune", "base", "text=last", "--out", str(out), "--set", "steps=4", "--set", "batch=16"],
            "index": ["index", "base", "--kind", "hnsw", "--out", str(out)],
            "bench": ["bench", "tiny.toml", "--workers", "1", "--out", str(out)],
        }
        return [sys.executable, "-m", "modalign", *lines[name], "--json"]

    def start(self, name: str, out: Path, cache: str) -> subprocess.Popen[str]:
        env = {**os.environ, "MODALIGN_CACHE": str(self.folder / cache), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            self.line(name, out), cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_suite: Mapping[str, Any]) -> Place:
    here = tmp_path_factory.mktemp("killed")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 16)).astype("float32")
    np.save(here / "a.npy", x)
    np.save(here / "b.npy", x @ draw.normal(size=(16, 12)).astype("float32"))
    rows = [f"thing number {i},this is the {i}th thing\n" for i in range(200)]
    (here / "list.csv").write_text("caption,narration\n" + "".join(rows))
    (here / "tiny.toml").write_text(dump_toml(tiny_suite))
    made = Place(here)
    assert finished(made.start("train", here / "base", "shared"))
    return made


def finished(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def left(out: Path) -> Any:
    """What a command leaves, without times and places."""
    kind = kind_of(out)
    if kind == "store":
        return {m: x.tolist() for m, x in Store.open(out).views().data.items()}
    if kind == "index":
        return {p.relative_to(out): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    if kind == "bench":
        results = sorted(out.glob("cells/**/scores.json"))
        return {str(p.relative_to(out)): json.loads(p.read_text())["methods"] and _scores(p) for p in results}
    return [_scores(out / "scores.json"), (out / "model.safetensors").read_bytes(), (out / "items.jsonl").read_text()]


def _scores(path: Path) -> dict[str, Any]:
    methods = json.loads(path.read_text())["methods"]
    return {m: {k: s["value"] for k, s in table["scores"].items()} for m, table in methods.items()}


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_killed_at_random_moments_the_next_call_leaves_what_an_undisturbed_one_leaves(place: Place, job: Job) -> None:
    draw = random.Random(f"{job.name} {time.time_ns()}")
    start = time.monotonic()
    finished(place.start(job.name, place.folder / f"{job.name}-whole", f"cache-whole-{job.name}"))
    seconds = time.monotonic() - start
    out, cache = place.folder / f"{job.name}-killed", f"cache-killed-{job.name}"
    moments = []
    for _ in range(job.kills):
        child = place.start(job.name, out, cache)
        moments.append(round(seconds * draw.uniform(0.2, 1.0), 2))
        time.sleep(moments[-1])
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert kind_of(out) in (None, {"embed": "store", "index": "index", "bench": "bench"}.get(job.name, "run"))
    finished(place.start(job.name, out, cache))
    assert left(out) == left(place.folder / f"{job.name}-whole"), f"killed after {moments} of {seconds:.1f} s"
    assert not list(out.rglob("*.tmp")) or job.name == "bench", sorted(out.rglob("*.tmp"))
