"""Duplicates and near-duplicates within and across splits."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modalign.data.flickr import flickr8k
from modalign.data.hashes import near_pairs, picture_hash
from modalign.data.leakage import leakage, level
from modalign.data.manifest import Manifest
from modalign.data.named import read_named
from modalign.errors import ModalignError


def _photo(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A smooth random picture: coarse noise, enlarged."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def _pictures(root: Path, splits: dict[str, str]) -> Manifest:
    return Manifest.from_rows(
        {"group": i, "modality": "image", "uri": str(root / name), "split": split}
        for i, (name, split) in enumerate(splits.items())
    )


def test_copies_across_splits_are_found_and_different_pictures_are_not(tmp_path: Path) -> None:
    _photo(0).save(tmp_path / "a.png")
    _photo(0).save(tmp_path / "copy.png")
    _photo(0, (48, 32)).save(tmp_path / "small.jpg", quality=70)
    for seed in range(1, 30):
        _photo(seed).save(tmp_path / f"other{seed}.png")
    others = {f"other{s}.png": "train" if s % 2 else "test" for s in range(1, 30)}
    made = _pictures(tmp_path, {"a.png": "train", "copy.png": "test", "small.jpg": "val", **others})
    found = leakage(made)
    assert found.files == ((0, 1),)
    assert found.pictures == ((0, 2),)
    assert found.across() == {"files": [(0, 1)], "texts": [], "pictures": [(0, 2)]}
    assert not found.clean
    assert found.lines()[0] == "equal files: 1 sets, 1 across splits: a.png (train) = copy.png (test)"
    same = _pictures(tmp_path, {"a.png": "train", "copy.png": "train", "small.jpg": ""})
    assert (leakage(same).clean, len(leakage(same).files)) == (True, 1)
    assert leakage(made, files=False).lines()[0].startswith("equal files: 0")
    assert leakage(made, near=False).pictures is None


def test_a_drawing_and_a_picture_of_it_are_alike_and_transparent_ones_are_seen_on_white(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="no reader of SVG")
    from modalign.data.media import load_image

    shapes = {
        "disc": '<circle cx="40" cy="52" r="24" fill="#c22"/>',
        "bar": '<rect x="6" y="60" width="80" height="16"/>',
    }
    for name, shape in shapes.items():
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96">{shape}</svg>'
        (tmp_path / f"{name}.svg").write_text(svg)
        picture = load_image(str(tmp_path / f"{name}.svg"), 200)
        picture.putalpha(picture.convert("L").point(lambda v: 255 if v < 250 else 0))  # a hole where nothing is drawn
        picture.save(tmp_path / f"{name}.png")
    made = _pictures(tmp_path, {"disc.svg": "train", "disc.png": "test", "bar.svg": "train", "bar.png": "train"})
    found = leakage(made)
    assert found.pictures == ((0, 1), (2, 3))
    assert found.across()["pictures"] == [(0, 1)]
    assert not found.unread


def test_parts_of_one_recording_in_two_splits_are_told() -> None:
    cut = [
        ("a", 0, "train"),
        ("a", 0, "train"),
        ("a", 1, "test"),
        ("b", 2, "train"),
        ("b", 3, "train"),
        (None, 4, "test"),
    ]
    rows = [
        {"group": g, "modality": "text", "text": f"words {i}", "split": s, "extra": {} if v is None else {"video": v}}
        for i, (v, g, s) in enumerate(cut)
    ]
    found = leakage(Manifest.from_rows(rows))
    assert found.recordings == ((0, 1, 2), (3, 4))
    assert found.across()["recordings"] == [(0, 1, 2)]
    assert any(line.startswith("parts of one recording: 2 sets, 1 across splits") for line in found.lines())


def test_an_example_of_a_leak_shows_both_splits() -> None:
    rows = [{"group": i, "modality": "text", "text": "rain", "split": "train"} for i in range(5)]
    rows.append({"group": 9, "modality": "text", "text": "Rain.", "split": "test"})
    assert leakage(Manifest.from_rows(rows)).lines()[1].endswith(": rain (train) = Rain. (test) = rain (train)")


def test_flat_pictures_of_different_colours_are_not_alike(tmp_path: Path) -> None:
    for name, colour in (("red", (250, 0, 0)), ("blue", (0, 0, 250)), ("grey", (90, 90, 90)), ("ash", (92, 90, 90))):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{name}.png")
    made = _pictures(tmp_path, {f"{n}.png": "train" for n in ("red", "blue", "grey", "ash")})
    assert leakage(made).pictures == ((2, 3),)


def test_captions_are_levelled(tmp_path: Path) -> None:
    texts = [("A dog runs .", "train"), ("a  dog runs", "test"), ("A cat.", "train"), ("A cat!", "train"), ("", "")]
    made = Manifest.from_rows(
        {"group": i, "modality": "text", "text": t, "split": s} for i, (t, s) in enumerate(texts) if t
    )
    found = leakage(made)
    assert found.texts == ((0, 1), (2, 3))
    assert found.across()["texts"] == [(0, 1)]
    assert [level(t) for t in ("Café", "Cafe\u0301 ", "...", "Why?")] == ["café", "café", "...", "why"]


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    _photo(0).save(tmp_path / "a.png")
    made = _pictures(tmp_path, {"broken.jpg": "train", "gone.jpg": "test", "a.png": "test"})
    found = leakage(made)
    assert [Path(n).name for n in found.unread] == ["broken.jpg", "gone.jpg"]
    assert found.lines()[-1] == "2 files could not be read: broken.jpg, gone.jpg"
    assert found.clean


def test_members_of_shards_and_segments_of_one_video(tmp_path: Path) -> None:
    _photo(0).save(tmp_path / "a.png")
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.add(tmp_path / "a.png", "x/b.png")
    made = _pictures(tmp_path, {"a.png": "train", "s.tar#x/b.png": "test"})
    assert leakage(made).files == ((0, 1),)
    rows = [{"group": i, "modality": "video", "uri": str(tmp_path / "a.png"), "start": i, "end": i + 1} for i in (0, 1)]
    assert leakage(Manifest.from_rows(rows)).files == ()
    assert leakage(Manifest.from_rows([{**r, "start": 0, "end": 1} for r in rows])).files == ((0, 1),)


def test_features_in_chunks_equal_all_pairs() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    group = np.arange(60) // 2
    made = Manifest.from_rows(
        {"group": int(g), "modality": "image", "uri": f"/no/{i}.jpg", "split": ["train", "test"][i % 3 == 0]}
        for i, g in enumerate(group)
    )
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    right = {(i, j) for i in range(60) for j in range(i + 1, 60) if group[i] != group[j] and unit[i] @ unit[j] >= 0.9}
    found = leakage(made, files=False, features={"image": x}, cosine=0.9)
    assert {(i, j) for i, j, _ in found.features["image"]} == right
    assert [c for *_, c in found.features["image"]] == sorted((c for *_, c in found.features["image"]), reverse=True)
    assert all(made.splits[i] != made.splits[j] for i, j in found.across()["features of image"])
    with pytest.raises(ModalignError, match=r"shape \(3, 4\), expected \(60, d\)"):
        leakage(made, files=False, features={"image": x[:3]})
    with pytest.raises(ModalignError, match="bits must be from 0 to 7"):
        leakage(made, bits=8)


@pytest.mark.parametrize("bits", [0, 1, 4, 7])
def test_near_pairs_equal_all_pairs(bits: int) -> None:
    rng = np.random.default_rng(bits)
    base = rng.integers(0, 256, (20, 200), dtype=np.uint8)
    base[:, 8:] = 100
    hashes = np.repeat(base, 5, 0)
    for row in hashes:
        for place in rng.integers(0, 64, rng.integers(0, 9)):
            row[place // 8] ^= np.uint8(1 << (place % 8))
    hashes[::7, 8:] += 60
    signs = np.unpackbits(hashes[:, :8], axis=1)
    right = [
        (i, j)
        for i in range(100)
        for j in range(i + 1, 100)
        if (signs[i] != signs[j]).sum() <= bits and hashes[i, 8] == hashes[j, 8]
    ]
    assert near_pairs(hashes, bits) == right


def test_hash_does_not_change_with_rotation_tags_or_size(tmp_path: Path) -> None:
    picture = _photo(3)
    picture.save(tmp_path / "a.jpg", quality=95)
    tag = Image.Exif()
    tag[0x0112] = 6
    picture.rotate(90, expand=True).save(tmp_path / "turned.jpg", quality=95, exif=tag)
    hashes = [picture_hash(str(tmp_path / n)) for n in ("a.jpg", "turned.jpg")]
    assert near_pairs(np.stack([h for h in hashes if h is not None]), 4) == [(0, 1)]
    assert picture_hash(str(tmp_path / "no.jpg")) is None


@pytest.mark.data
def test_real_flickr8k(external_data: Path) -> None:
    made = flickr8k(external_data / "flickr8k")
    photos = made.take(made.rows("image"))
    folder = external_data / "flickr8k" / "features"
    names = (folder / "image_names.txt").read_text().split()
    row = [names.index(str(photo)) for photo in photos.extra["photo"]]
    features = np.load(folder / "image_efficientnet_lite0.npy")[row]
    found = leakage(photos, files=False, features={"image": features}, cosine=0.999)
    pairs = [{photos.extra["photo"][i], photos.extra["photo"][j]} for i, j, _ in found.features["image"]]
    assert pairs == [{"2851198725_37b6027625.jpg", "3050606344_af711c726c.jpg"}]  # the byte-identical pair
    assert found.clean  # both are in the training split
    captions = leakage(made.take(made.rows("text")), files=False)
    assert len(captions.across()["texts"]) == 98


def test_rows_of_one_table_are_no_copies_of_each_other(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.eye(4))
    np.save(tmp_path / "copy.npy", np.eye(4))
    rows = [
        {"group": i, "modality": m, "uri": str(tmp_path / f"{m}.npy"), "split": split, "extra": {"index": i}}
        for m in ("image", "copy")
        for i, split in enumerate(("train", "train", "test", "test"))
    ]
    found = leakage(Manifest.from_rows(rows[:4]))
    assert (found.files, found.pictures, found.unread, found.clean) == ((), (), (), True)
    assert leakage(Manifest.from_rows(rows)).files == ((0, 4), (1, 5), (2, 6), (3, 7))  # the same file twice is told


def test_a_place_for_a_data_set_that_takes_none_is_refused(tmp_path: Path) -> None:
    for name, said in (
        ("arrays", r"settings \(files, split\): --set files\.image=image\.npy"),
        ("openmoji", "language"),
    ):
        with pytest.raises(ModalignError, match=f"data set '{name}' takes no place, but .*{said}"):
            read_named(name, tmp_path)
