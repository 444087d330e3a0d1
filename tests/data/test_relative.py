"""Folders that are given relative to the current one name the same files when it changes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from modalign.data.named import read_named


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "pictures" / "train").mkdir(parents=True)
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(picture, "png")
    for name, content in (("0.png", picture.getvalue()), ("0.txt", b"a thing")):
        (tmp_path / "pictures" / "train" / name).write_bytes(content)
        with tarfile.open(tmp_path / "parts" / "0.tar", "a") as shard:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    (tmp_path / "list.csv").write_text("image,caption\npictures/train/0.png,a thing\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "root", "start"),
    [
        ("webdataset", "parts", "."), ("webdataset", ".", "parts"), ("webdataset", "0.tar", "parts"),
        ("webdataset", "../parts", "pictures"), ("folders", "pictures", "."), ("folders", ".", "pictures"),
        ("table", "list.csv", "."), ("table", "../list.csv", "parts"),
    ],
)  # fmt: skip
def test_relative_roots_give_absolute_places(name: str, root: str, start: str, home: Path) -> None:
    os.chdir(home / start)
    rows = read_named(name, Path(root))
    places = [uri for uri in rows.uri if uri is not None]
    assert len(places) == 1
    assert all(os.path.isabs(uri) for uri in places)
    assert rows.text.count("a thing") == 1
