"""Several processes find what one process finds: every objective, whole trainings, closed forms."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modalign.files import RunFile

PROGRAM = Path(__file__).parent / "on_ranks.py"


def start(out: Path, world: int, *command: str) -> list[subprocess.Popen[str]]:
    """The same command once per rank, with what torchrun would say to each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {**os.environ, "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    paths = [str(PROGRAM.parent), str(PROGRAM.parents[1] / "objectives"), os.environ.get("PYTHONPATH", "")]
    known |= {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    known |= {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env={**known, "RANK": str(r), "LOCAL_RANK": str(r)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for r in range(world)
    ]


def results(out: Path, world: int, which: str) -> dict[str, list[str]]:
    """Check -> what went wrong, one text per rank."""
    running = start(out, world, str(PROGRAM), str(out), which)
    said = [process.communicate(timeout=240)[1] for process in running]
    assert [p.returncode for p in running] == [0] * world, said
    tables = [json.loads((out / f"{r}.json").read_text()) for r in range(world)]
    assert all(t.keys() == tables[0].keys() for t in tables)
    return {name: [t[name] for t in tables] for name in tables[0]}


def complain(found: dict[str, list[str]]) -> None:
    wrong = {name: texts for name, texts in found.items() if any(texts)}
    assert not wrong, "\n".join(f"{name}:\n{next(t for t in texts if t)}" for name, texts in wrong.items())


def test_two_processes_equal_one_distributed(tmp_path: Path) -> None:
    complain(results(tmp_path, 2, "some"))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["short", "long"])
@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_equal_one_whatever_is_trained_distributed(which: str, world: int, tmp_path: Path) -> None:
    found = results(tmp_path, world, which)
    complain(found)
    assert which == "long" or len(found) > 40  # every objective, and what is around them


RUN = """
out = "{out}"
[data]
arrays = {{ a = "{here}/a.npy", b = "{here}/b.npy" }}
holdout = 0.2
[method]
name = "gradient"
start = "cca"
dim = 8
steps = {steps}
every = 20
batch = 64
patience = 0
"""


def specification(folder: Path, out: str, steps: int = 60) -> Path:
    g = np.random.default_rng(0)
    shared = g.normal(size=(200, 4))
    for m in "ab":
        rows = shared @ g.normal(size=(4, 12)) + 0.3 * g.normal(size=(200, 12))
        np.save(folder / f"{m}.npy", rows.astype("f4"))
    path = folder / f"{out}.toml"
    path.write_text(RUN.format(out=folder / out, here=folder, steps=steps))
    return path


@pytest.mark.slow
def test_a_lost_rank_ends_all_and_torchrun_goes_on_by_itself_distributed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", "-m", "modalign", "train", str(specification(tmp_path, "killed", 800))]
    running = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    checkpoint = tmp_path / "killed" / RunFile.CHECKPOINT
    end = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < end:
        time.sleep(0.1)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    out, said = running.communicate(timeout=240)
    assert running.returncode == 0, said
    lines = [line for line in said.splitlines() if line.startswith("modalign:")]
    assert len(lines) == 1, said
    assert "was lost" in lines[0]
    assert out.count("mean_recall") == 1
    modalign = [sys.executable, "-m", "modalign", "train", str(specification(tmp_path, "whole", 800))]
    subprocess.run(modalign, check=True, capture_output=True)
    killed, whole = (load_file(tmp_path / name / RunFile.WEIGHTS) for name in ("killed", "whole"))
    for key, value in whole.items():
        torch.testing.assert_close(killed[key], value, atol=1e-3, rtol=1e-2)
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / RunFile.LOG).read_text().splitlines()]
    assert steps == list(range(0, 801, 20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "said"), [("method.precision=half", "precision is 'half'"), ("none=1", "unknown setting")]
)
def test_a_mistake_is_said_once_distributed(setting: str, said: str, tmp_path: Path) -> None:
    """One that the training meets, and one of the specification."""
    path = specification(tmp_path, "wrong")
    running = start(tmp_path, 2, "-m", "modalign", "train", str(path), "--set", setting)
    text = "".join(process.communicate(timeout=120)[1] for process in running)
    assert [p.returncode for p in running] == [2, 2]
    assert text.count("modalign:") == 1, text
    assert said in text
    assert "Traceback" not in text
