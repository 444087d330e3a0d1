"""Rows under construction: groups, splits, texts, missing files."""

from __future__ import annotations

from pathlib import Path

import pytest

from modalign.data.rows import Rows, split_name
from modalign.errors import ModalignError


def test_split_names_are_common() -> None:
    names = ["training", "dev", "validation", "evaluation", " Test ", "fold1", ""]
    assert [split_name(n) for n in names] == ["train", "val", "val", "test", "test", "fold1", ""]


def test_groups_texts_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    rows = Rows("mine", {"licence": "CC0"}, "drop")
    for key, name in (("k1", "a.jpg"), ("k2", "b.jpg"), ("k1", "a.jpg")):
        rows.file(rows.group(key), "image", tmp_path / name, "train", number=1)
    for text in ("  words\nmore ", " ", "", None, float("nan")):
        rows.text(rows.group("k2"), text, "test")
    made = rows.manifest()
    assert [(r.group, r.modality, r.text, r.split) for r in made] == [
        (0, "image", None, "train"), (0, "image", None, "train"), (1, "text", "words\nmore", "test")
    ]  # fmt: skip
    assert made.meta == {"licence": "CC0"}
    assert made.left_out[0].line == "1 file left out, not there: b.jpg"
    assert sum(x.count for x in made.left_out if x.what == "texts") == 4
    assert len(rows.manifest("training")) == 2


def test_unknown_split_and_no_rows_are_clear(tmp_path: Path) -> None:
    rows = Rows("mine", {}, "drop")
    with pytest.raises(ModalignError, match="'mine' has no rows"):
        rows.manifest()
    rows.text(0, "a", "train")
    with pytest.raises(ModalignError, match="did you mean 'train'"):
        rows.manifest("trian")
    lost = Rows("mine", {}, "drop")
    lost.file(0, "image", tmp_path / "no.jpg")
    with pytest.raises(ModalignError, match=r"1 file left out, not there: no\.jpg"):
        lost.manifest()


def test_infinite_numbers_are_counted_and_missing_ones_are_none() -> None:
    rows = Rows("mine", {})
    for i, value in enumerate((1.5, float("inf"), float("nan"), float("-inf"), 2**64, "inf")):
        for modality in ("text", "narration"):
            rows.text(
                rows.group(i), f"word {i}", modality=modality, score=value, width=float("inf") if i == 4 else None
            )
    for _ in range(2):  # not once more for each manifest
        made = rows.manifest()
        assert made.extra["score"][::2] == (1.5, None, None, None, 2**64, "inf")
        assert [x.line for x in made.left_out] == [
            "2 values of 'score' left out, infinite: group 1, group 3", "1 value of 'width' left out, infinite: group 4"
        ]  # fmt: skip
