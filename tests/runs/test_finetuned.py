"""Fine-tuning that is interrupted, or asked for again: it goes on, and the former run is whole until its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modalign.errors import ModalignError
from modalign.files import RunFile
from modalign.progress import Pause
from modalign.runs import Run
from modalign.runs import finetune as module
from modalign.runs.finetune import finetune_run
from modalign.runs.train import align_arrays
from modalign.training import loop

SCHEDULE = {"steps": 6, "batch": 32, "every": 2, "checkpoints": True}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(120, 5))
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file in files:
        np.save(file, (shared @ draw.normal(size=(5, 8)) + 0.3 * draw.normal(size=(120, 8))).astype(np.float32))
    return align_arrays(files, tmp_path / "start", method="cca", dim=4).folder


def kept(out: Path) -> tuple[bytes, str, bytes]:
    """What a run was made of and what came out."""
    files = RunFile.WEIGHTS, RunFile.LOG, RunFile.VECTORS
    weights, log, vectors = ((out / name).read_bytes() for name in files)
    return weights, log.decode(), vectors


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Stop a training before a step; the steps that were taken."""
    step, taken = loop.descend, []

    def counted(*given: Any, **named: Any) -> Any:
        if len(taken) == after:
            raise KeyboardInterrupt
        taken.append(len(taken))
        return step(*given, **named)

    monkeypatch.setattr(loop, "descend", counted)
    return taken


def test_it_goes_on_where_it_was_interrupted(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finetune_run(start, tmp_path / "whole", [], schedule=SCHEDULE)
    monkeypatch.setattr(Pause, "over", lambda self: True)  # each step is saved
    out = tmp_path / "out"
    with monkeypatch.context() as stopped:
        interrupt(stopped, 4)
        with pytest.raises(KeyboardInterrupt) as stop:
            finetune_run(start, out, [], schedule=SCHEDULE)
    assert str(out) in " ".join(stop.value.__notes__)
    with monkeypatch.context() as counted:
        taken = interrupt(counted, 99)
        finetune_run(start, out, [], schedule=SCHEDULE)
    assert len(taken) == 2
    assert kept(out) == kept(tmp_path / "whole")
    assert not (out / RunFile.CHECKPOINT).exists()


def test_a_run_is_whole_until_another_one_is_done(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, other = tmp_path / "out", {**SCHEDULE, "steps": 4}
    finetune_run(start, out, [], schedule=other)
    before = kept(out)
    with monkeypatch.context() as stopped:
        interrupt(stopped, 3)
        with pytest.raises(KeyboardInterrupt):
            finetune_run(start, out, [], schedule=SCHEDULE)
    assert kept(out) == before
    third = {**SCHEDULE, "steps": 5}  # what the interrupted one left is no part of it
    finetune_run(start, out, [], schedule=third)
    finetune_run(start, tmp_path / "alone", [], schedule=third)
    assert kept(out) == kept(tmp_path / "alone")
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "alone").iterdir()}


def test_what_is_done_is_not_trained_again(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise ModalignError("no space left")

    out = tmp_path / "out"
    finetune_run(start, tmp_path / "whole", [], schedule=SCHEDULE)
    with monkeypatch.context() as disk:
        disk.setattr(Run, "write", full)
        with pytest.raises(ModalignError, match="no space"):
            finetune_run(start, out, [], schedule=SCHEDULE)
    monkeypatch.setattr(module, "finetune", None)
    finetune_run(start, out, [], schedule=SCHEDULE)
    assert kept(out) == kept(tmp_path / "whole")
