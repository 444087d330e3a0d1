"""Files are found by their name and never outside their folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.folders import folders
from modalign.data.places import KIND_OF, SOUNDS, VIDEOS, Files, clip_names, first_file, first_folder, inside
from modalign.data.table import table
from modalign.data.webdataset import webdataset
from modalign.errors import ModalignError


@pytest.mark.parametrize(
    "entry",
    ["../a.jpg", "a/../../b.jpg", "/etc/passwd", "..", "..\\..\\a.jpg", "C:\\a.jpg", "a\0b", "", "x/../../../etc/p"],
)
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ModalignError, match=r"outside .*: refused"):
        inside(tmp_path, entry)


def test_paths_that_stay_are_resolved(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/./b/../c.jpg") == tmp_path / "a" / "c.jpg"
    assert inside(tmp_path, "images\\a.jpg") == tmp_path / "images" / "a.jpg"
    assert inside(tmp_path, "-x.jpg") == tmp_path / "-x.jpg"
    assert inside(tmp_path, "..a.jpg") == tmp_path / "..a.jpg"


def test_found_by_name_with_dots_any_case_and_any_accents(tree: Callable[..., Path]) -> None:
    root = tree({"v/a.b.MP4": "x", "v/deep/id1.webm": "x", "v/cafe\u0301.mkv": "x", "v/no.txt": "x"})
    files = Files([root / "v", root / "absent"], VIDEOS)
    assert files.find("a.b") == root / "v" / "a.b.MP4"
    assert files.find("a") is None
    assert files.find("x", "id1") == root / "v" / "deep" / "id1.webm"
    assert files.find("caf\u00e9") is not None
    assert len(files) == 3
    assert files.stems() == ["a.b", "caf\u00e9", "id1"]


def test_order_of_extensions_decides_and_the_missing_have_a_place(tree: Callable[..., Path]) -> None:
    root = tree({"a.webm": "x", "a.mkv": "x"})
    files = Files([root], VIDEOS)
    assert files.place("a") == root / "a.mkv"
    assert files.place("b", "c") == root / "b.mp4"
    with pytest.raises(ModalignError, match="refused"):
        files.place("../b")


def test_names_of_clips(tree: Callable[..., Path]) -> None:
    root = tree({"Y-_A4yJmxFdM.wav": "x", "-0_000000000_30_40.flac": "x", "__123456789_30000_40000.m4a": "x"})
    files = Files([root], SOUNDS)
    for video, name in (("-_A4yJmxFdM", "Y-_A4yJmxFdM.wav"), ("-0_000000000", "-0_000000000_30_40.flac"),
                        ("__123456789", "__123456789_30000_40000.m4a")):  # fmt: skip
        assert files.find(*clip_names(video, 30.0, 40.0)) == root / name


def test_first_of_several(tree: Callable[..., Path]) -> None:
    root = tree({"Images/a.jpg": "x", "b.csv": "x"})
    assert first_folder(root, ["images2", "Images"]) == root / "Images"
    assert first_folder(root, ["x", "y"]) == root / "x"
    assert first_file(root, ["a.csv", "b.csv"], "list") == root / "b.csv"
    with pytest.raises(ModalignError, match=r"list not found in .*: looked for c\.csv, d\.csv"):
        first_file(root, ["c.csv", "d.csv"], "list")


@pytest.mark.parametrize(
    ("ending", "kind"),
    [(".oga", "audio"), (".aiff", "audio"), (".aif", "audio"), (".mka", "audio"), (".amr", "audio"), (".caf", "audio"),
     (".wmv", "video"), (".ogv", "video"), (".ts", "video"), (".m2ts", "video"), (".avif", "image"), (".jp2", "image")],
)  # fmt: skip
def test_endings_that_the_decoders_read_are_known(ending: str, kind: str, tmp_path: Path) -> None:
    assert KIND_OF[ending] == kind
    (tmp_path / f"a{ending}").write_bytes(b"x")
    (tmp_path / "a.xyz").write_bytes(b"x")
    made = folders(tmp_path)
    assert made.modalities == (kind,)
    assert [x.line for x in made.left_out] == ["1 file left out, of no known kind (.xyz): a.xyz"]


def test_shards_name_what_they_leave_aside(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name in ("1.aiff", "1.txt", "1.xyz", "1.json"):
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"{}"))
    made = webdataset(tmp_path / "s.tar")
    assert made.modalities == ("audio", "text")
    assert [x.line for x in made.left_out] == ["1 file left out, of no known kind (.xyz): 1.xyz"]


def test_a_column_of_pictures_is_known_by_most_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file,caption\nscan.djvu,a\nb.png,b\nc.png,c\n")
    made = table(tmp_path / "m.csv")
    assert [r.uri and Path(r.uri).name for r in made.modality("image")] == ["scan.djvu", "b.png", "c.png"]
    (tmp_path / "n.csv").write_text("file,caption\nscan.djvu,a\n")
    assert table(tmp_path / "n.csv").left_out[0].line.startswith("1 column left out, files of no known kind")
