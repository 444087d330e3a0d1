"""Shards: keys with dots, names that cannot be trusted, damage, and members opened in place."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from modalign.data.shards import is_member, open_member
from modalign.data.webdataset import key_and_extension, webdataset
from modalign.errors import ModalignError


def _shard(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


PLAIN = [
    ("a/1.jpg", b"picture 1"), ("a/1.txt", b'He said "hi",\nleft'), ("a/1.cls", b"3\n"),
    ("a/2.png", b"picture 2"), ("a/2.json", b'{"caption": ["one", "two"], "width": 3}'), ("a/2.wav", b"sound 2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mode"), [("s.tar", "w"), ("s.tar.gz", "w:gz"), ("s.tgz", "w:gz")])
def test_samples_and_their_bytes(tmp_path: Path, name: str, mode: str) -> None:
    path = _shard(tmp_path / "train" / name, PLAIN, mode)
    made = webdataset(tmp_path)
    assert [(r.group, r.modality, r.text) for r in made] == [
        (0, "image", None), (0, "text", 'He said "hi",\nleft'), (1, "image", None), (1, "audio", None),
        (1, "text", "one"), (1, "text", "two"),
    ]  # fmt: skip
    assert set(made.splits) == {"train"}
    assert made[0].extra == {"key": "a/1", "shard": name, "label": 3}
    uris = [u for u in made.uri if u]
    assert uris == [f"{path}#a/1.jpg", f"{path}#a/2.png", f"{path}#a/2.wav"]
    assert all(map(is_member, uris))
    assert [open_member(u).read() for u in uris] == [b"picture 1", b"picture 2", b"sound 2"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("/some/path/22.0/1.1.png", ("/some/path/22.0/1", "1.png")),
        ("train.v1/0001.left.jpg", ("train.v1/0001", "left.jpg")),
        ("a.jpg", ("a", "jpg")),
        ("train.v1/README", None),
        ("dir/.hidden", None),
        ("", None),
    ],
)
def test_keys_follow_the_official_rule(name: str, parts: tuple[str, str] | None) -> None:
    assert key_and_extension(name) == parts


def test_official_reader_agrees(tmp_path: Path) -> None:
    reader = pytest.importorskip("webdataset.tariterators")
    for name in ("/some/path/22.0/1.1.png", "train.v1/0001.left.jpg", "a.jpg", "x.y/z.tar.gz", "train.v1/README"):
        assert key_and_extension(name) == (reader.base_plus_ext(name) if reader.base_plus_ext(name)[0] else None)


def test_dots_in_folders_do_not_merge_samples(tmp_path: Path) -> None:
    _shard(tmp_path / "s.tar", [(f"train.v1/{i}.jpg", b"x") for i in range(5)])
    assert len(webdataset(tmp_path).groups()) == 5


def test_same_key_in_two_shards_is_two_samples_and_patterns(tmp_path: Path) -> None:
    for i in range(3):
        _shard(tmp_path / f"s-{i:03d}.tar", [("1.jpg", b"x"), ("1.txt", b"text")])
    assert len(webdataset(tmp_path / "s-{000..002}.tar").groups()) == 3
    assert len(webdataset(str(tmp_path / "s-{001..001}.tar")).groups()) == 1
    with pytest.raises(ModalignError, match=r"2 of 5 shards not found: .*s-003\.tar"):
        webdataset(tmp_path / "s-{000..004}.tar")


def test_names_inside_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "shards" / "s.tar"
    _shard(path, [("../../evil.jpg", b"evil"), ("/etc/cron.d/x.jpg", b"abs"), ("ok.jpg", b"ok")])
    with tarfile.open(path, "a") as archive:
        for name, kind, target in (("l.jpg", tarfile.SYMTYPE, "/etc/passwd"), ("h.jpg", tarfile.LNKTYPE, "ok.jpg")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    before = sorted(tmp_path.rglob("*"))
    made = webdataset(path)
    assert [open_member(str(u)).read() for u in made.uri] == [b"evil", b"abs", b"ok"]
    assert [x.line for x in made.left_out] == ["2 members left out, no plain files: s.tar#l.jpg, s.tar#h.jpg"]
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(ModalignError, match=r"has no member 'l\.jpg'"):
        open_member(f"{path}#l.jpg")


def test_broken_shards_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    _shard(tmp_path / "a.tar", PLAIN)
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "c.tar").write_bytes(whole[:1700])
    (tmp_path / "d.tar").write_bytes(b"")
    made = webdataset(tmp_path)
    assert [(x.what, x.count, x.places) for x in made.left_out] == [("shards", 1, (f"{n}.tar",)) for n in "bcd"]
    assert "Git LFS pointer" in made.left_out[0].reason
    assert "(empty)" in made.left_out[2].reason
    assert len([u for u in made.uri if u and "a.tar" in u]) == 3
    (tmp_path / "a.tar").unlink()
    (tmp_path / "c.tar").unlink()
    with pytest.raises(ModalignError, match="none of the 2 shards"):
        webdataset(tmp_path)


def test_a_member_that_is_cut_off_or_too_large(tmp_path: Path) -> None:
    path = _shard(tmp_path / "a.tar", [("1.jpg", b"x" * 5000), ("2.jpg", b"y" * 5000)])
    whole = path.read_bytes()
    with pytest.raises(ModalignError, match="5,000 bytes, more than the 100"):
        open_member(f"{path}#1.jpg", limit=100)
    path.write_bytes(whole[:7000])
    with pytest.raises(ModalignError, match=r"no member '2\.jpg': (cut off|damaged)"):
        open_member(f"{path}#2.jpg")
    assert open_member(f"{path}#1.jpg").read() == b"x" * 5000
    for bad in ("a.jpg", f"{tmp_path}/no.tar#x"):
        with pytest.raises(ModalignError):
            open_member(bad)


def test_extensions_by_choice_in_any_case(tmp_path: Path) -> None:
    path = _shard(tmp_path / "a.tar", [("1.Left.PNG", b"l"), ("1.right.png", b"r"), ("1.txt", b"two eyes")])
    made = webdataset(path, modalities={"Left.PNG": "left", "RIGHT.png": "right"})
    assert set(made.modalities) == {"left", "right", "text"}


def test_other_extensions_by_choice_and_large_texts(tmp_path: Path) -> None:
    _shard(tmp_path / "s.tar", [("1.depth", b"d"), ("1.txt", b"t" * (1 << 21))])
    made = webdataset(tmp_path, modalities={"depth": "depth"})
    assert [(r.modality, r.text) for r in made] == [("depth", None)]
    assert [x.line for x in made.left_out] == ["1 text left out, larger than 1 MiB: s.tar#1.txt"]


def test_no_shards(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match=r"no shards in .*\*\.tar"):
        webdataset(tmp_path)
