"""Folders of clips with sound files and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.check import check_files
from modalign.data.clips import clips
from modalign.errors import ModalignError

LONG = "-a_b_c_d_e__12.5_22"  # an id of 11 characters that holds underscores, then start and end


def test_ids_with_underscores_tell_video_and_times(tree: Callable[..., Path]) -> None:
    entries = [
        {"clip_id": LONG, "vast_cap": "a dog barks", "subtitle": "good dog", "split": "training"},
        {"clip_id": "missing____1_2", "desc": ["one", "two"]},
    ]
    made = clips(tree({f"videos/{LONG}.mkv": "x", f"audios/{LONG}.wav": "x", "annotations.json": entries}))
    first = [r for r in made if r.extra["clip"] == LONG]
    assert [(r.modality, r.text) for r in first] == [
        ("video", None), ("audio", None), ("text", "a dog barks"), ("narration", "good dog")
    ]  # fmt: skip
    assert {r.split for r in first} == {"train"}
    assert first[0].extra == {"clip": LONG, "video": "-a_b_c_d_e_", "clip_start": 12.5, "clip_end": 22.0}
    lost = [r for r in made if r.extra["clip"] != LONG]
    assert [(r.modality, r.text) for r in lost] == [("video", None), ("text", "one"), ("text", "two")]
    assert check_files(made).lines()[1] == "1 missing: missing____1_2.mp4"


@pytest.mark.parametrize(
    ("name", "content"),
    [("captions.csv", 'id,text\n1,"a, b"\n2,c\n'), ("texts.json", {"1": "a, b", "2": ["c"]})],
)
def test_names_that_start_with_their_kind(tree: Callable[..., Path], name: str, content: object) -> None:
    files = {"videos/video1.mp4": "x", "videos/video2.mp4": "x", "audios/audio1.mp3": "x", name: content}
    made = clips(tree(files))
    assert [(r.group, r.modality, r.text) for r in made] == [
        (0, "video", None), (0, "audio", None), (0, "text", "a, b"), (1, "video", None), (1, "text", "c")
    ]  # fmt: skip


def test_damage_is_one_clear_line(tree: Callable[..., Path]) -> None:
    root = tree({"videos/video1.mp4": "x", "bad.json": [{"text": "a"}], "one.csv": "id\n"})
    with pytest.raises(ModalignError, match=r"none of the 1 texts .*texts of 7; clips 1"):
        clips(root, texts={"7": "a"})
    with pytest.raises(ModalignError, match="needs a clip_id or video_id"):
        clips(root, texts=root / "bad.json")
    with pytest.raises(ModalignError, match="need two columns"):
        clips(root, texts=root / "one.csv")
    with pytest.raises(ModalignError, match="no rows"):
        clips(root / "videos")


@pytest.mark.data
def test_real_clips(external_data: Path) -> None:
    words = {"1": "dog barking", "2": "dog howling", "3": "red cat meowing", "4": "black cat meowing"}
    made = clips(external_data / "av_clips_gram", texts=words)  # type: ignore[arg-type]
    assert Counter(made.modality_names) == {"video": 4, "audio": 4, "text": 4}
    assert [r.text for r in made if r.text] == list(words.values())
    found = check_files(made)
    assert found.usable == 8
    assert {Path(n).name: k for n, k in found.mislabelled.items()} == {"audio1.mp3": ".mp4", "audio3.mp3": ".mp4"}
