"""COCO captions: official lists, Karpathy's splits, ECCV Caption's positives."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalign.data.coco import coco
from modalign.data.links import positive_links
from modalign.errors import ModalignError


def _list(*images: int, captions: list[tuple[int, int, str]]) -> dict[str, object]:
    return {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg"} for i in images],
        "annotations": [{"id": n, "image_id": i, "caption": c} for n, i, c in captions],
    }


def _official(**changes: object) -> dict[str, object]:
    captions = [(1, 9, "A cat."), (2, 7, 'He said "hi", then\nleft '), (3, 9, "A cat, again")]
    return {
        "annotations/captions_val2017.json": _list(7, 9, 11, captions=captions),
        "annotations/captions_train2017.json": _list(5, captions=[(4, 5, "A dog")]),
        "val2017/000000000007.jpg": "x",
        **changes,
    }


def test_official_lists(tree: Callable[..., Path]) -> None:
    root = tree(_official())
    made = coco(root)
    assert Counter(made.splits) == {"val": 6, "train": 2}
    assert made.groups().tolist() == [5, 7, 9, 11]
    texts = [(r.group, r.text, r.extra["caption_id"]) for r in made if r.text and r.split == "val"]
    assert texts == [(9, "A cat.", 1), (7, 'He said "hi", then\nleft', 2), (9, "A cat, again", 3)]
    assert made.uri[made.rows("image", "val")[0]] == str(root / "val2017" / "000000000007.jpg")
    assert len(coco(root, split="validation")) == 6
    assert next((x.reason, x.count) for x in coco(root, missing="drop").left_out) == ("not there", 3)


def test_captions_that_an_entry_lacks_are_counted(tree: Callable[..., Path]) -> None:
    official = _list(7, captions=[(1, 7, "A cat."), (2, 7, "x")])
    del official["annotations"][1]["caption"]
    made = coco(tree({"annotations/captions_val2017.json": official}))
    assert [r.text for r in made if r.text] == ["A cat."]
    assert [x.line for x in made.left_out] == ["1 text left out, empty: image_id 7"]
    sentences = [{"raw": "A cat."}, {"tokens": ["a", "dog"]}]
    entry = {"cocoid": 7, "filename": "000000000007.jpg", "split": "test", "sentences": sentences}
    made = coco(tree({"dataset_coco.json": {"images": [entry]}}))
    assert [x.line for x in made.left_out] == ["1 text left out, empty: image_id 7"]


def test_photos_of_another_year_are_found_by_number(tree: Callable[..., Path]) -> None:
    files = _official()
    files["annotations/captions_val2014.json"] = files.pop("annotations/captions_val2017.json")
    made = coco(tree(files), split="val", year=2014)
    assert str(made.uri[0]).endswith("val2017/000000000007.jpg")


def test_one_list_by_name(tree: Callable[..., Path]) -> None:
    root = tree({"annotations/captions_train2017.mini.json": _list(3, captions=[(1, 3, "x")])})
    made = coco(root, annotations="annotations/captions_train2017.mini.json")
    assert set(made.splits) == {"train"}
    with pytest.raises(ModalignError, match="refused"):
        coco(root, annotations="../x.json")


def _karpathy(*images: tuple[int, str, list[str]]) -> dict[str, object]:
    return {
        "images": [
            {"cocoid": i, "split": s, "filepath": "val2014", "filename": f"COCO_val2014_{i:012d}.jpg",
             "sentences": [{"raw": c} for c in captions]}
            for i, s, captions in images
        ]
    }  # fmt: skip


def test_karpathy_train_includes_restval(tree: Callable[..., Path]) -> None:
    images = [(1, "train", ["a"]), (2, "restval", ["b", "c"]), (3, "val", ["d"]), (4, "test", ["e"])]
    root = tree({"dataset_coco.json": _karpathy(*images), "val2014/COCO_val2014_000000000002.jpg": "x"})
    assert len(coco(root, split="train").groups()) == 2
    assert len(coco(root, split="train", restval=False).groups()) == 1
    assert set(coco(root).splits) == {"train", "val", "test"}


def test_positives_join_several_images_to_a_caption(tree: Callable[..., Path]) -> None:
    package = importlib.util.find_spec("eccv_caption")
    if package is None or package.origin is None:
        pytest.skip("the package eccv-caption is not installed")
    data = Path(package.origin).parent / "data"
    own = json.loads((data / "original_caption_to_image.json").read_text())
    eccv = json.loads((data / "eccv_caption_to_image.json").read_text())
    caption = next(iter(eccv))
    images = sorted({*eccv[caption], *own[caption]})
    words = [(int(caption), own[caption][0], "the words")]
    listing = _list(*images, captions=words)
    photos = [(i, "test", ["the  words"] if i == own[caption][0] else []) for i in images]
    root = tree({"annotations/captions_val2014.json": listing, "dataset_coco.json": _karpathy(*photos)})
    expected = {"original": set(own[caption]), "eccv": set(eccv[caption])}
    for which, right in expected.items():
        for made in (coco(root, year=2014, positives=which), coco(root, positives=which)):
            linked = positive_links(made, "image", "text")
            groups = np.asarray(made.group)[made.rows("image")]
            found = {int(groups[i]) for i in linked[0]}
            assert right <= found if which == "eccv" else right == found
    assert "positives" not in coco(root, year=2014).extra


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations/captions_val2017.json": '{"images": [], '}, "damaged"),
        ({"annotations/captions_val2017.json": {"images": []}}, "no 'annotations'"),
        ({"annotations/captions_val2017.json": "version https://git-lfs.github.com/spec/v1\n"}, "LFS pointer"),
        (
            {"annotations/captions_val2017.json": _list(7, captions=[(1, 8, "a"), (2, 8, "b"), (3, 10, "c")])},
            r"3 captions are of 2 images that it does not list \(image ids 8, 10\)",
        ),
        (
            {"annotations/captions_val2017.json": {"images": [{"id": 1, "file_name": "../../x"}], "annotations": []}},
            "refused",
        ),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], changes: dict[str, object], said: str) -> None:
    with pytest.raises(ModalignError, match=said) as caught:
        coco(tree(_official(**changes)))
    assert "\n" not in str(caught.value)


def test_no_list_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match=r"no COCO caption list in .*captions_train2017\.json"):
        coco(tmp_path)
    with pytest.raises(ModalignError, match="needs a folder"):
        coco(tmp_path / "no")


@pytest.mark.data
@pytest.mark.slow
def test_real_lists(external_data: Path, tmp_path: Path) -> None:
    made = coco(external_data / "coco", split="val")
    assert (len(made.rows("image")), len(made.rows("text"))) == (5000, 25014)
    per_image = Counter(Counter(int(made.group[r]) for r in made.rows("text")).values())
    assert per_image == {5: 4987, 6: 12, 7: 1}
    texts = [made.text[r] for r in made.rows("text")]
    assert len(texts) - len({str(t).lower() for t in texts}) == 224
    assert all(t == str(t).strip() for t in texts)
    assert len(coco(external_data / "coco", missing="drop").rows("image")) == 61
    mini = coco(external_data / "coco", annotations="annotations/captions_train2017.mini.json")
    assert (len(mini.rows("image")), len(mini.rows("text"))) == (80, 400)
    shutil.copytree(external_data / "coco" / "annotations", tmp_path / "annotations")
    path = tmp_path / "annotations" / "captions_val2017.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ModalignError, match="damaged"):
        coco(tmp_path)
