"""HowTo100M: three layouts of captions, pointers in place of lists, videos of three extensions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from modalign.data.howto100m import howto100m
from modalign.data.links import positive_links
from modalign.errors import ModalignError

CAPTIONS = {
    "-dh_uGahzYo": {"start": [0.0, 2.0, 9.0, 9.5], "end": [3.0, 5.0, 8.0, 12.0], "text": ["peel", "wash", "no", ""]},
    "abc.efghijk": {"start": [1], "end": [4], "text": ["stir, then \"rest\""]},
    "empty______": {"start": [], "end": [], "text": []},
}  # fmt: skip
LIST = "video_id,category_1,category_2,rank,task_id\n-dh_uGahzYo,Cars & Other Vehicles,Motorcycles,27,52907\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:7da8\nsize 64791348\n"


@pytest.mark.parametrize("name", ["caption.json", "raw_caption.json"])
def test_segments_of_json(tree: Callable[..., Path], name: str) -> None:
    root = tree({name: CAPTIONS, "videos/-dh_uGahzYo.webm": "x", "HowTo100M_v1.csv": LIST})
    made = howto100m(root)
    assert [(r.group, r.text) for r in made if r.text] == [(0, "peel"), (1, "wash"), (2, 'stir, then "rest"')]
    assert [(r.start, r.end) for r in made if r.uri] == [(0.0, 2.0), (2.0, 5.0), (1.0, 4.0)]
    assert made.uri[0] == str(root / "videos" / "-dh_uGahzYo.webm")
    assert made.uri[4] == str(root / "videos" / "abc.efghijk.mp4")  # not there; a dot is part of its name
    assert {(x.what, x.reason, x.count) for x in made.left_out} == {
        ("segments", "end before start", 1),
        ("segments", "no text", 1),
    }
    assert made[0].extra["task_id"] == "52907"
    assert made[0].extra["category"] == "Cars & Other Vehicles / Motorcycles"
    assert ("files", "not there", 1, ("abc.efghijk.mp4",)) in [
        (x.what, x.reason, x.count, x.places) for x in howto100m(root, missing="drop").left_out
    ]


def test_one_csv_per_video_and_an_empty_text_is_not_nan(tree: Callable[..., Path]) -> None:
    one = 'start,end,text\n1.0,3.0,"boil, then ""wait"""\n4.0,5.0,\n6.0,7.0,nan\n'
    root = tree({"howto100m_csv/-dh_uGahzYo.csv": one, "howto100m_csv/b.csv": "start,end,text\n0,1,b\n"})
    assert [t for t in howto100m(root).text if t] == ['boil, then "wait"', "nan", "b"]
    assert [t for t in howto100m(root, videos=["b"]).text if t] == ["b"]


def test_selection(tree: Callable[..., Path]) -> None:
    root = tree({"caption.json": CAPTIONS})
    assert len(howto100m(root, limit=1).groups()) == 2
    assert len(howto100m(root, videos=["abc.efghijk"]).groups()) == 1
    with pytest.raises(ModalignError, match=r"1 videos have no captions in .*: zzz"):
        howto100m(root, videos=["zzz", "abc.efghijk"])


def test_overlapping_windows_are_not_distinct_positives(tree: Callable[..., Path]) -> None:
    root = tree({"caption.json": {"v": {"start": [0, 2, 9], "end": [3, 5, 12], "text": ["a", "b", "c"]}}})
    kept = howto100m(root, rolling="keep")
    assert positive_links(kept, "video", "text").tolist() == [[0, 0, 1, 1, 2], [0, 1, 0, 1, 2]]
    assert positive_links(howto100m(root), "video", "text").tolist() == [[0, 1, 2], [0, 1, 2]]
    assert len(howto100m(root, rolling="merge").groups()) == 2
    wide = howto100m(root, seconds=10)
    assert all(r.end - r.start >= 10 for r in wide if r.start is not None and r.end is not None)
    assert positive_links(wide, "video", "text").shape[1] == 9
    assert len(howto100m(root, seconds=10, short="merge").groups()) == 1
    mil = howto100m(root, candidates=2)
    assert positive_links(mil, "video", "text").tolist() == [[0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 1, 2]]


@pytest.mark.parametrize(
    ("files", "settings", "said"),
    [
        ({"caption.json": CAPTIONS, "HowTo100M_v1.csv": POINTER}, {}, "Git LFS pointer"),
        ({"caption.json": POINTER}, {}, "Git LFS pointer"),
        ({"howto100m_csv/a.csv": POINTER}, {}, "Git LFS pointer"),
        ({"caption.json": json.dumps(CAPTIONS)[:150]}, {}, "cut off or damaged: .*after 1 entries"),
        (
            {"caption.json": {"v": {"start": [1], "end": [2, 3], "text": ["a"]}}},
            {},
            "1 video left out, without lists start, end and text of one length: v",
        ),
        (
            {"caption.json": {"v": {"start": [1], "end": [2]}}},
            {},
            "1 video left out, without lists start, end and text of one length: v",
        ),
        ({"caption.json": {"../v": {"start": [1], "end": [2], "text": ["a"]}}}, {}, "refused"),
        ({"caption.json": CAPTIONS}, {"captions": "raw_caption"}, "looked for raw_caption.json"),
        ({"caption.json": CAPTIONS}, {"split": "train"}, "unknown split"),
        ({"caption.json": CAPTIONS}, {"seconds": -1}, "seconds must be at least 0"),
        ({}, {}, "no HowTo100M captions"),
    ],
)
def test_damage_is_one_clear_line(
    tree: Callable[..., Path], files: dict[str, object], settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ModalignError, match=said) as caught:
        howto100m(tree(files), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.data
def test_real_captions(external_data: Path, tmp_path: Path) -> None:
    root = external_data / "howto100m_like"
    kept = howto100m(root, rolling="keep")
    assert len(set(kept.extra["video"])) <= 419
    assert len(kept.groups()) + sum(x.count for x in kept.left_out) == 3216
    assert "nan" not in {str(t).lower() for t in kept.text}
    trimmed = howto100m(root)
    spans: dict[str, list[tuple[float, float]]] = {}
    for r in trimmed:
        if r.start is not None and r.end is not None:
            spans.setdefault(r.extra["video"], []).append((r.start, r.end))
    assert all(a[1] <= b[0] for s in spans.values() for a, b in pairwise(s))
    files = howto100m(root, captions="csv", rolling="keep")
    assert len(set(files.extra["video"])) <= 40
    assert set(files.text) <= set(kept.text)
    sets = howto100m(root, candidates=5)
    sizes = [len(sets.extra["positives"][r]) for r in sets.rows("video")]
    assert (max(sizes), np.mean(sizes) > 4) == (5, True)
    shutil.copy(external_data / "howto100m_meta" / "quirk_lfs_pointer_HowTo100M_v1.csv", tmp_path / "HowTo100M_v1.csv")
    with pytest.raises(ModalignError, match="Git LFS pointer"):
        howto100m(tmp_path)
