"""AudioCaps: rows are captions, not clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalign.data.audiocaps import audiocaps
from modalign.errors import ModalignError

HEAD = "audiocap_id,youtube_id,start_time,caption\r\n"
TRAIN = HEAD + '1,-abcdefghij,30,"Wind blows, insects sing"\r\n2,bbcdefghijk,0,A man talks\r\n'
TEST = HEAD + "".join(f"{10 + i},cbcdefghijk,20,caption {i}\r\n" for i in range(5)) + "20,cbcdefghijk,40,another\r\n"


def test_five_rows_are_one_clip_whatever_the_line_ends(tree: Callable[..., Path]) -> None:
    for train, test in ((TRAIN, TEST), (TRAIN.replace("\r\n", "\n"), TEST.replace("\r\n", "\n"))):
        made = audiocaps(tree({"train.csv": train, "test.csv": test}))
        assert Counter(zip(made.modality_names, made.splits, strict=True)) == {
            ("audio", "train"): 2, ("text", "train"): 2, ("audio", "test"): 2, ("text", "test"): 6
        }  # fmt: skip
        assert not any("\r" in t for t in made.text if t)
        assert made.group.tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3]  # type: ignore[union-attr]


def test_names_of_files_and_whole_recordings(tree: Callable[..., Path]) -> None:
    root = tree({"train.csv": TRAIN, "wav/Y-abcdefghij.wav": "x", "wav/2.flac": "x"})
    made = audiocaps(root, split="train", whole=True)
    assert [made[r].uri for r in made.rows("audio")] == [str(root / "wav" / n) for n in ("Y-abcdefghij.wav", "2.flac")]
    assert (made[0].start, made[0].end) == (30.0, 40.0)


def test_versions(tree: Callable[..., Path]) -> None:
    root = tree({"test.csv": TEST, "test_v2.csv": TEST.replace("caption", "words").replace("words\r", "caption\r", 1)})
    assert audiocaps(root, version="v2").text[1] == "words 0"
    assert audiocaps(root, captions="test_v2.csv", split="test").text[1] == "words 0"
    assert audiocaps(root).text[1] == "caption 0"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"train.csv": TRAIN, "test.csv": HEAD + "5,-abcdefghij,30,x\r\n"},
            r"1 captions .* two splits \(-abcdefghij\)",
        ),
        ({"train.csv": HEAD + "1,-abcdefghij,soon,x\r\n"}, "line 2: start_time is 'soon'"),
        ({"train.csv": "id,caption\n"}, "no column audiocap_id, youtube_id"),
        ({"train.csv": HEAD + "3,xx"}, r"1 row .*\(lines 2\)"),
        ({}, "no AudioCaps list"),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], files: dict[str, str], said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        audiocaps(tree(files))


@pytest.mark.data
@pytest.mark.slow
def test_real_lists(external_data: Path) -> None:
    root = external_data / "audiocaps_meta"
    made = audiocaps(root)
    counts = Counter(zip(made.modality_names, made.splits, strict=True))
    assert counts == {
        ("audio", "train"): 49838, ("text", "train"): 49838, ("audio", "val"): 495, ("text", "val"): 495 * 5,
        ("audio", "test"): 975, ("text", "test"): 975 * 5,
    }  # fmt: skip
    original = audiocaps(root, captions="test_v1_original.csv", split="test")  # CRLF
    assert original.text == made.split("test").text
    newer = audiocaps(root, version="v2", split="test")
    assert len(newer.rows("audio")) == 975
    assert set(Counter(np.asarray(newer.group)[newer.rows("text")].tolist()).values()) == {5}
