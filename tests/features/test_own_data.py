"""From a list of files to search, as docs/data.md tells it; and the real folders through the public command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from modalign import cli
from modalign.data.manifest import Manifest
from modalign.features.choose import entries_for, make_encoders
from modalign.features.embed import embed
from modalign.features.store import Store
from modalign.registry import make

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220)}
PITCHES = {"low": 150, "middle": 700, "high": 4000}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """36 things: a picture of one colour, a tone of one pitch, words that name both; four of them for the test."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(36):
        colour, pitch = list(COLOURS)[i % 3], list(PITCHES)[i // 3 % 3]
        pixels = np.clip(np.array(COLOURS[colour]) + rng.normal(size=(48, 48, 3)) * 12, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        wave = 0.4 * np.sin(2 * np.pi * PITCHES[pitch] * np.arange(8000) / 16000) + rng.normal(size=8000) * 0.01
        soundfile.write(tmp_path / f"{i}.wav", wave, 16000)
        split = "test" if i >= 27 else "train"
        rows.append([f"{i}.png", f"{i}.wav", f"a {colour} square and a {pitch} tone", split])
    rows[3][1] = "gone.wav"
    (tmp_path / "5.png").write_bytes(b"<html>not found")
    rows[7][0] = ""  # this thing has no picture
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["photo", "sound", "caption", "split"], *rows])
    return path


def test_a_list_of_files_becomes_a_store_and_its_faults_are_named(
    listing: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = call(capsys, "embed", "table", listing, "--out", tmp_path / "store", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["items"] == {"image": 34, "audio": 35, "text": 36}
    assert sorted(Path(place).name for f in result["failures"] for place in f["places"]) == ["5.png", "gone.wav"]
    code, out, _ = call(capsys, "embed", "table", listing, "--out", tmp_path / "store")
    assert code == 0
    assert "1 item of 'audio' left out, file not found" in out
    assert "gone.wav" in out
    code, out, err = call(capsys, "embed", "table", listing, "--out", tmp_path / "few", "--set", "missing=drop",
                          "--limit", 6, "--encoder", "audio=logmel,bands=20", "--json")  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["items"] == {"image": 5, "audio": 5, "text": 6}
    for wrong in (["--encoder", "audio=minilm"], ["--encoder", "smell=minilm"], ["--encoder", "audio=logmel,bands"],
                  ["--set", "no_such=1"]):  # fmt: skip
        code, out, err = call(capsys, "embed", "table", listing, "--out", tmp_path / "bad", *wrong)
        assert code == 2
        assert err.strip().count("\n") == 0


def test_from_a_list_of_files_to_search(listing: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nname = "table"\nroot = "{listing}"\n'
        '[encoders]\ntext = "minilm"\nimage = "efficientnet-lite0"\naudio = "logmel"\n'
        '[method]\nname = "cca"\ndim = 8\n'
    )
    code, _, err = call(capsys, "train", tmp_path / "mine.toml")
    assert code == 0, err
    for words, modality, right in (
        ("a low tone", "audio", lambda i: i // 3 % 3 == 0),
        ("a red square", "image", lambda i: i % 3 == 0),
    ):
        code, out, err = call(capsys, "search", tmp_path / "run", words, "--to", modality, "-k", 3, "--json")
        assert code == 0, err
        names = [hit["name"] for hit in json.loads(out)["hits"]]
        assert len(names) == 3
        assert sum(right(int(name)) for name in names) >= 2, names


def test_a_store_trains(listing: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(capsys, "embed", "table", listing, "--out", tmp_path / "store")[0] == 0
    (tmp_path / "mine.toml").write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nstore = "{tmp_path / "store"}"\n[method]\nname = "cca"\ndim = 8\n'
    )
    code, _, err = call(capsys, "train", tmp_path / "mine.toml", "--json")
    assert code == 0, err
    assert (tmp_path / "run" / "report.html").exists()
    for query in (["a red square"], ["--image", str(tmp_path / "0.png")]):  # the store remembers its encoders
        code, out, err = call(capsys, "search", tmp_path / "run", *query, "--to", "image", "-k", 3, "--json")
        assert code == 0, err
        names = [hit["name"] for hit in json.loads(out)["hits"]]
        assert sum(int(name) % 3 == 0 for name in names) >= 2, names
    table = json.loads((tmp_path / "run" / "model.json").read_text())
    assert table["encoders"]["text"] == {"name": "minilm"}
    assert set(table["fingerprints"]) == {"text", "image", "audio"}


def test_half_precision_by_choice(listing: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    chosen = ("--encoder", "text=minilm,precision=float32", "--limit", 6, "--json")
    assert call(capsys, "embed", "table", listing, "--out", tmp_path / "full", *chosen)[0] == 0
    code, _, err = call(capsys, "embed", "table", listing, "--out", tmp_path / "half", "--half", *chosen)
    assert code == 0, err
    full, half = (Store.open(tmp_path / name) for name in ("full", "half"))
    assert half.entries["text"] == {"name": "minilm", "precision": "float32"}
    assert half.fingerprint != full.fingerprint
    for m, rows in half.views().data.items():
        assert rows.dtype == torch.float32
        assert torch.equal(rows, full.views()[m].half().float())


# ------------------------------------------------------------------ real folders


def test_the_four_clips_from_files_to_a_run(
    external_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Frames and sound tracks of the four videos, aligned with their texts. Four clips show the way, no more."""
    texts = {"1": "dog barking", "2": "dog howling", "3": "red cat meowing", "4": "black cat meowing"}
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    code, out, err = call(
        capsys, "embed", "clips", external_data / "av_clips_gram", "--set", f"texts={tmp_path / 'texts.json'}",
        "--out", tmp_path / "store", "--encoder", "video=frames,frames=4", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["items"] == {"video": 4, "audio": 4, "text": 4}
    assert json.loads(out)["failures"] == []
    (tmp_path / "clips.toml").write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nstore = "{tmp_path / "store"}"\n[method]\nname = "cca"\ndim = 3\n'
    )
    code, out, err = call(capsys, "train", tmp_path / "clips.toml", "--json")
    assert code == 0, err
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "folder", "limit", "items", "failures"),
    [
        ("esc50", "esc50_cc0", 8, {"audio": 8, "text": 8}, 0),
        ("folders", "imagebind_assets", 9, {"image": 3, "audio": 3}, 0),
        ("clotho", "clotho", 4, {"audio": 0, "text": 20}, 4),  # of the sounds, two are at hand, further on
    ],
)
def test_real_folders_through_the_public_command(
    external_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, folder: str, limit: int,
    items: dict[str, int], failures: int,
) -> None:  # fmt: skip
    code, out, err = call(
        capsys, "embed", name, external_data / folder, "--out", tmp_path / "store", "--limit", limit, "--json"
    )
    assert code == 0, err
    result = json.loads(out)
    assert result["items"] == items
    assert sum(f["count"] for f in result["failures"] if f["what"].startswith("items")) == failures


def of_files(manifest: Manifest, modality: str) -> Manifest:
    return manifest.where(lambda row: row.modality == modality)


def test_the_pictures_of_coco_and_the_sounds_of_clotho(external_data: Path, tmp_path: Path) -> None:
    pictures = of_files(make("dataset", "coco", root=str(external_data / "coco"), split="val", missing="drop"), "image")
    assert len(pictures) == 61
    few = pictures.where(lambda row: row.group in set(pictures.groups()[:4].tolist()))
    store = embed(few, make_encoders(few, entries_for(few, {})), tmp_path / "coco")
    assert store.views().data["image"].shape == (4, 1280)
    sounds = of_files(make("dataset", "clotho", root=str(external_data / "clotho"), missing="drop"), "audio")
    store = embed(sounds, make_encoders(sounds, entries_for(sounds, {})), tmp_path / "clotho")
    assert store.views().data["audio"].shape == (2, 384)
    assert store.failures == ()
