"""Lists as spreadsheets, statistics programs and careless hands write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.audiocaps import audiocaps
from modalign.data.clotho import clotho
from modalign.data.esc50 import esc50
from modalign.data.howto100m import howto100m
from modalign.data.msrvtt import msrvtt
from modalign.data.rows import Rows
from modalign.data.table import table
from modalign.data.youcook2 import youcook2
from modalign.errors import ModalignError
from modalign.features.reading import remarks

Tree = Callable[..., Path]


def told(manifest: object) -> list[str]:
    return [x.line for x in manifest.left_out]  # type: ignore[attr-defined]


def test_the_line_by_which_excel_is_told_the_delimiter(tree: Tree) -> None:
    made = table(tree({"a.csv": "sep=;\r\nphoto;caption\r\na.jpg;a dog, asleep\r\n"}) / "a.csv")
    assert made.text == (None, "a dog, asleep")
    with pytest.raises(ModalignError, match="line 3"):  # lines are those of the file
        table(tree({"b.csv": 'sep=;\nphoto;caption\na.jpg;"a" dog\n'}) / "b.csv")


def test_times_with_a_decimal_comma_and_as_clocks(tree: Tree) -> None:
    body = "sound;caption;start;end\na.wav;x;1,5;2,75\nb.wav;y;00:01:05;1:10.5\n"
    made = table(tree({"a.csv": body}) / "a.csv").modality("audio")
    assert [(r.start, r.end) for r in made] == [(1.5, 2.75), (65.0, 70.5)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.xlsx",
            b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml",
            "a spreadsheet, not text: save it as CSV",
        ),
        ("a.csv", b"PK\x03\x04....xl/workbook.xml", "a spreadsheet, not text"),
        ("a.ods", b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "a spreadsheet, not text"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel file, not text: save it as CSV"),
        ("a.csv", b"PAR1\0\0\0", "a Parquet file"),
        ("a.csv", "photo,caption\na.jpg,b\n".encode("utf-16-le"), "binary data, not text"),
        ("a.zip", b"PK\x03\x04a.jpg", "a zip archive, not text: unpack it first"),
    ],
)
def test_files_that_are_no_text_are_called_what_they_are(tree: Tree, name: str, content: bytes, said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        table(tree({name: content}) / name)


def test_a_row_of_another_width_is_counted_and_the_others_are_read(tree: Tree) -> None:
    made = table(
        tree({"a.csv": "photo,caption,split\na.jpg,dog,train\nb.jpg,cat\nc.jpg,a, b,train\nd.jpg,cow,test\ne.jpg,e,\n"})
        / "a.csv"
    )
    assert [t for t in made.text if t] == ["dog", "cow", "e"]
    assert told(made) == ["2 rows left out, not of 3 fields, as the first line has: a.csv, line 3, a.csv, line 4"]


def test_a_list_most_of_whose_rows_have_another_width_is_refused(tree: Tree) -> None:
    with pytest.raises(ModalignError, match=r"1 row without the 2 fields .*holds the delimiter ',' needs quotes"):
        table(tree({"a.csv": "photo,caption\na.jpg,a dog, barking\nb.jpg,cat\n"}) / "a.csv")


def test_published_lists_count_rows_of_another_width(tree: Tree) -> None:
    head = "audiocap_id,youtube_id,start_time,caption\n"
    body = head + "1,-abcdefghij,30,x\n2,abcdefghijk,0,y\nwhimpering\n"
    made = audiocaps(tree({"a/train.csv": body}) / "a")
    assert len(made) == 4
    assert told(made) == ["1 row left out, not of 4 fields, as the first line has: train.csv, line 4"]
    body = "file_name,caption_1\na.wav,b\nb.wav,c\nc.wav\n"
    made = clotho(tree({"c/clotho_captions_development.csv": body}) / "c")
    assert (len(made), len(told(made))) == (4, 1)


def test_steps_whose_times_are_out_of_order_are_counted(tree: Tree) -> None:
    head = "video_id,start,end,task,text\n"
    root = tree({"validation_youcook.csv": head + "a,9,5,t,x\nb,5,9,t,y\n"})
    made = youcook2(root)
    assert (made.text, told(made)) == ((None, "y"), ["1 step left out, times are not 0 <= start < end: a from 9 to 5"])


def test_quotes_in_tab_separated_lists_are_letters_where_nothing_quotes(tree: Tree) -> None:
    body = 'photo\tcaption\na.jpg\t12" record\nb.jpg\t"hi" he said\nc.jpg\t"open\n'
    assert table(tree({"a.tsv": body}) / "a.tsv").text[1::2] == ('12" record', '"hi" he said', '"open')
    quoted = 'photo\tcaption\na.jpg\t"a ""big"" dog"\n'
    assert table(tree({"b.tsv": quoted}) / "b.tsv").text[1] == 'a "big" dog'
    with pytest.raises(ModalignError, match="line 2: a quote within a quoted field is written twice"):
        table(tree({"c.csv": 'photo,caption\na.jpg,"hi" he said\n'}) / "c.csv")


def test_blanks_after_commas(tree: Tree) -> None:
    made = table(tree({"a.csv": 'photo, caption\na.jpg, "dog, big"\n b.jpg , cat \n'}) / "a.csv")
    assert made.text[1::2] == ("dog, big", "cat")
    assert [Path(u).name for u in made.uri if u] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("shape", ["array", "lines", "pretty"])
def test_json_under_the_ending_json(tree: Tree, shape: str) -> None:
    rows = [{"image": "a.jpg", "caption": "dog"}, {"image": "b.jpg", "caption": "cat", "start": "x"}]
    lines = "\n".join(map(json.dumps, rows))
    body = {"array": json.dumps(rows), "lines": lines, "pretty": json.dumps(rows, indent=1)}[shape]
    made = table(tree({"a.json": body}) / "a.json")
    assert made.text == (None, "dog")
    assert made.left_out[0].places == (
        {"array": "a.json, line 1", "lines": "a.json, line 2", "pretty": "a.json, line 10"}[shape],
    )
    with pytest.raises(ModalignError, match="a list is one JSON array of objects, or one object a line"):
        table(tree({"b.json": '{\n "data": [1]\n}'}) / "b.json")


@pytest.mark.parametrize(
    ("column", "values"),
    [("Split", "train test"), ("SPLIT ", "Train Test"), ("subset", "training eval"), ("Set", "dev test")],
)
def test_a_split_under_another_name_is_no_mere_remark(tree: Tree, column: str, values: str) -> None:
    first, second = values.split()
    made = table(tree({"a.csv": f"photo,caption,{column}\na.jpg,dog,{first}\nb.jpg,cat,{second}\n"}) / "a.csv")
    assert set(made.splits) <= {"train", "val", "test"}
    assert len(set(made.splits)) == 2
    other = table(tree({"b.csv": "photo,caption,set\na.jpg,dog,Lego\n"}) / "b.csv")
    assert (set(other.splits), other.extra["set"]) == ({""}, ("Lego", "Lego"))


def test_a_column_of_files_of_several_kinds(tree: Tree) -> None:
    made = table(tree({"a.csv": "file_name,text\na.jpg,dog\nb.wav,bark\nc.mp4,run\nd.scan,x\ne.png,y\n"}) / "a.csv")
    assert [m for m in made.modality_names if m != "text"] == ["image", "audio", "video", "image", "image"]
    named = table(tree({"a.csv": "file_name,text\na.jpg,dog\nb.wav,bark\n"}) / "a.csv", columns={"image": "file_name"})
    assert named.modalities == ("image",)


def test_files_on_the_web_are_counted_and_local_addresses_read(tree: Tree) -> None:
    root = tree({"my dog.jpg": b"x"})
    body = f"photo,caption\nhttps://example.org/a.jpg,dog\n{(root / 'my dog.jpg').as_uri()},cat\ns3://x/b.jpg,cow\n"
    made = table(tree({"a.csv": body}) / "a.csv")
    assert [u for u in made.uri if u] == [str(root / "my dog.jpg")]
    assert told(made)[0].startswith("2 files left out, not on this machine, and nothing is downloaded: https://example")


def test_a_root_on_the_web_is_told(tree: Tree) -> None:
    for root in ("https://example.org/list.csv", Path("s3://bucket/list.csv")):
        with pytest.raises(ModalignError, match="not on this machine, and nothing is downloaded"):
            table(root)


def test_groups_written_as_whole_and_as_decimal_numbers_are_the_same(tree: Tree) -> None:
    body = "group,modality,uri,text\n7.0,text,,dog\n7,image,a.jpg,\n8.0,text,,cat\n"
    assert table(tree({"a.csv": body}) / "a.csv").group.tolist() == [7, 7, 8]
    lines = [{"group": 7.0, "photo": "a.jpg"}, {"group": "7", "caption": "x"}]
    assert len(table(tree({"a.jsonl": "\n".join(map(json.dumps, lines))}) / "a.jsonl").groups()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("group,photo,caption\n1,a.jpg,dog\n,b.jpg,cat\n", "the column group is empty"),
        ("group,modality,uri,text\n1,text,,dog\n2,,,cat\n", "the column modality is empty"),
        ("group,modality,uri,text\n1,text,,dog\n2,image,,\n", "neither of uri and text is given; it needs one"),
    ],
)
def test_a_row_that_says_too_little_is_counted(tree: Tree, body: str, reason: str) -> None:
    made = table(tree({"a.csv": body}) / "a.csv")
    assert ([t for t in made.text if t], told(made)) == (["dog"], [f"1 row left out, {reason}: a.csv, line 3"])


def test_a_cell_that_is_no_file_name_is_counted(tree: Tree) -> None:
    lines = [{"image": "a.jpg", "caption": "x"}, {"image": 5, "caption": "y"}]
    made = table(tree({"a.jsonl": "\n".join(map(json.dumps, lines))}) / "a.jsonl")
    assert told(made) == [
        "1 row left out, a file's name is expected, not int (data set 'hf' reads bytes): a.jsonl, line 2"
    ]


def test_a_photo_in_two_splits_is_told(tree: Tree) -> None:
    made = table(tree({"a.csv": "photo,caption,split\na.jpg,dog,train\na.jpg,hound,test\n"}) / "a.csv")
    assert told(made) == ["1 file left out, in split 'test' too, and kept in 'train': a.jpg"]


def test_errors_of_spreadsheets_are_no_captions_and_nan_is_told() -> None:
    rows = Rows("x", {})
    assert [rows.text(0, t) for t in ("#NAME?", "#N/A", "nan", "a dog")] == [False, False, True, True]
    said = "'#NAME?', as programs write where there is none"
    assert rows.manifest().left_out[0].line == f"1 text left out, {said}: group 0"
    marks = remarks(["nan", "a dog"], object())  # type: ignore[arg-type]
    assert marks == ['1 text reads as a word what programs write for nothing: "nan"']


def test_a_list_in_utf16_that_is_cut_within_a_letter(tree: Tree) -> None:
    body = "photo,caption\na.jpg,dog\nb.jpg,cat\n".encode("utf-16")
    assert "dog" in table(tree({"a.csv": body[:-3]}) / "a.csv").text


def test_one_bad_entry_does_not_refuse_a_published_list(tree: Tree) -> None:
    """Of HowTo100M, YouCook2, ESC-50 and MSR-VTT."""
    words = {"v": {"start": [0], "end": [4], "text": ["a"]}, "w": None}
    step = {"segment": [1, 5], "sentence": "x"}
    parts = [step, {"segment": [5]}, {"segment": ["a", 9]}]
    cooked = {"database": {"a": {"subset": "training", "recipe_type": "1", "annotations": parts}}}
    head = "filename,fold,target,category,esc10,src_file,take\n"
    esc = head + "1-1-A-0.wav,1,0,dog,True,1,A\n1-2-A-0.wav,x,0,dog,True,2,A\n"
    said = [{"video_id": "video0", "caption": "x"}, {"video_id": "video0"}]
    clips = {"videos": [{"video_id": "video0", "split": "train"}], "sentences": said}
    root = tree({"h/caption.json": words, "y/youcookii_annotations_trainval.json": cooked, "e/meta/esc50.csv": esc,
                 "m/MSRVTT_data.json": clips})  # fmt: skip
    for made, count in (
        (howto100m(root / "h"), 1), (youcook2(root / "y"), 2), (esc50(root / "e", fold=1), 1),
        (msrvtt(root / "m", protocol="full"), 1),
    ):  # fmt: skip
        assert len(made) == 2
        assert sum(x.count for x in made.left_out) == count
