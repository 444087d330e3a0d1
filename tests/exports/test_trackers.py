"""Trainings in a tracker: one callback for wandb and trackio, TensorBoard behind the same two methods."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import modalign as ma
from modalign import cli
from modalign.exports import Tracker, tracked


class Run:
    """What wandb.init and trackio.init return, as far as it is used; steps may not fall, as there."""

    def __init__(self) -> None:
        self.lines: list[tuple[int | None, dict[str, Any]]] = []
        self.finished = False

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        assert not self.lines or step is None or step >= self.lines[-1][0]  # type: ignore[operator]
        self.lines.append((step, data))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module in the place of wandb and trackio, and what was asked of it."""
    asked = SimpleNamespace(run=Run(), settings=None)

    def init(**settings: Any) -> Run:
        asked.settings = settings
        return asked.run

    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(init=init))  # type: ignore[arg-type]
    return asked


def arrays(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    s = draw.normal(size=(n, 4))
    return s @ draw.normal(size=(4, 9)), s @ draw.normal(size=(4, 7))


def fit() -> ma.Aligner:
    return ma.Aligner("gradient", dim=4, steps=20, every=5, batch=32).fit(*arrays())


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_one_callback_serves_both(library: SimpleNamespace, name: str) -> None:
    with tracked(name, project="mine", config={"a": 1}):
        fit()
    assert library.settings == {"project": "mine", "config": {"a": 1}}
    assert library.run.finished
    assert [step for step, _ in library.run.lines] == [0, 5, 10, 15, 20]
    last = library.run.lines[-1][1]
    assert {"loss", "lr", "gradient", "effective_rank", "training"} <= set(last)
    assert all(math.isfinite(v) for v in last.values())


def test_steps_of_several_trainings_follow_each_other() -> None:
    run = Run()
    with_steps = Tracker(run)
    for step in (0, 5, 10, 0, 5):
        with_steps({"step": step, "loss": 1.0, "dev": math.nan})
    assert [step for step, _ in run.lines] == [0, 5, 10, 11, 16]
    assert [line["training"] for _, line in run.lines] == [1, 1, 1, 2, 2]
    assert all("dev" not in line for _, line in run.lines)


def test_nothing_is_heard_outside_and_a_failed_fit_is_finished(library: SimpleNamespace) -> None:
    def broken() -> None:
        with tracked("wandb"):
            raise RuntimeError("a fit that fails")

    with pytest.raises(RuntimeError, match="a fit that fails"):
        broken()
    assert library.run.finished
    fit()
    assert not library.run.lines


def test_the_command_sends_configuration_log_and_scores(library: SimpleNamespace, tmp_path: Path) -> None:
    for name, rows in zip(("x", "y"), arrays(), strict=True):
        np.save(tmp_path / f"{name}.npy", rows)
    spec = tmp_path / "run.toml"
    files = ", ".join(f'{m} = "{tmp_path / m}.npy"' for m in ("x", "y"))
    spec.write_text(
        f'out = "{tmp_path / "mine"}"\n[data]\narrays = {{ {files} }}\n'
        '[method]\nname = "gradient"\ndim = 4\nsteps = 10\nevery = 5\n'
    )
    cli.main(["train", str(spec), "--track", "wandb", "--json"])
    assert library.settings["name"] == "mine"
    assert library.settings["config"]["method"]["steps"] == 10
    scores = library.run.lines[-1][1]
    kept = ma.Run.open(tmp_path / "mine").result.methods["gradient"].scores["mean_recall"]
    assert scores["gradient/mean_recall"] == kept.value
    assert scores["gradient/mean_recall/low"] == kept.low
    json.dumps(library.settings["config"])


def test_scalars_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="scalars are written by tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracked("tensorboard", project=str(tmp_path)):
        fit()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [e.step for e in found.Scalars("loss")] == [5, 10, 15, 20]


@pytest.mark.slow
def test_the_real_wandb_offline(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    with tracked("wandb", dir=str(tmp_path), mode="offline", settings=wandb.Settings(silent=True)) as tracker:
        fit()
        assert tracker.run.summary["loss"] > 0  # type: ignore[attr-defined]
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_the_real_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="trackio is not installed")
    import sqlite3

    with tracked("trackio", project="mine", name="first"):
        fit()
    with sqlite3.connect(tmp_path / "mine.db") as database:
        lines = [json.loads(m) for (m,) in database.execute("select metrics from metrics order by step")]
    assert len(lines) == 5
    assert lines[-1]["loss"] > 0


def test_mistakes_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ma.ModalignError, match="did you mean 'wandb'"), tracked("wanbd"):
        pass
    monkeypatch.setitem(sys.modules, "trackio", None)  # type: ignore[arg-type]
    with pytest.raises(ma.ModalignError, match="pip install trackio"), tracked("trackio"):
        pass
