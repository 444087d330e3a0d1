"""Hugging Face data sets, with the library and without it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modalign.data.hf import hf
from modalign.errors import MissingExtraError, ModalignError


class Plain:
    """What hf asks of a data set, and no more."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.column_names = list(rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.rows[i]


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (2, 3), (255, 0, 0)).save(out, format="PNG")
    return out.getvalue()


def test_without_the_library(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    rows = [
        {"image": str(tmp_path / "a.jpg"), "caption": ["one", "two"], "id": "x"},
        {"image": {"path": str(tmp_path / "a.jpg"), "bytes": None}, "caption": "three", "id": "y"},
        {"image": None, "caption": None, "id": "x"},
        {"image": {"path": None, "bytes": _png()}, "caption": "four", "id": "x"},
    ]
    for data in (Plain(rows), rows):
        made = hf(data, files=str(tmp_path / "files"), group="id")
        assert [(r.group, r.modality, r.text) for r in made] == [
            (0, "image", None), (0, "text", "one"), (0, "text", "two"), (1, "image", None), (1, "text", "three"),
            (0, "image", None), (0, "text", "four"),
        ]  # fmt: skip
    assert Path(str(made.uri[5])).read_bytes() == _png()
    assert len(list((tmp_path / "files").iterdir())) == 1  # written once, under its hash


def test_decoded_pictures_and_sounds_are_written_without_loss(tmp_path: Path) -> None:
    sound = np.asarray([0.0, 0.1, -1.0, 1 / 3], np.float32)
    rows = [{"image": Image.open(io.BytesIO(_png())), "audio": {"array": sound, "sampling_rate": 16000, "path": None}}]
    made = hf({"validation": rows}, files=str(tmp_path))
    assert set(made.splits) == {"val"}
    picture, wav = (Path(str(u)) for u in made.uri)
    assert np.asarray(Image.open(picture)).tolist() == [[[255, 0, 0]] * 2] * 3
    raw = wav.read_bytes()
    assert (wav.suffix, raw[:4], int.from_bytes(raw[4:8], "little")) == (".wav", b"RIFF", len(raw) - 8)
    assert int.from_bytes(raw[24:28], "little") == 16000
    assert np.frombuffer(raw[-4 * len(sound) :], "<f4").tolist() == sound.tolist()


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        ([{"pixels": 1}], {}, "no column of a known name: its columns are pixels"),
        ([{"text": "a"}], {"columns": {"text": "words"}}, "no column words: its columns are text"),
        ([{"text": "a"}], {"group": "id"}, "no column 'id'"),
        ([{"text": 3}], {}, "row 0, column 'text': a text is expected, not int"),
        ([{"image": 3}], {}, "row 0, column 'image': a file, bytes or a picture is expected, not int"),
        ([{"image": b"x"}], {}, r"row 0, column 'image' lies inside the data set: say with files=FOLDER"),
        ([{"text": "a"}], {"split": "train"}, "unknown split"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(rows: list[Any], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        hf(rows, **settings)


def test_streams_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModalignError, match="a streamed data set has no row numbers"):
        hf(iter([{"text": "a"}]))
    with pytest.raises(ModalignError, match="needs a folder that save_to_disk wrote"):
        hf(tmp_path / "no")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"modalign\[data\]"):
        hf(tmp_path)


def test_with_the_library(tmp_path: Path) -> None:
    library = pytest.importorskip("datasets")
    features = library.Features(
        {
            "image": library.Image(),
            "caption": library.Sequence(library.Value("string")),
            "label": library.ClassLabel(names=["cat", "dog"]),
        }
    )
    rows = {"image": [{"path": None, "bytes": _png()}, None], "caption": [["a", "b"], []], "label": [1, 0]}
    data = library.Dataset.from_dict(rows, features=features)
    made = hf(data, files=str(tmp_path / "files"))
    assert [(r.group, r.modality, r.text) for r in made] == [(0, "image", None), (0, "text", "a"), (0, "text", "b")]
    assert Path(str(made.uri[0])).read_bytes() == _png()  # the bytes as they were, not decoded and encoded again
    named = hf(data, columns={"text": "label"})
    assert [r.text for r in named] == ["dog", "cat"]
    library.DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "saved"))
    saved = hf(tmp_path / "saved", split="test", files=str(tmp_path / "files"))
    assert [r.text for r in saved] == [None, "a", "b"]
    with pytest.raises(ModalignError, match="is not what save_to_disk wrote"):
        hf(tmp_path / "files")


def test_parquet_files_of_the_hub_are_read_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = library.Features({"image": library.Image(), "caption": library.Value("string")})
    for number, name in enumerate(
        ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "rest")
    ):
        rows = {"image": [{"path": None, "bytes": _png()}], "caption": [f"caption {number}"]}
        folder = tmp_path / "repository" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        library.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{name}.parquet")
    files = str(tmp_path / "files")
    made = hf(tmp_path / "repository", files=files)
    found = [(r.split, r.text) for r in made if r.modality == "text"]
    assert sorted(found) == [("", "caption 3"), ("train", "caption 0"), ("train", "caption 1"), ("val", "caption 2")]
    assert {Path(str(r.uri)).read_bytes() for r in made if r.modality == "image"} == {_png()}
    alone = hf(tmp_path / "repository" / "data" / "rest.parquet", files=files)
    assert [r.text for r in alone] == [None, "caption 3"]
    with pytest.raises(ModalignError, match=r"say with files=FOLDER \(from a shell: --set files=FOLDER\)"):
        hf(tmp_path / "repository")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModalignError, match=r"damaged\.parquet cannot be read as a data set"):
        hf(tmp_path / "damaged.parquet")
