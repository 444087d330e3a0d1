"""The suites for users' own copies, run end to end on small copies: genuine lists and the media that are at hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.cli import main
from modalign.runs import Run

pytestmark = pytest.mark.slow


def audioset(data: Path, copy: Path) -> str:
    """The genuine lists; sounds of ESC-50 under the ids of some clips. All other clips are missing, as usual."""
    (copy / "audio").mkdir(parents=True)
    sounds = iter(sorted((data / "esc50_cc0" / "audio").glob("*.wav")))
    for name in ("class_labels_indices.csv", "ontology.json"):
        shutil.copy(data / "audioset_meta" / name, copy / name)
    for name, clips in (("balanced_train_segments.csv", 60), ("eval_segments.csv", 30)):
        shutil.copy(data / "audioset_meta" / name, copy / name)
        ids = [ln.split(", ")[0] for ln in (copy / name).read_text().splitlines() if not ln.startswith("#")]
        for clip in ids[:clips]:
            shutil.copy(next(sounds), copy / "audio" / f"Y{clip}.wav")
    return "complete"


def howto100m(data: Path, copy: Path) -> str:
    """The genuine narrations of 24 videos, their first segments cut to the four short videos at hand."""
    (copy / "videos").mkdir(parents=True)
    captions = json.loads((data / "howto100m_like" / "caption.json").read_text())
    videos = sorted((data / "av_clips_gram" / "videos").iterdir())
    few = {}
    for number, (name, words) in enumerate(list(captions.items())[:24]):
        few[name] = {"text": words["text"][:1], "start": [0.0], "end": [6.0]}
        shutil.copy(videos[number % len(videos)], copy / "videos" / f"{name}.mp4")
    (copy / "caption.json").write_text(json.dumps(few))
    return "complete-test30"


def coco(data: Path, copy: Path) -> str:
    """The photos at hand with their genuine captions, in the layout of Karpathy's list."""
    shutil.copytree(data / "coco", copy)
    captions: dict[int, list[dict[str, object]]] = {}
    for a in json.loads((copy / "annotations" / "captions_val2017.json").read_text())["annotations"]:
        captions.setdefault(a["image_id"], []).append({"raw": a["caption"], "sentid": a["id"]})
    images = []
    for number, path in enumerate(sorted((copy / "val2017").glob("*.jpg"))):
        split = ("test", "val", "train")[number % 3]
        images.append(
            {"filepath": "val2017", "filename": path.name, "cocoid": int(path.stem), "imgid": number, "split": split}
            | {"sentences": captions[int(path.stem)]}
        )
    (copy / "annotations" / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    return "complete"


@pytest.mark.parametrize("make", [coco, audioset, howto100m], ids=lambda f: f.__name__)
def test_the_suite_runs_on_a_copy(
    make: Callable[[Path, Path], str],
    external_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = make.__name__
    setting = make(external_data, tmp_path / "data" / name)
    monkeypatch.setenv("MODALIGN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    main(
        ["bench", name, "--out", str(tmp_path / "out"), "--setting", setting, "--seed", "0",
         "--method", "cca", "clip", "full", "--set", "trials=1", "--workers", "1", "--json"]
    )  # fmt: skip
    assert json.loads(capsys.readouterr().out)
    cells = sorted((tmp_path / "out" / "cells").glob("*/*/seed-0/scores.json"))
    assert [p.parts[-3] for p in cells] == ["cca", "clip", "full"]
    assert all(0 <= _recall(p) <= 1 for p in cells)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def _recall(path: Path) -> float:
    result = Run(path.parent).result
    assert result is not None
    return next(iter(result.methods.values())).scores["mean_recall"].value
