"""Names of files as systems, archives and people write them."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.clips import clips
from modalign.data.folders import folders
from modalign.data.shards import open_member
from modalign.data.table import table
from modalign.data.webdataset import webdataset
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.text import MiniLM
from modalign.runs.data import from_store

Tree = Callable[..., Path]


def shard(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_a_name_that_is_no_utf8_is_told(tree: Tree) -> None:
    root = tree({"image/b.png": b"x", "text/b.txt": "b"})
    (root / "image" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    made = folders(root)
    assert [Path(u).name for u in made.uri if u] == ["b.png"]
    line = "1 file left out, with a name that is no UTF-8: rename them: caf\N{REPLACEMENT CHARACTER}.png"
    assert [x.line for x in made.left_out] == [line]
    made.save(root / "rows.json")  # and nothing of it is damaged


def test_accents_of_two_systems_are_one_name(tree: Tree) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    root = tree({f"image/{composed}.png": b"x", f"text/{apart}.txt": "coffee"})
    assert len(folders(root).groups()) == 1


def test_clips_beside_their_folders_are_told(tree: Tree) -> None:
    said = r"2 files left out, beside the folders audios, images, videos: a\.mp4, b\.mp4"
    with pytest.raises(ModalignError, match=said):
        clips(tree({"a.mp4": b"x", "b.mp4": b"x"}))


def test_a_compressed_shard_under_the_name_of_a_plain_one(tree: Tree) -> None:
    root = tree({"0.tar": gzip.compress(shard(a_png=b"...", a_txt=b"a dog"))})
    made = webdataset(root)
    assert (made.text, open_member(str(made.uri[0])).read()) == ((None, "a dog"), b"...")


@pytest.mark.parametrize("pattern", ["{0..99999999999}.tar", "{000..999}/{0000..9999}.tar", "{5..3}.tar"])
def test_a_pattern_of_too_many_shards_or_none_is_refused_at_once(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ModalignError, match="a range counts from the smaller number to the larger"):
        webdataset(tmp_path / pattern)


def test_items_of_a_split_that_no_fit_knows_are_told(tree: Tree) -> None:
    """A slip of the pen in a column of splits would else take items away without a word."""
    root = tree({"a.csv": "caption,split\na dog,train\na cat,trian\na cow,test\na hen,\n"})
    store = embed(table(root / "a.csv"), {"text": MiniLM()}, root / "store")
    data = from_store(store)
    assert set(data.splits) == {"train", "test"}
    told = [(x.reason, x.count) for x in data.left_out]
    assert told == [("in split 'trian', which is none of train, dev, test", 1), ("in no split", 1)]
