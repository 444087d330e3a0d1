"""Features for suites."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.bench.flickr_arrays import read_flickr
from modalign.bench.sources import load
from modalign.bench.splits import Source, Splits, completed
from modalign.errors import ModalignError
from modalign.views import Views


def flickr(folder: Path, photos: int = 40) -> Path:
    """A Flickr8k of a few photos."""
    features = folder / "flickr8k" / "features"
    features.mkdir(parents=True)
    random = np.random.default_rng(0)
    names = [f"{i:03d}.jpg" for i in range(photos)]
    np.save(features / "image_efficientnet_lite0.npy", random.normal(size=(photos, 12)).astype(np.float16))
    np.save(features / "text_minilm_l6.npy", random.normal(size=(5 * photos, 8)).astype(np.float16))
    (features / "image_names.txt").write_text("\n".join(names) + "\n")
    things = ["dog", "cat", "boat", "tree"]
    rows = [f'{n},"A {things[(i + k) % 4]}, running {things[i % 4]}"' for i, n in enumerate(names) for k in range(5)]
    (features / "captions.csv").write_text("image,caption\n" + "\n".join(rows) + "\n")
    for split, part in (("train", names[:24]), ("dev", names[24:30]), ("test", [*names[30:38], "absent.jpg"])):
        (folder / "flickr8k" / f"Flickr_8k.{split}Images.txt").write_text("\n".join(part) + "\n")
    return folder


def test_flickr8k_pairs_each_photo_with_five_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODALIGN_DATA", str(flickr(tmp_path)))
    source = load({"features": "flickr8k"})
    train, dev, test = source.splits
    assert (len(train), len(dev), len(test)) == (24, 6, 8)
    assert (len(train["text"]), len(test["image"])) == (120, 8)
    assert torch.unique(test.group["text"], return_counts=True)[1].tolist() == [5] * 8
    assert load({"features": "flickr8k", "most": 5}).facts["train"] == 5  # type: ignore[index]


def test_tags_are_fitted_to_the_training_items_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODALIGN_DATA", str(flickr(tmp_path)))
    source = load({"features": "flickr8k3"})
    assert source.finish is not None
    whole = source.finish(source.splits)
    assert whole.train.modalities == ("image", "text", "tags")
    assert len(whole.test["text"]) == 8
    assert whole.train["tags"].shape[1] <= 5
    few = source.splits.train.groups(source.splits.train.group_ids()[:6])
    part = source.finish(Splits(few, source.splits.dev, source.splits.test))
    assert len(part.train["tags"]) == 6
    same = source.finish(Splits(source.splits.train, source.splits.dev.groups([24]), source.splits.test))
    assert torch.equal(same.test["tags"], whole.test["tags"])  # what dev holds changes nothing


def test_missing_splits_are_held_out(tmp_path: Path) -> None:
    x = Views.from_arrays(a=torch.eye(100), b=torch.eye(100))
    dev = Views.from_arrays(a=torch.eye(10), b=torch.eye(10))
    for found in ({"train": x}, {"dev": x}):
        s = completed(found, 0.2)
        sizes = [len(v) for v in s]
        assert sizes == [64, 16, 20]
        assert len(torch.unique(torch.cat([v.group_ids() for v in s]))) == 100
    s = completed({"train": x, "dev": dev}, 0.2)
    assert [len(v) for v in s] == [80, 20, 10]
    assert s.test is dev
    by = {i: f"video {i // 10}" for i in range(100)}
    held = completed({"train": x, "dev": dev}, 0.2, by).dev.group_ids()
    assert len(held) == 20
    assert len({by[int(i)] for i in held}) == 2
    with pytest.raises(ModalignError, match="no split 'train'"):
        completed({"dev": x, "test": x}, 0.2)


def test_arrays_by_ids_are_split_as_in_a_specification(tmp_path: Path) -> None:
    """Three modalities of unlike lengths; of the two not linked items none is tested."""
    rows = {"touch": range(40), "sight": range(1, 40), "smell": range(2, 41)}
    for m, own in rows.items():
        np.save(tmp_path / f"{m}.npy", np.array([[i, 1.0 + len(m)] for i in own], np.float32))
        (tmp_path / f"{m}.txt").write_text("".join(f"{i}\n" for i in own))
    files = {key: {m: str(tmp_path / f"{m}.{end}") for m in rows} for key, end in (("arrays", "npy"), ("ids", "txt"))}
    train, dev, test = load({**files, "holdout": 0.25}).splits
    assert (len(train), len(dev), len(test)) == (23, 8, 10)
    for part in (train, dev, test):
        assert part.modalities == ("touch", "sight", "smell")
        number = {m: dict(zip(part.group[m].tolist(), part[m][:, 0].tolist(), strict=True)) for m in rows}
        both = number["touch"].keys() & number["smell"].keys()
        assert [number["touch"][g] for g in both] == [number["smell"][g] for g in both]
    assert all(len(x) >= 9 for x in test.data.values())
    with pytest.raises(
        ModalignError, match=r'\[data\] of a suite needs .*, arrays = \{ text = "text.npy", ... \} or name'
    ):
        load({"touch": "touch.npy"})


def test_fingerprints_follow_every_number() -> None:
    x = Views.from_arrays(a=torch.eye(4), b=torch.eye(4))
    one = Source(Splits(x, x, x)).fingerprint()
    changed = x.map(lambda m, rows: rows + (m == "b") * 1e-7)
    assert Source(Splits(x, x, x)).fingerprint() == one
    assert Source(Splits(x, x, changed)).fingerprint() != one


def test_data_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODALIGN_DATA", raising=False)
    with pytest.raises(ModalignError, match="MODALIGN_DATA"):
        load({"features": "flickr8k"})
    monkeypatch.setenv("MODALIGN_DATA", str(tmp_path))
    with pytest.raises(ModalignError, match="not there"):
        load({"features": "flickr8k"})
    with pytest.raises(ModalignError, match="did you mean 'flickr8k'"):
        load({"features": "flickr8"})
    with pytest.raises(ModalignError, match="did you mean 'shared'"):
        load({"features": "synthetic", "shard": 3})
    with pytest.raises(ModalignError, match=r"\[data\] of a suite needs"):
        load({})


def test_arrays_that_do_not_fit_their_names(tmp_path: Path) -> None:
    folder = flickr(tmp_path) / "flickr8k"
    (folder / "features" / "image_names.txt").write_text("000.jpg\n")
    with pytest.raises(ModalignError, match="1 names"):
        read_flickr(folder)


def test_the_real_flickr8k() -> None:
    if not os.environ.get("MODALIGN_DATA"):
        pytest.skip("MODALIGN_DATA is not set: no Flickr8k features")
    source = load({"features": "flickr8k"})
    assert [len(s) for s in source.splits] == [6000, 1000, 1000]


def test_a_registered_data_set_can_be_split_again_by_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from modalign.bench import sources
    from modalign.data.manifest import Manifest
    from modalign.runs.data import Data

    rows = [
        {"group": i, "modality": m, "text": "words", "split": "train" if i < 60 else "val", "extra": {"video": i // 10}}
        for i in range(90)
        for m in ("a", "b")
    ]
    views = Views.from_arrays(a=torch.eye(90), b=torch.eye(90))
    data = Data(
        {"train": views.groups(range(60)), "dev": views.groups(range(60, 90))}, manifest=Manifest.from_rows(rows)
    )
    monkeypatch.setattr(sources, "load_data", lambda spec, progress: data)
    monkeypatch.setattr(sources, "specification", lambda table, where: table)
    plain = load({"name": "x", "holdout_by": "video", "holdout": 0.2})
    assert [len(s) for s in plain.splits] == [50, 10, 30]
    again = load({"name": "x", "holdout_by": "video", "holdout": 0.2, "resplit": True})
    assert sum(len(s) for s in again.splits) == 90
    videos = [{int(i) // 10 for i in s.group_ids()} for s in again.splits]
    assert sum(len(v) for v in videos) == len(set.union(*videos))
    with pytest.raises(ModalignError, match="did you mean 'video'"):
        load({"name": "x", "holdout_by": "vido"})
