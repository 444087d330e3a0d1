"""Captions and pictures that stand for several things are told, before anything is trained on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from modalign.cli import main
from modalign.data.manifest import Manifest
from modalign.diagnosis.doubles import bare, doubles


def captions(*texts: str, splits: tuple[str, ...] = ()) -> Manifest:
    rows = [{"group": i, "modality": "text", "text": t} for i, t in enumerate(texts)]
    for row, split in zip(rows, splits, strict=False):
        row["split"] = split
    return Manifest.from_rows(rows)


def test_one_sentence_for_many_files_is_told_with_its_count() -> None:
    told = doubles(captions(*["Clip art by a maker."] * 5, "a cat", "a dog"))
    assert told == ["equal captions: 5 of 7 groups share one with others: 5 'clip art by a maker'"]


def test_captions_that_differ_in_numbers_and_order_are_nearly_equal() -> None:
    assert bare("Flower, red (2)") == bare("red flower 17")
    told = doubles(captions("red flower 1", "flower, red", "a house"))
    assert told == [
        "near-duplicate captions: 2 of 3 groups share one with others in all but numbers and order: 2 'flower red'"
    ]


def test_five_captions_of_one_photo_are_no_doubles() -> None:
    rows = [{"group": 0, "modality": "text", "text": "a dog"}] * 3
    assert doubles(Manifest.from_rows(rows)) == []


def test_what_is_in_two_splits_is_told(tmp_path: Path) -> None:
    for i, name in enumerate(("a.png", "b.jpg", "c.png")):
        picture = Image.new("RGB", (64, 64), (30, 60 * i, 200) if i == 2 else (200, 60, 30))
        ImageDraw.Draw(picture).ellipse((8, 8, 20 + 20 * (i == 2), 50), fill=(255, 255, 0))
        picture.save(tmp_path / name)
    rows = [
        {"group": i, "modality": "image", "uri": str(tmp_path / name), "split": split}
        for i, (name, split) in enumerate((("a.png", "train"), ("b.jpg", "test"), ("c.png", "test")))
    ]
    (line,) = doubles(Manifest.from_rows(rows))
    assert line.startswith(
        "across splits: nearly equal pictures: 1 sets, 1 across splits: a.png (train) = b.jpg (test)"
    )
    assert doubles(Manifest.from_rows(rows), near=False) == []
    (line,) = doubles(captions("One.", "one", splits=("train", "test")))[1:]
    assert line.startswith("across splits: equal captions: 1 sets, 1 across splits")


def test_the_command_diagnoses_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"thing number {i} {'xyz'[i % 3] * (i % 7)}" for i in range(60)]
    lines = ["group,modality,text"]
    lines += [f"{i},words,{n}" for i, n in enumerate(names)] + [f"{i},title,{n} again" for i, n in enumerate(names)]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    pytest.importorskip("tokenizers")
    main(["embed", "table", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "store")])
    capsys.readouterr()
    main(["diagnose", str(tmp_path / "store"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["modalities"]) == {"words", "title"}
    assert any(line.startswith("near-duplicate captions") for line in found["doubles"])
    with pytest.raises(SystemExit):
        main(["diagnose", str(tmp_path / "store"), "--pairs", str(tmp_path / "mine.csv")])
    assert "is a store, which knows what belongs together" in capsys.readouterr().err
