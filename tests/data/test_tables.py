"""Lists as they really look: encodings, quotes, damage, pointers, gigabytes of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.lists import decode, read_json, read_list, stream_json
from modalign.data.tables import number, parse_csv, read_csv
from modalign.errors import ModalignError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:7da8\nsize 64791348\n"


@pytest.mark.parametrize(
    ("raw", "text", "encoding"),
    [
        ("naïve".encode(), "naïve", "utf-8"),
        ("\ufeffid,text".encode(), "id,text", "utf-8"),
        ("naïve".encode("utf-16"), "naïve", "utf-16"),
        ("개가 크게 짖는다".encode("cp949"), "개가 크게 짖는다", "cp949"),
        ("the dog’s bark, a café".encode("cp1252"), "the dog’s bark, a café", "cp1252"),
        (b"a \x81\x8d b", "a \x81\x8d b", "latin-1"),
    ],
)
def test_encoding_is_found_out(raw: bytes, text: str, encoding: str) -> None:
    assert decode(raw) == (text, encoding)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, "Git LFS pointer"),
        ("", "empty"),
        ("<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x1f\x8brest", "gzip archive"),
    ],
)
def test_what_is_no_list_is_named(tree: Callable[..., Path], content: str | bytes, said: str) -> None:
    with pytest.raises(ModalignError, match=said) as caught:
        read_list(tree({"a.csv": content}) / "a.csv")
    assert "\n" not in str(caught.value)
    assert "a.csv" in str(caught.value)


def test_missing_list(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="not found"):
        read_list(tmp_path / "no.csv")


def test_quoted_commas_quotes_tabs_newlines(tree: Callable[..., Path]) -> None:
    root = tree({"a.csv": 'id,text\r\n1,"He said ""hi"", then\nleft"\r\n2,a\tb\r\n'})
    rows = read_csv(root / "a.csv", ("id", "text")).rows
    assert [r.fields["text"] for r in rows] == ['He said "hi", then\nleft', "a\tb"]
    assert [r.line for r in rows] == [3, 4]


def test_missing_columns_and_those_there_are(tree: Callable[..., Path]) -> None:
    with pytest.raises(ModalignError, match=r"has no column filepath: its columns are id, text"):
        read_csv(tree({"a.csv": "id,text\n"}) / "a.csv", ("filepath",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n3\n4,5,6\n", r"2 rows without the 2 fields of its first line \(lines 3, 4\)"),
        ('a,b\n1,"2\n3,4\n', "line 3"),
    ],
)
def test_damaged_rows_are_named_by_line(text: str, said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        parse_csv(text, Path("a.csv"))


def test_delimiter_is_found_in_the_header() -> None:
    for mark in ",\t;|":
        columns, rows = parse_csv(f"a{mark}b\n1{mark}x\n", Path("a"), delimiter=None)
        assert columns == ("a", "b")
        assert rows[0].fields == {"a": "1", "b": "x"}


def test_number_names_the_line(tree: Callable[..., Path]) -> None:
    table = read_csv(tree({"a.csv": "t\n1.5\nnan\n"}) / "a.csv")
    assert number(table.rows[0], "t", table.path) == 1.5
    with pytest.raises(ModalignError, match=r"a\.csv, line 3: t is 'nan', not a number"):
        number(table.rows[1], "t", table.path)


def test_json_of_the_wrong_kind_or_damaged(tree: Callable[..., Path]) -> None:
    root = tree({"a.json": [1], "b.json": '{"a": 1,\n "b": }'})
    with pytest.raises(ModalignError, match="holds a JSON list, not a dict"):
        read_json(root / "a.json")
    with pytest.raises(ModalignError, match="line 2"):
        read_json(root / "b.json")


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_stream_gives_what_json_gives(tree: Callable[..., Path], chunk: int) -> None:
    content = {f"v{i}": {"text": ['a "b", {c}', "é\n"], "start": [i, 12.5e1], "n": i} for i in range(20)}
    content["number"] = 12345  # type: ignore[assignment]
    path = tree({"a.json": json.dumps(content, indent=1)}) / "a.json"
    assert dict(stream_json(path, chunk=chunk)) == content


def test_stream_says_where_a_file_is_cut_off(tree: Callable[..., Path]) -> None:
    whole = json.dumps({"a": [1], "b": [2], "c": [3]})
    root = tree({"a.json": whole[:-3], "p.json": POINTER, "l.json": "[1]", "e.json": "{}"})
    with pytest.raises(ModalignError, match=r"cut off or damaged: .*, after 2 entries"):
        list(stream_json(root / "a.json"))
    with pytest.raises(ModalignError, match="LFS pointer"):
        list(stream_json(root / "p.json"))
    with pytest.raises(ModalignError, match="JSON object"):
        list(stream_json(root / "l.json"))
    assert list(stream_json(root / "e.json")) == []
