"""What a data set names is there, or counted with its reason: readers, one report each (docs/user-reports.md)."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign import cli
from modalign.data.audiocaps import audiocaps
from modalign.data.audioset import audioset
from modalign.data.clips import clips
from modalign.data.coco import coco
from modalign.data.folders import folders
from modalign.data.hf import hf
from modalign.data.manifest import Manifest
from modalign.data.table import table
from modalign.data.table_out import write_table
from modalign.data.tuxpaint import tuxpaint
from modalign.data.webdataset import webdataset
from modalign.data.youcook2 import youcook2
from modalign.errors import ModalignError
from modalign.features.store import Store

Tree = Callable[..., Path]
BREAKS = "one\u2028two\x85three"


def shard(path: Path, **members: bytes | str) -> Path:
    """A tar of members; "a__jpg" is named a.jpg."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            raw = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(re.sub("(?<=.)__", ".", name))
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def told(manifest: Manifest) -> set[tuple[str, str, int]]:
    return {(x.what, x.reason, x.count) for x in manifest.left_out}


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


# ------------------------------------------------------------------ samples of shards and clips


def test_parts_of_a_sample_join_wherever_they_stand(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", **{"000__png": b"x", "001__png": b"x", "000__txt": "zero", "001__txt": "one"})
    made = webdataset(path)
    assert len(made.groups()) == 2
    assert [(r.group, r.text) for r in made if r.text] == [(0, "zero"), (1, "one")]


def test_a_sample_torn_over_two_shards_is_refused_by_its_key(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", **{"000__png": b"x", "000__txt": "zero", "001__png": b"x"})
    shard(tmp_path / "b.tar", **{"001__txt": "one", "002__png": b"x", "002__txt": "two"})
    with pytest.raises(ModalignError, match=r"sample '001' is torn: a\.tar has its png, b\.tar its txt"):
        webdataset(tmp_path)
    assert len(webdataset(tmp_path, keys="all").groups()) == 3
    assert len(webdataset(tmp_path, keys="shard").groups()) == 4


def test_pictures_and_texts_in_shards_of_their_own_are_not_taken_for_strangers(tmp_path: Path) -> None:
    shard(tmp_path / "images.tar", **{f"{i}__png": b"x" for i in range(3)})
    shard(tmp_path / "texts.tar", **{f"{i}__txt": f"text {i}" for i in range(3)})
    with pytest.raises(ModalignError, match="3 such keys"):
        webdataset(tmp_path)
    made = webdataset(tmp_path, keys="all")
    assert [sorted(made[int(r)].modality for r in rows) for rows in (made.rows("image"), made.rows("text"))]
    assert sorted(made.group[made.rows("image")]) == sorted(made.group[made.rows("text")]) == [0, 1, 2]


def test_two_pictures_of_one_key_are_both_kept(tmp_path: Path) -> None:
    made = webdataset(shard(tmp_path / "s.tar", **{"1__jpg": b"x", "1__JPG": b"y", "1__txt": "a dog"}))
    assert made.modality_names == ("image", "image", "text")
    assert len(made.groups()) == 1


def test_a_member_that_comes_twice_and_one_without_a_key_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("1.txt", "1.txt", "README"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"a dog"))
    made = webdataset(path)
    assert made.text == ("a dog",)
    assert told(made) == {
        ("members", "a member of that name comes before", 1), ("members", "no key and extension in the name", 1)
    }  # fmt: skip


def test_an_archive_behind_another_is_told(tmp_path: Path) -> None:
    """As ``cat a.tar b.tar``: the reader of archives stops at the end of the first."""
    first = shard(tmp_path / "a.tar", **{"1__txt": "a dog"}).read_bytes()
    second = shard(tmp_path / "b.tar", **{"2__txt": "a cat"}).read_bytes()
    (tmp_path / "c.tar").write_bytes(first + second)
    made = webdataset(tmp_path / "c.tar")
    assert made.text == ("a dog",)
    assert "another archive follows" in made.left_out[0].reason
    (tmp_path / "d.tar").write_bytes(first[:1024])
    assert "no end mark" in webdataset(tmp_path / "d.tar").left_out[0].reason


def test_all_entries_of_a_clip_are_kept(tree: Tree) -> None:
    entries = [{"clip_id": "1", "desc": "a dog"}, {"clip_id": "1", "desc": "it barks"}, {"clip_id": "1", "desc": None}]
    root = tree({"videos/1.mp4": "x", "annotations.json": json.dumps(entries)})
    assert [t for t in clips(root).text if t] == ["a dog", "it barks"]


def test_a_second_file_of_a_clip_is_counted(tree: Tree) -> None:
    made = clips(tree({"videos/a/1.mp4": "x", "videos/b/1.mp4": "x"}), texts={"1": "a dog"})
    assert len(made.rows("video")) == 1
    assert told(made) == {("files", "of the same clip as another", 1)}


# ------------------------------------------------------------------ columns, cells, lines


def test_two_columns_of_one_name_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("photo,caption,caption\na.jpg,a dog,it runs\n")
    assert [t for t in table(path).text if t] == ["a dog", "it runs"]


def test_several_columns_of_texts_of_a_hugging_face_set_are_read() -> None:
    made = hf([{"caption_0": "a dog", "caption_1": "it runs"}, {"caption_0": "a cat"}])
    assert made.text == ("a dog", "it runs", "a cat")


def test_a_number_for_a_title_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"photo": "a.jpg", "title": 1984}\n{"photo": "b.jpg", "title": [1, true]}\n{"note": "x"}\n')
    made = table(path)
    assert [t for t in made.text if t] == ["1984", "1"]
    assert told(made) == {("texts", "no text but bool", 1), ("rows", "neither a file nor a text", 1)}


def test_a_row_without_a_number_is_counted_and_the_others_are_read(tree: Tree, tmp_path: Path) -> None:
    head = "audiocap_id,youtube_id,start_time,caption\n"
    made = audiocaps(tree({"train_v2.csv": f"{head}1,abcdefghijk,,lost\n2,bbcdefghijk,30,a bell\n"}), version="v2")
    assert [t for t in made.text if t] == ["a bell"]
    assert told(made) == {("rows", "start_time is '', not a number", 1)}
    assert made.left_out[0].places == ("train_v2.csv, line 2",)


def test_a_step_of_a_recipe_without_times_is_counted(tree: Tree) -> None:
    lines = "end,start,task,text,video_id\n41,20,101,chop,v1\n,,101,stir,v1\n"
    made = youcook2(tree({"validation_youcook.csv": lines}))
    assert [t for t in made.text if t] == ["chop"]
    assert told(made) == {("rows", "start is '', not a number", 1)}


def test_a_row_whose_times_mean_nothing_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("audio,caption,start,end\na.wav,a bell,0,2\nb.wav,a dog,5,3\nc.wav,a cat,soon,4\n")
    made = table(path)
    assert [t for t in made.text if t] == ["a bell"]
    assert sum(x.count for x in made.left_out) == 2


def test_a_cell_of_150000_characters_is_read(tmp_path: Path) -> None:
    words = "word " * 30_000
    for name, mark in (("m.csv", ","), ("m.tsv", "\t")):
        path = tmp_path / name
        path.write_text(f"photo{mark}caption\na.jpg{mark}{words}\n")
        assert len(table(path).text[1] or "") == 149_999


def test_a_list_with_carriage_returns_is_read_back(tmp_path: Path) -> None:
    made = Manifest.from_rows([{"group": 0, "modality": "text", "text": "one\rtwo, three"}])
    for name in ("m.csv", "m.tsv", "m.jsonl"):
        write_table(made, tmp_path / name)
        assert table(tmp_path / name)[0] == made[0]
    with (tmp_path / "m.csv").open(newline="") as handle:
        assert list(csv.reader(handle, strict=True))[1][3] == "one\rtwo, three"


def test_lines_of_a_text_file_end_at_line_feeds_alone(tree: Tree) -> None:
    made = folders(tree({"texts/a.txt": f"{BREAKS}\r\nfour\n"}), lines=True)
    assert made.text == (BREAKS, "four")


def test_a_label_list_with_a_line_separator_is_one_line(tree: Tree) -> None:
    files = {
        "class_labels_indices.csv": "index,mid,display_name\n0,/m/1,Dog\n",
        "eval_segments.csv": "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/1,\u2028/m/1"\n',
    }
    assert len(audioset(tree(files)).groups()) == 1


def test_a_name_of_a_stamp_keeps_its_breaks(tree: Tree) -> None:
    files = {
        "a/lion.png": "x", "a/lion.txt": f"A lion\x85of stone.\nfr.utf8=Un{chr(0x2028)}lion.",
        "a/lion_desc_fr.ogg": "x", "a/owl.png": "x", "a/owl.txt": "An owl.", "a/bare.txt": "Nothing.",
    }  # fmt: skip
    root = tree(files)
    made = tuxpaint(root, text="fr")
    assert [t for t in made.text if t] == ["Un\u2028lion."]
    assert told(made) == {("names", "not given in 'fr'", 1), ("stamps", "a name without a picture", 1)}


# ------------------------------------------------------------------ files of the system, and beside the others


def test_the_shadow_files_of_macos_are_nothing(tree: Tree) -> None:
    made = clips(tree({"videos/1.mp4": "x", "videos/._1.mp4": "x", "videos/__MACOSX/2.mp4": "x"}), texts={"1": "a"})
    assert len(made.groups()) == 1
    photos = {"annotations/captions_val2017.json": json.dumps(
        {"images": [{"id": 9, "file_name": "000000000009.jpg"}],
         "annotations": [{"id": 1, "image_id": 9, "caption": "food"}]}),
        "val2017/000000000009.jpg": "x", "val2017/._000000000009.jpg": "x"}  # fmt: skip
    assert Path(str(coco(tree(photos)).uri[0])).name == "000000000009.jpg"


def test_shadow_files_in_shards_are_nothing(tmp_path: Path) -> None:
    made = webdataset(shard(tmp_path / "s.tar", **{"._1__txt": "x", "1__txt": "a dog", "__MACOSX/1.txt": "x"}))
    shard(tmp_path / "._s.tar", **{"1__txt": "x"})
    assert made.text == ("a dog",)
    assert len(webdataset(tmp_path)) == 1
    assert made.left_out == ()


def test_files_beside_the_folders_of_classes_and_splits_are_counted(tree: Tree) -> None:
    made = folders(tree({"dog/1.jpg": "x", "cat/2.jpg": "x", "lost.jpg": "x"}))
    assert told(made) == {("files", "beside the folders of the classes", 1)}
    split = folders(tree({"split/train/images/1.jpg": "x", "split/images/9.jpg": "x"}) / "split")
    assert told(split) == {("files", "beside the folders of the splits", 1)}


# ------------------------------------------------------------------ on every way out


def test_a_cut_shard_is_told_on_the_terminal_in_json_and_in_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, store = tmp_path / "data", tmp_path / "store"
    data.mkdir()
    shard(data / "a.tar", **{"1__txt": "a dog", "2__txt": "x" * (1 << 21), "3__json": "{no json"})
    whole = shard(data / "b.tar", **{"1__txt": "a cat", "2__txt": "a bird"}).read_bytes()
    (data / "b.tar").write_bytes(whole[:1200])
    code, out, err = call(capsys, "embed", "webdataset", data, "--out", store, "--json")
    assert code == 0, err
    found = json.loads(out)["failures"]
    assert [f["count"] for f in found] == [1, 1, 1], found
    assert {f["what"] for f in found} == {"texts", "shards"}
    assert {f["places"][0] for f in found} == {"b.tar", "a.tar#2.txt", "a.tar#3.json"}
    assert "empty" not in " ".join(f["reason"] for f in found)
    assert [x.json() for x in Store.open(store).left_out] == found
    code, out, _ = call(capsys, "embed", "webdataset", data, "--out", store)
    assert "1 text left out, larger than 1 MiB: a.tar#2.txt" in out
    assert "1 shard left out" in out
    code, out, _ = call(capsys, "check", "webdataset", data, "--quick", "--json")
    assert json.loads(out)["failures"] == found


def test_what_is_left_out_reaches_scores_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"thing number {i}{BREAKS if i == 3 else ''}", "narration": f"the {i} thing"} for i in range(30)]
    lines = [*map(json.dumps, rows), json.dumps({"text": "odd", "start": "soon"})]
    (tmp_path / "m.jsonl").write_text("\n".join(lines) + "\n")
    columns = 'columns = {text = "text", narration = "narration"}'
    (tmp_path / "run.toml").write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nname = "table"\nroot = "{tmp_path / "m.jsonl"}"\n{columns}\n'
        '[encoders]\ntext = "minilm"\nnarration = "minilm"\n[method]\nname = "cca"\ndim = 4\n'
    )
    code, out, err = call(capsys, "train", tmp_path / "run.toml", "--json")
    assert code == 0, err
    assert json.loads(out)["data"]["failures"][0]["places"] == ["m.jsonl, line 31"]
    assert "1 row left out" in err
    assert "1 row left out" in (tmp_path / "run" / "report.html").read_text()
    code, out, err = call(capsys, "search", tmp_path / "run", f"thing number 3{BREAKS}", "--to", "text", "--json")
    assert code == 0, err
    assert json.loads(out)["hits"][0]["name"].endswith(BREAKS)
    code, out, err = call(capsys, "index", tmp_path / "run", "--json")
    assert json.loads(out)["failures"][0]["count"] == 1
