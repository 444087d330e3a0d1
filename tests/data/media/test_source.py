"""Bytes of an item: files, members of shards, what is refused."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modalign.data import media
from modalign.data.check import check_files
from modalign.data.folders import folders
from modalign.data.leakage import leakage
from modalign.data.manifest import Row
from modalign.data.webdataset import webdataset
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.base import FrozenEncoder, source


def shard(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def png(level: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level, level)).save(out, "PNG")
    return out.getvalue()


def test_members_of_shards_are_read_like_files(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", one_png=png(7), one_txt=b"seven")
    assert media.load_image(f"{path}#one.png").getpixel((0, 0)) == (7, 7, 7)
    assert media.read_bytes(f"{path}#one.txt") == b"seven"
    with media.open_bytes(f"{path}#one.txt") as handle:
        assert handle.read() == b"seven"
    with pytest.raises(ModalignError, match="no member 'two"):
        media.load_image(f"{path}#two.png")


def test_signature_of_a_member_follows_its_shard(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", one_png=png(7), two_png=png(8))
    one, two = media.signature(f"{path}#one.png"), media.signature(f"{path}#two.png")
    assert one != two
    assert media.signature(f"{path}#one.png") == one
    shard(path, one_png=png(9), two_png=png(8))
    assert media.signature(f"{path}#one.png") != one
    with pytest.raises(ModalignError, match="not found"):
        media.signature(tmp_path / "b.tar#one.png")


class Mean(FrozenEncoder):
    modality, dim = "image", 1

    def description(self) -> dict[str, str]:
        return {"encoder": "mean"}

    def collate(self, items):
        return np.stack([np.asarray(media.load_image(source(i)), np.float32).mean(keepdims=True)[0, 0] for i in items])

    def __call__(self, batch):
        import torch

        return torch.from_numpy(batch)


def test_shards_are_embedded_and_broken_members_are_named(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", one_png=png(7), two_png=png(8)[:40], three_png=png(9))
    store = embed(webdataset(tmp_path), {"image": Mean()}, tmp_path / "store")
    assert store.views().data["image"].flatten().tolist() == [7.0, 9.0]
    assert [f.item.rpartition("#")[2] for f in store.failures] == ["two.png"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS")]
)
def test_what_holds_nothing_is_refused_by_both_ways_in(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    for read in (media.read_bytes, media.open_bytes):
        with pytest.raises(ModalignError, match=f"{reason}.*x.wav"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "a.txt")
    for place in (tmp_path / "a.png", Path("/dev/zero")):
        for read in (media.load_image, media.load_sound, media.load_frames, media.signature):
            with pytest.raises(ModalignError, match=r"a pipe or a device, not a file"):
                read(place)
    (tmp_path / "b.txt").write_text("a thing")
    made = folders(tmp_path)
    assert [x.line for x in made.left_out] == ["1 text left out, a pipe, not a file: a.txt"]
    assert check_files(made).missing == (str(tmp_path / "a.png"),)
    assert leakage(made).unread == (str(tmp_path / "a.png"),)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (media.read_bytes, media.open_bytes):
        with pytest.raises(ModalignError, match=r"not found: .*gone"):
            read(tmp_path / "gone.wav")
        with pytest.raises(ModalignError, match="cannot be read"):
            read(tmp_path)
        with pytest.raises(ModalignError, match="cannot be read"):
            read("a\0b")


def test_rows_name_their_source() -> None:
    assert source(Row(0, "image", uri="a.tar#b.png")) == "a.tar#b.png"


def test_entries_of_a_folder_are_paths_whatever_they_look_like_printed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(7))
    (tmp_path / "b.png").write_bytes(b"")
    a, b = sorted(os.scandir(tmp_path), key=lambda entry: entry.name)
    assert media.read_bytes(a) == png(7)
    assert media.load_image(a).getpixel((0, 0)) == (7, 7, 7)
    with pytest.raises(ModalignError, match=f"^file is empty: {tmp_path / 'b.png'}$"):
        media.load_image(b)
