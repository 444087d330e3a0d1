"""YouCook2: official annotations, the list whose end comes first, and frames with narration."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.youcook2 import youcook2
from modalign.errors import ModalignError

DATABASE = {
    "database": {
        "-abc": {"subset": "training", "recipe_type": "224", "annotations": [
            {"id": 0, "segment": [10, 20], "sentence": "cut it"},
            {"id": 1, "segment": [20, 31.5], "sentence": "fry it"}]},
        "def": {"subset": "validation", "recipe_type": "3", "annotations": [{"segment": [1, 2], "sentence": "eat it"}]},
    }
}  # fmt: skip
ENDS = 'end,start,task,text,video_id\n60,47,226,"pick, then wash",xHr8X2Wpmno\n89,67,226,mix,xHr8X2Wpmno\n'
FRAMES = (
    "file,video_id,split,task,segment_index,start,end,text,asr\n"
    "a0.jpg,a,training,1,0,,,cut,\n"
    'b0.jpg,b,validation,2,0,12,40,"mix, stir","so now, we mix"\n'
)


def test_annotations(tree: Callable[..., Path]) -> None:
    root = tree({"youcookii_annotations_trainval.json": DATABASE, "raw_videos/training/224/-abc.mkv": "x"})
    made = youcook2(root)
    assert [(r.group, r.start, r.end, r.split) for r in made if r.uri] == [
        (0, 10.0, 20.0, "train"), (1, 20.0, 31.5, "train"), (2, 1.0, 2.0, "val")
    ]  # fmt: skip
    assert made.uri[0] == str(root / "raw_videos" / "training" / "224" / "-abc.mkv")
    assert [t for t in made.text if t] == ["cut it", "fry it", "eat it"]
    assert len(youcook2(root, split="validation")) == 2


def test_the_end_comes_first(tree: Callable[..., Path]) -> None:
    made = youcook2(tree({"validation_youcook.csv": ENDS}))
    assert [(r.start, r.end) for r in made if r.uri] == [(47.0, 60.0), (67.0, 89.0)]
    assert made.text[1] == "pick, then wash"
    assert set(made.splits) == {"val"}


def test_frames_have_a_third_modality_where_it_is_known(tree: Callable[..., Path]) -> None:
    root = tree({"pairs.csv": FRAMES, "frames/a0.jpg": "x", "validation_youcook.csv": ENDS})
    made = youcook2(root)
    assert [(r.group, r.modality) for r in made] == [
        (0, "image"), (0, "text"), (1, "image"), (1, "text"), (1, "narration")
    ]  # fmt: skip
    assert made[4].text == "so now, we mix"
    assert made[3].extra == {"video": "b", "task": "2", "clip_start": 12.0, "clip_end": 40.0}
    assert made[0].extra == {"video": "a", "task": "1"}
    assert [x.line for x in youcook2(root, missing="drop").left_out] == ["1 file left out, not there: b0.jpg"]
    assert youcook2(root, layout="csv").modalities == ("video", "text")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"validation_youcook.csv": "start,end,text\n"}, "no column task, video_id"),
        ({"pairs.csv": FRAMES.replace("b0.jpg,b,", "b0.jpg,a,")}, "video a in two splits"),
        ({"pairs.csv": FRAMES.replace("b0.jpg", "../b0.jpg")}, "refused"),
        ({"pairs.csv": FRAMES.replace("12,40", "twelve,40")}, "line 3: start is 'twelve'"),
        ({"youcookii_annotations_trainval.json": {"database": {"a": {}}}}, "does not hold YouCook2 annotations"),
        ({}, "no YouCook2 list"),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], files: dict[str, object], said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        youcook2(tree(files))


@pytest.mark.data
def test_real_lists(external_data: Path) -> None:
    made = youcook2(external_data / "youcook2_frames")
    assert Counter(made.modality_names) == {"image": 1800, "text": 1800, "narration": 381}
    homes = defaultdict(set)
    for r in made:
        homes[r.extra["video"]].add(r.split)
    assert len(homes) == 600
    assert all(len(h) == 1 for h in homes.values())
    assert all(Path(str(u)).is_file() for u in made.uri if u)
    steps = youcook2(external_data / "howto100m_meta")
    assert (len(steps.groups()), len(set(steps.extra["video"]))) == (3350, 436)
