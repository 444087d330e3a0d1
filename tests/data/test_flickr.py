"""Flickr8k and Flickr30k in the layouts that people have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalign.data.flickr import flickr8k, flickr30k
from modalign.errors import ModalignError

COMMA = 'image,caption\na.jpg,"A dog , running"\na.jpg,A\nb.jpg,"""Hi"" sign ."\n'
TOKEN = 'a.jpg#0\tA dog , running\na.jpg#1\tA\nb.jpg#0\t"Hi" sign .\n'
BARS = 'image_name| comment_number| comment\na.jpg| 0| A dog , running\na.jpg| 1   A\nb.jpg| 0| "Hi" sign .\n'
KARPATHY = {
    "images": [
        {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "A dog , running"}, {"raw": "A"}]},
        {"filename": "b.jpg", "split": "test", "sentences": [{"raw": '"Hi" sign .'}]},
    ]
}
RAW = json.dumps(["A dog , running", "A"]).replace('"', '""')
SIGN = json.dumps(['"Hi" sign .']).replace('"', '""')
ANNOTATIONS = f'raw,sentids,split,filename,img_id\n"{RAW}","[0, 1]",train,a.jpg,0\n"{SIGN}",[2],test,b.jpg,1\n'
EXPECTED = [(0, "A dog , running"), (0, "A"), (1, '"Hi" sign .')]


@pytest.mark.parametrize(
    ("loader", "name", "content"),
    [
        (flickr8k, "captions.txt", COMMA),
        (flickr8k, "Flickr8k_text/Flickr8k.token.txt", TOKEN),
        (flickr8k, "dataset_flickr8k.json", KARPATHY),
        (flickr30k, "results_20130124.token", TOKEN.replace("\n", "\r\n")),
        (flickr30k, "flickr30k_images/results.csv", BARS),
        (flickr30k, "captions.txt", COMMA.replace("image,caption", "image_name,comment")),
        (flickr30k, "flickr_annotations_30k.csv", ANNOTATIONS),
        (flickr30k, "dataset_flickr30k.json", KARPATHY),
    ],
)
def test_every_layout_gives_the_same_captions(tree: Callable[..., Path], loader, name: str, content: object) -> None:
    made = loader(tree({name: content}))
    assert [(r.group, r.text) for r in made if r.text] == EXPECTED
    assert len(made.rows("image")) == 2
    if not isinstance(content, str) or "split" in content.partition("\n")[0]:
        assert set(made.splits) == {"train", "test"}


def test_official_lists_and_photos_in_none(tree: Callable[..., Path]) -> None:
    files = {"captions.txt": COMMA, "Flickr_8k.trainImages.txt": "a.jpg\nz.jpg\n", "Images/a.jpg": "x"}
    root = tree(files)
    made = flickr8k(root)
    assert [(r.split, r.extra["photo"]) for r in made if r.uri] == [("train", "a.jpg"), ("", "b.jpg")]
    assert [x.line for x in made.left_out] == ["1 photo left out, in a list of the split but without captions: z.jpg"]
    assert made.uri[0] == str(root / "Images" / "a.jpg")
    assert "1 file left out, not there: b.jpg" in [x.line for x in flickr8k(root, missing="drop").left_out]
    assert len(flickr8k(root, split="train")) == 3


def test_lists_of_numbers(tree: Callable[..., Path]) -> None:
    made = flickr30k(tree({"results_20130124.token": TOKEN, "val.txt": "a\n", "test.txt": "b"}))
    assert {r.extra["photo"]: r.split for r in made} == {"a.jpg": "val", "b.jpg": "test"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"captions.txt": COMMA, "Flickr_8k.testImages.txt": "x.jpg\ny.jpg"}, r"name 2 photos, none .*x\.jpg, y\.jpg"),
        (
            {"captions.txt": COMMA, "Flickr_8k.testImages.txt": "a.jpg", "Flickr_8k.devImages.txt": "a.jpg"},
            "two lists .* dev and test",
        ),
        ({"captions.txt": "image,caption\n../../x.jpg,a\n"}, "refused"),
        ({"captions.txt": "picture,caption\na.jpg,a\n"}, "no column image"),
        ({"captions.txt": "image,caption\na.jpg\n"}, r"1 row .* \(lines 2\)"),
        ({}, "captions of Flickr8k not found"),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], files: dict[str, object], said: str) -> None:
    with pytest.raises(ModalignError, match=said) as caught:
        flickr8k(tree(files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loader", "name", "content", "wrong", "reason"),
    [
        (flickr8k, "captions.txt", COMMA, "c.jpg\n", "not of 2 fields, as the first line has"),
        (flickr8k, "Flickr8k.token.txt", TOKEN, "c.jpg\n", "not 'name#number<tab>caption'"),
        (flickr30k, "results.csv", BARS, "c.jpg, a cat\n", "not 'name| number| caption'"),
        (flickr30k, "flickr_annotations_30k.csv", ANNOTATIONS, "[],[3],test,c.jpg,1,2\n", "not of 5 fields"),
        (flickr30k, "flickr_annotations_30k.csv", ANNOTATIONS, "a cat,[3],test,c.jpg,1\n", "the column raw is not"),
    ],
)
def test_a_wrong_row_is_counted_and_the_others_are_read(
    tree: Callable[..., Path], loader, name: str, content: str, wrong: str, reason: str
) -> None:
    made = loader(tree({name: content + wrong}))
    assert [(r.group, r.text) for r in made if r.text] == EXPECTED
    (left,) = made.left_out
    assert (left.what, left.count) == ("rows", 1)
    assert left.reason.startswith(reason)
    assert left.places == (f"{name}, line {len(content.splitlines()) + 1}",)


@pytest.mark.data
def test_real_flickr8k(external_data: Path) -> None:
    root = external_data / "flickr8k"
    made = flickr8k(root)
    assert (len(made.rows("image")), len(made.rows("text"))) == (8091, 40455)
    photos = Counter(made.splits[r] for r in made.rows("image"))
    assert photos == {"train": 6000, "val": 1000, "test": 1000, "": 91}
    texts = [str(made.text[r]) for r in made.rows("text")]
    assert len(texts) - len({t.lower() for t in texts}) == 285
    assert {"A", "a"} <= set(texts)
    assert "broken image" in {t.lower().strip(" .") for t in texts}
    assert set(Counter(np.asarray(made.group)[made.rows("text")].tolist()).values()) == {5}
    test = flickr8k(root, split="test", missing="drop")
    assert len(test.rows("image")) == 1000
