"""Work that is interrupted: what is kept is said, and a second call goes on from it and ends alike."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modalign import cli
from modalign.bench.workers import Workers
from modalign.errors import ModalignError
from modalign.files import RunFile, read_json, read_jsonl
from modalign.methods import full, gradient
from modalign.methods.clip import ClipPreset
from modalign.methods.full import Full
from modalign.methods.gradient import random_heads
from modalign.methods.tuning import tune
from modalign.model import Model
from modalign.progress import Pause, _Lines, kept
from modalign.runs.fit import fit
from modalign.runs.once import unfinished
from modalign.runs.train import align_arrays
from modalign.training import launch
from modalign.views import Views


def arrays(folder: Path, n: int = 160, d: int = 12) -> list[Path]:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(n, 5))
    files = [folder / f"{name}.npy" for name in ("a", "b")]
    for file in files:
        np.save(file, (shared @ rng.normal(size=(5, d)) + 0.4 * rng.normal(size=(n, d))).astype(np.float32))
    return files


def test_trials_are_written_down_one_by_one_and_not_repeated(tmp_path: Path) -> None:
    kept, tried = tmp_path / "trials.jsonl", []

    def score(settings: dict[str, Any]) -> float:
        if settings["x"] == 3 and len(tried) == 2:
            raise KeyboardInterrupt
        tried.append(settings["x"])
        if settings["x"] == 2:
            raise ModalignError("no")
        return float(settings["x"])

    candidates = [{"x": x} for x in (1, 2, 3, 4)]
    with pytest.raises(KeyboardInterrupt):
        tune(candidates, score, kept=kept)
    assert [e["settings"]["x"] for e in read_jsonl(kept)] == [1, 2]
    tried.append(0)  # the second call is allowed to go on
    tuned = tune(candidates, score, kept=kept)
    assert tried == [1, 2, 0, 2, 3, 4]  # a refusal is asked again, a score is not
    assert (tuned.settings, [e["score"] for e in tuned.record]) == ({"x": 4}, [1.0, None, 3.0, 4.0])


@pytest.mark.parametrize("moment", [1, 3, 6])
def test_align_goes_on_with_the_trials_of_an_interrupted_call(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, solve, calls = arrays(tmp_path), full.TransportCCA.solve, []
    whole = align_arrays(files, tmp_path / "whole", dim=4)

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == moment * 3 + 1:  # three folds each
            raise KeyboardInterrupt
        return solve(self, *given, **named)

    monkeypatch.setattr(full.TransportCCA, "solve", counted)
    with pytest.raises(KeyboardInterrupt) as stop:
        align_arrays(files, tmp_path / "run", dim=4)
    assert f"kept in {tmp_path / 'run'}" in stop.value.__notes__[0]
    assert len(read_jsonl(tmp_path / "run" / RunFile.TRIALS)) == moment
    before = len(calls)
    run = align_arrays(files, tmp_path / "run", dim=4)
    wanted = 8 + 1 - moment  # settings that are left, and the fit to all pairs
    assert len(calls) - before <= 3 * wanted + 3  # the best of the earlier ones once more, where it won
    for m in ("a", "b"):
        x = torch.from_numpy(np.load(tmp_path / f"{m}.npy"))
        assert torch.equal(run.model.transform(x, m), whole.model.transform(x, m))
    assert not (tmp_path / "run" / RunFile.TRIALS).exists()
    assert run.model.record["trials"] == whole.model.record["trials"]


def test_what_another_fit_left_behind_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path, "one"):  # noqa: PT012  it must come inside
        (tmp_path / RunFile.TRIALS).write_text('{"settings": {}, "score": 1.0}\n')
        (tmp_path / RunFile.TRAININGS / "0").mkdir(parents=True)
        raise KeyboardInterrupt
    with unfinished(tmp_path, "one"):
        assert (tmp_path / RunFile.TRIALS).exists()
        raise_not = read_json(tmp_path / RunFile.FIT)
    assert raise_not == {"key": "one", "seconds": None}
    (tmp_path / RunFile.TRIALS).write_text("{}\n")
    with unfinished(tmp_path, "two"):
        assert not (tmp_path / RunFile.TRIALS).exists()
        assert not (tmp_path / RunFile.TRAININGS).exists()


def test_clip_goes_on_with_its_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    shared = torch.randn(120, 4, generator=rng)
    x = Views.from_arrays(a=shared @ torch.randn(4, 8, generator=rng), b=shared @ torch.randn(4, 6, generator=rng))
    whole = ClipPreset(dim=4, trials=3, steps=30).fit(x)
    fit, calls = gradient.Gradient.fit, []

    def counted(self: Any, *given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(self, *given)

    monkeypatch.setattr(gradient.Gradient, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        ClipPreset(dim=4, trials=3, steps=30).fit(x, run=tmp_path)
    checkpoints = sorted(tmp_path.glob(f"trials/*/{RunFile.CHECKPOINT}"))
    assert len(checkpoints) == 2
    times = [p.stat().st_mtime_ns for p in checkpoints]
    heads = ClipPreset(dim=4, trials=3, steps=30).fit(x, run=tmp_path)
    assert [p.stat().st_mtime_ns for p in checkpoints] == times  # finished trainings are read, not repeated
    assert torch.equal(heads.embed(x)["a"], whole.embed(x)["a"])


def test_heads_of_a_perceptron_depend_on_the_seed_alone() -> None:
    x = Views.from_arrays(a=torch.randn(40, 6), b=torch.randn(40, 5))
    drawn = [random_heads(x, 4, 8, 0.0, torch.Generator().manual_seed(s)).embed(x)["a"] for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_full_gives_the_same_with_and_without_a_folder(tmp_path: Path) -> None:
    a, b = (torch.from_numpy(np.load(f)) for f in arrays(tmp_path))
    x = Views.from_arrays(a=a, b=b)
    first, second = Full(dim=4, trials=4).fit(x), Full(dim=4, trials=4).fit(x, run=tmp_path)
    assert torch.equal(first.embed(x)["b"], second.embed(x)["b"])


SLOW = """
import sys, time, signal
import modalign.methods.full as full
from modalign import cli
solve = full.TransportCCA.solve
def slow(self, *given, **named):
    print("trial", flush=True)
    time.sleep(0.2)
    return solve(self, *given, **named)
full.TransportCCA.solve = slow
cli.main(sys.argv[1:])
"""


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_in_one_line_that_says_what_was_kept(tmp_path: Path) -> None:
    files = arrays(tmp_path)
    call = [sys.executable, "-c", SLOW, "align", *map(str, files), "--out", str(tmp_path / "run"), "--dim", "4"]
    pipe = subprocess.PIPE
    child = subprocess.Popen(call, stdout=pipe, stderr=pipe, text=True)
    assert child.stdout is not None
    for _ in range(4):  # the first trial has three folds
        assert child.stdout.readline().strip() == "trial"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    last = err.strip().splitlines()[-1]
    assert child.returncode == 130
    assert "Traceback" not in err
    assert last.startswith("modalign: interrupted; what was tried and trained is kept in ")
    assert last.endswith("run the same command again to go on")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def model_of(folder: Path) -> bytes:
    return (folder / RunFile.WEIGHTS).read_bytes()


def test_a_finished_run_stays_whole_until_another_fit_in_its_folder_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scores, items and report went when the other fit began, and the model when that was killed."""
    a, b = arrays(tmp_path)
    align_arrays([a, b], tmp_path / "run", method="cca", dim=4)
    before = contents(tmp_path / "run")
    solve, calls = full.TransportCCA.solve, []

    def stopped(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return solve(self, *given, **named)

    monkeypatch.setattr(full.TransportCCA, "solve", stopped)
    with pytest.raises(KeyboardInterrupt) as stop:
        align_arrays([a, b], tmp_path / "run", method="full", dim=4)
    assert any("is kept in" in said for said in stop.value.__notes__)
    now = contents(tmp_path / "run")
    assert {name: now[name] for name in before} == before
    assert set(now) - set(before) == {".next/fit.json", ".next/trials.jsonl"}
    assert align_arrays([a, b], tmp_path / "run", method="cca", dim=4).result is not None  # the former one once more
    assert not (tmp_path / "run" / RunFile.NEXT).exists()
    for out in ("run", "anew"):
        align_arrays([a, b], tmp_path / out, method="full", dim=4)
    assert set(contents(tmp_path / "run")) == set(contents(tmp_path / "anew"))
    assert model_of(tmp_path / "run") == model_of(tmp_path / "anew")


def test_killed_while_a_new_fit_takes_the_place_of_another_the_next_call_ends_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = Views.from_arrays(a=torch.randn(60, 6), b=torch.randn(60, 5))
    table = {"name": "clip", "dim": 4, "steps": 3}  # it leaves a log
    fit({"name": "cca", "dim": 4}, x, None, tmp_path / "0")
    fit(table, x, None, tmp_path / "anew")
    replace, moved = Path.replace, 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return replace(self, target)

    while True:
        place, left = tmp_path / str(moved), min(moved, 1)  # a copy of the last one, and one file further
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Path, "replace", killed)
            fit(table, x, None, place)
            break
        moved += 1
        shutil.copytree(place, tmp_path / str(moved))
        model, _ = fit(table, x, None, place)
        assert model_of(place) == model_of(tmp_path / "anew")
        assert torch.equal(model.transform(x["a"], "a"), Model.load(tmp_path / "anew").transform(x["a"], "a"))
        assert set(contents(place)) == set(contents(tmp_path / "anew"))
    assert moved >= 4  # log, description, weights, and what says that it is done


def test_a_disk_without_room_for_the_model_keeps_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, solve, calls = Views.from_arrays(a=torch.randn(60, 6), b=torch.randn(60, 5)), full.TransportCCA.solve, []

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(given)
        return solve(self, *given, **named)

    def refused(self: Model, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(full.TransportCCA, "solve", counted)
    asked = ({"name": "full", "dim": 4, "trials": 4}, x, None, tmp_path)
    with monkeypatch.context() as disk:
        disk.setattr(Model, "save", refused)
        with pytest.raises(OSError, match="No space"):
            fit(*asked)
    first, tried = len(calls), read_jsonl(tmp_path / RunFile.TRIALS)
    model, _ = fit(*asked)
    assert tried
    assert len(calls) - first < first  # the best once more, and the fit to all pairs
    assert not (tmp_path / RunFile.TRIALS).exists()
    assert torch.equal(Model.load(tmp_path).transform(x.data["a"], "a"), model.transform(x.data["a"], "a"))


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("noted", ["3 of 8 trials are kept", ""])
def test_whoever_ends_a_command_is_told_what_is_kept(
    sent: signal.Signals, noted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and a scheduler's SIGTERM alike; the code is 128 and the signal, as shells have it."""

    def stop(*given: Any, **more: Any) -> None:
        with kept(lambda: noted) if noted else nullcontext():
            os.kill(os.getpid(), sent)
            time.sleep(10)

    monkeypatch.setattr("modalign.registry.describe", stop)
    with pytest.raises(SystemExit) as ended:
        cli.main(["list"])
    assert ended.value.code == 128 + sent
    said = noted or "files that were written are whole"
    assert capsys.readouterr().err == f"modalign: interrupted; {said}; run the same command again to go on\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_pause_grows_with_what_saving_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("modalign.progress.time.monotonic", lambda: now[0])
    pause = Pause()
    now[0] = 4.0
    assert not pause.over()
    now[0] = 6.0
    assert pause.over()
    now[0] = 8.0
    longer = Pause(pause.spent())
    now[0] = 27.0
    assert not longer.over()
    now[0] = 28.5
    assert longer.over()


def test_estimates_leave_out_what_was_there_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("modalign.progress.time.monotonic", lambda: now[0])
    lines = _Lines()
    lines(900, 1000, "encoding")
    now[0] = 10.0
    lines(910, 1000, "encoding")
    assert "910 of 1000 (10 s, about 90 s left)" in capsys.readouterr().err


def test_work_that_comes_again_has_a_clock_of_its_own_and_its_end_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("modalign.progress.time.monotonic", lambda: now[0])
    lines = _Lines()
    for second, done in ((0, 0), (10, 4), (11, 4), (30, 0), (40, 2), (41, 4)):
        now[0] = float(second)
        lines(done, 4, "rounds")
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "rounds: 0 of 4 (0 s)", "rounds: 4 of 4 (10 s)",
        "rounds: 0 of 4 (0 s)", "rounds: 2 of 4 (10 s, about 10 s left)", "rounds: 4 of 4 (11 s)",
    ]  # fmt: skip


def test_kept_leaves_other_errors_alone() -> None:
    with pytest.raises(ValueError, match="x") as found, kept(lambda: "3 of 8"):
        raise ValueError("x")
    assert not hasattr(found.value, "__notes__")


def nap(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def gone(pid: int, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_processes_end_at_once_with_an_interrupted_owner() -> None:
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Workers(1) as pool:  # noqa: PT012  it must come inside
        pid = pool.submit(nap, 0).result()
        pool.submit(nap, 600)
        raise KeyboardInterrupt
    assert gone(pid)
    assert time.monotonic() - begun < 300


ORPHAN = """
import sys, time
sys.path.insert(0, {tests!r})
from modalign.bench.workers import Workers
if __name__ == "__main__":
    with Workers(1) as pool:
        print(pool.submit(time.sleep, 0).result(), next(iter(pool.pool._processes)), flush=True)
        time.sleep(600)
"""


def test_processes_end_with_an_owner_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(ORPHAN.format(tests=str(tmp_path)))
    owner = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline().split()[1])
    owner.kill()
    owner.wait()
    assert gone(pid)


def test_a_process_that_finds_the_fit_done_has_had_as_many_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns are numbered: one that were skipped would let a process read what the first has not written yet."""
    turns: list[str] = []

    @contextmanager
    def counted() -> Iterator[None]:
        turns.append("taken")
        yield

    monkeypatch.setattr(launch, "in_turn", counted)
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    views = Views.from_arrays(a=x, b=x[:, :4])
    for seconds in (fit({"name": "cca"}, views, None, tmp_path)[1] for _ in range(2)):
        assert seconds >= 0
        assert turns == ["taken"]
        turns.clear()
