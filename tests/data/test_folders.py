"""Plain folders in three layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.folders import folders
from modalign.errors import ModalignError

LFS = "version https://git-lfs.github.com/spec/v1\n"


def test_one_folder_per_modality(tree: Callable[..., Path]) -> None:
    files = {
        "Photos/a.jpg": "x", "Photos/sub/b.png": "x", "sounds/a.wav": "x", "captions/a.txt": 'He said "hi"\nleft\n',
        "captions/sub/b.txt": LFS, "depth/a.png": "x", "notes.md": "x", ".hidden/c.jpg": "x",
    }  # fmt: skip
    made = folders(tree(files))
    groups = {(r.group, r.modality) for r in made}
    assert groups == {(0, "image"), (0, "audio"), (0, "text"), (0, "depth"), (1, "image")}
    assert {(x.what, x.reason.partition(",")[0], x.places) for x in made.left_out} == {
        ("files", "of no known kind (.md)", ("notes.md",)),
        ("texts", "text is a Git LFS pointer", ("b.txt",)),
    }
    assert [t for t in made.text if t] == ['He said "hi"\nleft']
    assert [t for t in folders(tree(files), lines=True).text if t] == ['He said "hi"', "left"]


def test_flat_and_names_as_texts(tree: Callable[..., Path]) -> None:
    files = {"black_cat_image.jpg": "x", "black_cat_audio.wav": "x", "car.jpg": "x", "car.wav": "x"}
    made = folders(tree(files), names_as_text=True)
    assert Counter(made.group.tolist()) == {0: 3, 1: 3}  # type: ignore[union-attr]
    assert [t for t in made.text if t] == ["black cat", "car"]


def test_classes_in_splits(tree: Callable[..., Path]) -> None:
    files = {"train/dog/1.jpg": "x", "train/a_cat/1.jpg": "x", "val/dog/1.jpg": "x", "val/dog/readme.txt": "x"}
    made = folders(tree(files))
    assert [(r.group, r.text, r.split, r.extra["label"]) for r in made if r.text] == [
        (0, "a cat", "train", 0), (1, "dog", "train", 1), (2, "dog", "val", 1)
    ]  # fmt: skip
    assert len(folders(tree(files), split="validation")) == 2
    assert [x.places for x in made.left_out] == [("readme.txt",)]


def test_same_name_in_two_splits_is_two_things(tree: Callable[..., Path]) -> None:
    made = folders(tree({"train/images/1.jpg": "x", "test/images/1.jpg": "x", "test/texts/1.txt": "a"}))
    assert len(made.groups()) == 2


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="no rows"):
        folders(tmp_path)
    with pytest.raises(ModalignError, match="needs a folder"):
        folders(tmp_path / "no")


@pytest.mark.data
def test_real_triples(external_data: Path) -> None:
    made = folders(external_data / "imagebind_assets", names_as_text=True)
    assert Counter(made.modality_names) == {"image": 3, "audio": 3, "text": 3}
    assert len(made.groups()) == 3
    assert sorted(t for t in made.text if t) == ["bird", "car", "dog"]
