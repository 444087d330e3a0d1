"""MSR-VTT: the 1k-A protocol and the official split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.msrvtt import msrvtt
from modalign.errors import ModalignError

TEST = 'key,vid_key,video_id,sentence\nret0,msr9,video9,"a person, connecting"\n'
SENTENCES = {
    "videos": [{"video_id": f"video{i}", "split": s} for i, s in ((0, "train"), (1, "validate"), (9, "test"))],
    "sentences": [{"video_id": f"video{i % 2 * 9}", "caption": f"c{i}"} for i in range(6)],
}
FILES = {"MSRVTT_JSFUSION_test.csv": TEST, "MSRVTT_train.9k.csv": "video_id\nvideo0\nvideo1\n"}


def test_one_thousand(tree: Callable[..., Path]) -> None:
    root = tree({**FILES, "videos/all/video9.mp4": "x"})
    made = msrvtt(root)
    assert [(r.group, r.split, r.text) for r in made if r.text] == [(2, "test", "a person, connecting")]
    assert Counter(made.splits) == {"train": 2, "test": 2}
    assert made.uri[2] == str(root / "videos" / "all" / "video9.mp4")
    tree({"MSRVTT_data.json": SENTENCES})
    assert Counter(r.split for r in msrvtt(root) if r.text) == {"train": 3, "test": 1}


def test_official_split(tree: Callable[..., Path]) -> None:
    root = tree({"MSRVTT_data.json": SENTENCES})
    made = msrvtt(root, protocol="full")
    assert Counter(r.split for r in made if r.uri) == {"train": 1, "val": 1, "test": 1}
    assert Counter(r.split for r in made if r.text) == {"train": 3, "test": 3}
    with pytest.raises(ModalignError, match="no MSR-VTT test list"):
        msrvtt(root)


@pytest.mark.parametrize(
    ("files", "settings", "said"),
    [
        ({**FILES, "MSRVTT_train.9k.csv": "video_id\nvideo9\n"}, {}, "has 1 clips of the test list .*video9"),
        (FILES, {"protocol": "full"}, "needs a file of sentences"),
        ({"MSRVTT_data.json": {"videos": [], "sentences": SENTENCES["sentences"]}}, {}, "of 2 unknown clips: video0"),
        ({"MSRVTT_data.json": {"videos": [{}], "sentences": []}}, {}, "an entry has no 'split'"),
        ({"MSRVTT_JSFUSION_test.csv": "video,sentence\n"}, {}, "no column video_id"),
    ],
)
def test_damage_is_one_clear_line(
    tree: Callable[..., Path], files: dict[str, object], settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ModalignError, match=said):
        msrvtt(tree(files), **settings)


@pytest.mark.data
def test_real_lists(external_data: Path) -> None:
    for train, count in (("9k", 9000), ("7k", 7010)):
        made = msrvtt(external_data / "msrvtt_meta", train=train)  # type: ignore[arg-type]
        assert Counter(r.split for r in made if r.uri) == {"train": count, "test": 1000}
        assert len(made.rows("text")) == 1000
    assert len(msrvtt(external_data / "howto100m_meta").rows("video")) == 1000
