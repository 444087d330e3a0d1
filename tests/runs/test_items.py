"""What a run says of its items: words, pictures of its own, and files with their times for players."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from modalign.data.manifest import Manifest
from modalign.runs.items import Items, describe, draw_thumbnails, told_apart
from modalign.views import Views


def test_sounds_keep_their_file_and_times_and_pictures_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (300, 200), (200, 0, 0)).save(tmp_path / "red.png")
    monkeypatch.chdir(tmp_path)
    manifest = Manifest.from_rows(
        [
            {"group": 0, "modality": "image", "uri": "red.png"},
            {"group": 0, "modality": "audio", "uri": "bark.wav", "start": 1.5, "end": 2.5},
            {"group": 0, "modality": "text", "text": "a dog"},
        ],
        name="mine",
    )
    x = Views.from_arrays(image=torch.ones(1, 2), audio=torch.ones(1, 2), text=torch.ones(1, 2))
    x = Views(x.data, x.group, None, {m: torch.tensor([i]) for i, m in enumerate(("image", "audio", "text"))})
    items = {m: describe(x, m, "test", manifest) for m in x.modalities}
    draw_thumbnails(tmp_path / "run", items)
    assert items["text"] == [{"split": "test", "row": 2, "text": "a dog"}]
    sound = {"split": "test", "row": 1, "uri": str(tmp_path / "bark.wav"), "start": 1.5, "end": 2.5, "text": "bark"}
    assert items["audio"] == [sound]
    picture = items["image"][0].pop("picture")
    assert items["image"] == [{"split": "test", "row": 0}]
    with Image.open(tmp_path / "run" / picture) as small:
        assert max(small.size) == 96


def test_of_many_pictures_those_are_drawn_that_a_report_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modalign.runs.items.DRAWN", 3)
    for i in range(5):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    items = {"photo": [{"split": "test" if i % 2 else "train", "uri": str(tmp_path / f"{i}.png")} for i in range(5)]}
    assert draw_thumbnails(tmp_path / "run", items) == []
    assert [sorted(e) for e in items["photo"]] == [["split", "uri"], ["picture", "split"]] * 2 + [["split", "uri"]]


def test_links_of_items_are_kept(tmp_path: Path) -> None:
    links = {("clip", "a.b words"): torch.tensor([[0, 0, 2], [0, 1, 1]])}
    ids = {m: torch.arange(3) for m in ("clip", "a.b words")}
    z = Views({m: torch.eye(3) for m in ids}, ids, links)
    entries = {m: [{"split": s} for s in ("test", "dev", "test")] for m in ids}
    Items(z, entries).write(tmp_path)
    again = Items.read(tmp_path)
    assert torch.equal(again.z.paired("clip", "a.b words"), z.paired("clip", "a.b words"))
    assert again.split("test").z.paired("clip", "a.b words").tolist() == [[0, 0]]
    Items(Views(z.data, z.group), entries).write(tmp_path)
    assert Items.read(tmp_path).z.links is None


def test_columns_of_a_table_are_kept_and_the_id_of_its_rows_names_each_item_once(tmp_path: Path) -> None:
    facts = {"id": "i7", "year": 1990, "split": "other", "picture": "elsewhere.png"}
    rows = [
        {"group": 0, "modality": "image", "uri": str(tmp_path / "a.png"), "extra": facts},
        {"group": 0, "modality": "text", "text": "a dog", "extra": facts},
        {"group": 0, "modality": "text", "text": "one dog", "extra": facts},
        {"group": 1, "modality": "text", "text": "a cat", "extra": {"id": 8}},
    ]
    manifest = Manifest.from_rows(rows, name="mine")
    group = {"image": torch.tensor([0]), "text": torch.tensor([0, 0, 1])}
    row = {"image": torch.tensor([0]), "text": torch.tensor([1, 2, 3])}
    x = Views({m: torch.ones(len(own), 2) for m, own in group.items()}, group, None, row)
    said = {m: describe(x, m, "test", manifest) for m in x.modalities}
    assert said["text"][0] == {"split": "test", "row": 1, "text": "a dog", "id": "i7", "year": 1990}
    assert "picture" not in said["image"][0]
    ids = {m: [e["id"] for e in own] for m, own in told_apart(said).items()}
    assert ids == {"image": ["image/i7"], "text": ["text/i7/1", "text/i7/2", "text/8"]}
    alone = {"text": said["text"][1:]}
    assert told_apart(alone) is alone
