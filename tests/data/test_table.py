"""Lists of the user's own, and manifests written and read back."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.manifest import Manifest
from modalign.data.table import table
from modalign.data.table_out import write_table
from modalign.errors import MissingExtraError, ModalignError

HARD = 'He said "hi", then\nleft'
ARROW = importlib.util.find_spec("pyarrow") is not None
FORMATS = [".csv", ".tsv", ".jsonl", pytest.param(".parquet", marks=pytest.mark.skipif(not ARROW, reason="no pyarrow"))]


def _manifest(root: Path) -> Manifest:
    return Manifest.from_rows(
        [
            {"group": 7, "modality": "text", "text": HARD, "split": "train", "extra": {"positives": [1, 2], "n": 1}},
            {"group": 7, "modality": "image", "uri": str(root / "in" / "a,b.jpg"), "split": "train"},
            {"group": 3, "modality": "video", "uri": str(root / "v.mp4"), "start": 1.5, "end": 2.25},
            {"group": 3, "modality": "text", "text": "tab\there; bar|there, Ünï 犬", "split": "test"},
        ]
    )


@pytest.mark.parametrize("ending", FORMATS)
def test_round_trip(tmp_path: Path, ending: str) -> None:
    made = _manifest(tmp_path)
    path = tmp_path / f"list{ending}"
    write_table(made, path)
    assert list(table(path)) == list(made)
    assert list(table(path, split="test")) == [made[3]]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / path.name).write_bytes(path.read_bytes())
    assert table(moved / path.name).uri[1] == str(moved / "in" / "a,b.jpg")


def test_files_elsewhere_need_trust(tmp_path: Path) -> None:
    path = tmp_path / "lists" / "m.csv"
    write_table(_manifest(tmp_path), path)
    with pytest.raises(ModalignError, match=r"m\.csv, line 4,.* refused; .*anywhere=True"):
        table(path)
    assert table(path, anywhere=True).uri == _manifest(tmp_path).uri
    assert table(path, folder=str(tmp_path)).uri == _manifest(tmp_path).uri


@pytest.mark.parametrize("mark", [",", "\t", ";", "|"])
def test_wide_lists_keep_five_captions_with_one_photo(tree: Callable[..., Path], mark: str) -> None:
    lines = [["filepath", "caption", "split", "author"], ["a.jpg", "one", "train", "me"], ["a.jpg", "two", "train", ""],
             ["b.jpg", "", "dev", "me"]]  # fmt: skip
    root = tree({"mine.csv": "\n".join(mark.join(row) for row in lines) + "\n"})
    made = table(root / "mine.csv")
    assert [(r.group, r.modality, r.text, r.split) for r in made] == [
        (0, "image", None, "train"), (0, "text", "one", "train"), (0, "text", "two", "train"), (1, "image", None, "val")
    ]  # fmt: skip
    assert made.uri[0] == str(root / "a.jpg")
    assert made[0].extra == {"author": "me"}


def test_several_columns_lists_and_absent_modalities(tree: Callable[..., Path]) -> None:
    rows = [
        {"image": "a.jpg", "captions": ["x", HARD], "audio": None, "group": "g1"},
        {"image": None, "captions": [], "audio": "a.wav", "group": "g1", "start": 1, "end": 2},
        {"captions": None, "audio": "b.wav", "group": "g2"},
    ]
    made = table(tree({"m.jsonl": "".join(json.dumps(r) + "\n" for r in rows)}) / "m.jsonl")
    assert [(r.group, r.modality, r.text, r.start) for r in made] == [
        (0, "image", None, None), (0, "text", "x", None), (0, "text", HARD, None), (0, "audio", None, 1.0),
        (1, "audio", None, None),
    ]  # fmt: skip
    wide = tree({"c.csv": "img,caption_1,caption_2\na.png,x,y\n"}) / "c.csv"
    assert [r.text for r in table(wide)] == [None, "x", "y"]


def test_columns_by_hand(tree: Callable[..., Path]) -> None:
    root = tree({"m.csv": "where,said,heard\nx/a.dat,hello,world\n"})
    made = table(root / "m.csv", columns={"eeg": "where", "text": ["said"], "narration": "heard"})
    assert [(r.modality, r.text) for r in made] == [("eeg", None), ("text", "hello"), ("narration", "world")]
    with pytest.raises(ModalignError, match="no column wher: its columns are where, said, heard"):
        table(root / "m.csv", columns={"eeg": "wher"})
    with pytest.raises(ModalignError, match="no column of a known name: its columns are where, said, heard; say which"):
        table(root / "m.csv")


def test_a_file_is_the_same_however_its_place_is_written(tree: Callable[..., Path]) -> None:
    root = tree({"list.csv": "photo,caption\na.jpg,one\n./a.jpg,two\nx/../a.jpg,three\n a.jpg,four\nb.jpg,five\n"})
    found = table(root / "list.csv")
    assert [(r.group, r.text) for r in found.modality("text")] == [
        (0, "one"), (0, "two"), (0, "three"), (0, "four"), (1, "five")
    ]  # fmt: skip
    assert len(found.modality("image")) == 2


def test_group_column(tree: Callable[..., Path]) -> None:
    path = tree({"m.csv": "image,thing\na.jpg,x\nb.jpg,y\nc.jpg,x\n"}) / "m.csv"
    assert table(path).group.tolist() == [0, 1, 2]  # type: ignore[union-attr]
    assert table(path, group="thing").group.tolist() == [0, 1, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", "image,text\n../a.jpg,x\n", r"line 2, names '\.\./a\.jpg'.*refused"),
        ("m.csv", "image,text\n/etc/passwd,x\n", "refused"),
        ("m.csv", "image,start\na.wav,soon\n", "line 2: start is 'soon'"),
        ("m.csv", "group,modality,uri,text\n0,image,,\n", "line 2: neither of uri and text"),
        ("m.csv", "group,modality,uri,text\n0,image,a.jpg,x\n", "line 2: both of uri and text"),
        ("m.csv", "group,modality,uri,text\n0,,a.jpg,\n", "line 2: the column modality is empty"),
        ("m.csv", "modality,text,extra\ntext,a,[1]\n", "no JSON object"),
        ("m.csv", "image,group\na.jpg,\n", "column group is empty"),
        ("m.jsonl", '{"image": "a.jpg"}\n{"image": \n', "line 2"),
        ("m.jsonl", "[1]\n", "entry 1: a int, not an object"),
        ("m.jsonl", '{"text": "a"}\n[1]\n', "a list, not an object"),
        ("m.jsonl", '{"image": {"bytes": "x"}}\n', "a file's name is expected, not dict"),
        ("m.csv", "version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], name: str, content: str, said: str) -> None:
    with pytest.raises(ModalignError, match=said) as caught:
        table(tree({name: content}) / name)
    assert "\n" not in str(caught.value)


def test_parquet_that_is_none_and_pyarrow_that_is_not_there(
    tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree({"m.parquet": "PAR0 no"})
    if ARROW:
        with pytest.raises(ModalignError, match="list is damaged"):
            table(root / "m.parquet")
        with pytest.raises(ModalignError, match="list not found"):
            table(root / "no.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"modalign\[data\]"):
        table(root / "m.parquet")


def test_other_extensions_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match=r"must be \.csv, \.tsv, \.jsonl or \.parquet"):
        write_table(_manifest(tmp_path), tmp_path / "a.xlsx")
