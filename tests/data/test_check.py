"""Files that are missing, empty, pointers, pages, or not what their name says."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.check import check_dataset, check_files, sniff
from modalign.data.manifest import Manifest

WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0"
MP3 = b"ID3\x04\0\0\0\0\0\0" + b"\0" * 8
MP4 = b"\0\0\0\x1cftypmp42" + b"\0" * 8


def _manifest(paths: list[str]) -> Manifest:
    return Manifest.from_rows({"group": i, "modality": "audio", "uri": p} for i, p in enumerate(paths))


def test_every_kind_of_trouble_is_named(tree: Callable[..., Path]) -> None:
    root = tree({
        "good.wav": WAV, "mp3.wav": MP3, "mp4.mp3": MP4, "movie.m4a": MP4, "none.ogg": b"",
        "page.jpg": "<!DOCTYPE html>", "pointer.flac": "version https://git-lfs.github.com/spec/v1\n",
        "odd.wav": b"unknown", "x.dat": MP3,
    })  # fmt: skip
    names = sorted(p.name for p in root.iterdir())
    found = check_files(_manifest([str(root / n) for n in [*names, "gone.wav", "good.wav"]]))
    assert (found.files, found.usable) == (10, 6)
    assert [[Path(n).name for n in some] for some in (found.missing, found.empty, found.pointers, found.pages)] == [
        ["gone.wav"], ["none.ogg"], ["pointer.flac"], ["page.jpg"]
    ]  # fmt: skip
    assert {Path(n).name: k for n, k in found.mislabelled.items()} == {"mp3.wav": ".mp3", "mp4.mp3": ".mp4"}
    assert found.lines() == [
        "6 of 10 files are there",
        "1 missing: gone.wav",
        "1 empty: none.ogg",
        "1 Git LFS pointers, not data: pointer.flac",
        "1 web pages, not data: page.jpg",
        "2 under a wrong extension: mp3.wav is .mp3, mp4.mp3 is .mp4",
    ]


def test_texts_are_no_files_and_members_are(tree: Callable[..., Path]) -> None:
    root = tree({"a.wav": WAV})
    with tarfile.open(root / "s.tar", "w") as archive:
        archive.add(root / "a.wav", "a.wav")
    text = Manifest.from_rows([{"group": 0, "modality": "text", "text": "a"}])
    assert check_files(text).lines() == ["0 of 0 files are there"]
    found = check_files(_manifest([f"{root}/s.tar#a.wav", f"{root}/s.tar#b.wav", f"{root}/no.tar#a.wav", str(root)]))
    assert (found.usable, len(found.missing)) == (1, 3)


@pytest.mark.parametrize(
    ("head", "ending"),
    [(WAV, ".wav"), (MP3, ".mp3"), (MP4, ".mp4"), (b"\xff\xd8\xff\xe0", ".jpg"), (b"\x1a\x45\xdf\xa3", ".mkv"),
     (b"RIFF\0\0\0\0WEBPVP8 ", ".webp"), (b"OggS\0", ".ogg"), (b"", None), (b"hello", None)],
)  # fmt: skip
def test_formats_are_known_by_their_first_bytes(head: bytes, ending: str | None) -> None:
    assert sniff(head) == ending


def test_a_data_set_is_checked_whole(tree: Callable[..., Path]) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"\0" * 9
    root = tree({
        "a.png": picture, "copy.png": picture, "c.png": WAV,
        "list.csv": "picture,caption,split\n"
        "a.png,A dog.,train\ncopy.png,a cat,test\nc.png,a  dog,test\ngone.png,x,test\n",
    })  # fmt: skip
    found = check_dataset("table", root / "list.csv", near=False)
    assert found["rows"] == {"image": 4, "text": 4}
    assert found["splits"] == {"train": 1, "test": 3}
    assert [Path(p).name for p in found["files"]["missing"]] == ["gone.png"]
    assert {Path(p).name: kind for p, kind in found["files"]["mislabelled"].items()} == {"c.png": ".wav"}
    assert found["across_splits"] == {"files": [["a.png", "copy.png"]], "texts": [["A dog.", "a  dog"]]}
    assert found["lines"][0] == "rows: 4 image, 4 text"
    assert check_dataset("table", root / "list.csv", split="train")["across_splits"]["files"] == []
    columns = ["columns.image=picture", "columns.text=caption"]
    assert check_dataset("table", root / "list.csv", columns, near=False) == found


def test_what_lies_in_two_data_sets_is_told(tmp_path: Path) -> None:
    lists = {
        "a": [("1", "vfY_TJq7n_U", "130", "ducks quack"), ("2", "tw76HGONaKg", "570", "a man speaks")],
        "b": [("7", "tw76HGONaKg", "0", "A man speaks."), ("8", "y2bVZ7rz-5M", "20", "rain")],
    }
    for name, rows in lists.items():
        (tmp_path / name).mkdir()
        lines = ["audiocap_id,youtube_id,start_time,caption", *(",".join(row) for row in rows)]
        (tmp_path / name / "train.csv").write_text("\n".join(lines) + "\n")
    found = check_dataset("audiocaps", tmp_path / "a", against=f"audiocaps={tmp_path / 'b'}")
    assert found["across_splits"]["recordings"] == []
    assert found["shared"]["texts"] == [["a man speaks", "A man speaks."]]
    assert [sorted(names) for names in found["shared"]["recordings"]] == [
        ["A man speaks.", "a man speaks", "tw76HGONaKg.wav", "tw76HGONaKg.wav"]
    ]
    assert any("parts of one recording: 1 sets, 1 in both" in line for line in found["lines"])
    assert check_dataset("audiocaps", tmp_path / "a")["shared"] == {}


@pytest.mark.slow
@pytest.mark.data
def test_clips_that_audiocaps_shares_with_a_part_of_audioset(external_data: Path) -> None:
    """AudioCaps captions clips of AudioSet: none of its balanced and evaluation lists, many of the rest."""
    found = check_dataset(
        "audioset",
        external_data / "audioset_meta",
        ["segments=audioset_small_test.jsonl"],
        near=False,
        against=f"audiocaps={external_data / 'audiocaps_meta'}",
    )
    assert found["rows"] == {"audio": 2843, "text": 2843}
    assert len(found["shared"]["recordings"]) == 234
    assert any("parts of one recording: 234 sets, 234 in both" in line for line in found["lines"])
