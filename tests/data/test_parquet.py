"""Parquet files: values of any type; those in a compression that pyarrow does not read are one line."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import modalign as ma
from modalign.data import Manifest
from modalign.data.entries import read_entries
from modalign.data.pairs import load_ids
from modalign.errors import ModalignError
from modalign.migration.stores import open_vectors


@pytest.mark.parametrize(
    ("part", "where"),
    [({"text": b"x"}, "the texts of 'm'"), ({"extra": {"raw": b"x"}}, "the column 'raw' of 'm'")],
)
def test_bytes_of_a_manifest_are_refused_where_they_are(part: dict[str, Any], where: str) -> None:
    with pytest.raises(ModalignError, match=f"{where}: bytes cannot be written as JSON"):
        Manifest.from_rows([{"group": 0, "modality": "text", "text": "a"} | part], name="m")


def test_dates_and_decimals_of_a_table_are_kept_and_bytes_are_counted(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    days = [date(2026, 11, 5), None]
    columns = {
        "caption": ["a cat", "a dog"], "day": days, "at": arrow.array([datetime(2026, 11, 5, 10), None]),
        "price": arrow.array([Decimal("1.50"), Decimal("2.00")]), "thumb": [b"\xff\x00", b"\xfe"],
    }  # fmt: skip
    parquet.write_table(arrow.table(columns), tmp_path / "list.parquet")
    found = ma.datasets.table(tmp_path / "list.parquet")
    assert found.extra == {
        "day": ("2026-11-05", None), "at": ("2026-11-05T10:00:00", None), "price": (1.5, 2.0),
    }  # fmt: skip
    told = "2 values of 'thumb' left out, bytes, which are no text or number: line 1, line 2"
    assert [x.line for x in found.left_out] == [told]
    found.save(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "manifest.json").extra == found.extra
    with pytest.raises(ModalignError, match="the column 'raw' of 'manifest': bytes cannot be written as JSON"):
        Manifest.from_rows([{"group": 0, "modality": "text", "text": "a cat", "extra": {"raw": b"x"}}])


def lzo(path: Path, columns: dict[str, list[Any]], leaf: str) -> Path:
    """A table of one column whose footer says that it is compressed by LZO, which pyarrow cannot write either."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path, compression=None)
    plain = bytes([len(leaf)]) + leaf.encode() + b"\x15\x00"  # the end of the column's path, then its codec: none
    content = path.read_bytes()
    assert content.count(plain) == 1
    path.write_bytes(content.replace(plain, plain[:-1] + b"\x06"))
    return path


def test_a_compression_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    ids = lzo(tmp_path / "ids.parquet", {"id": ["a", "b"]}, "id")
    with pytest.raises(ModalignError, match=r"list is damaged: .*ids\.parquet \(.*LZO"):
        read_entries(ids)
    with pytest.raises(ModalignError, match=r"file of ids is damaged: .*ids\.parquet \(.*LZO"):
        load_ids({"a": ids}, {"a": 2})
    vectors = lzo(tmp_path / "v.parquet", {"v": [[1.0, 2.0], [3.0, 4.0]]}, "element")
    with pytest.raises(ModalignError, match=r"vectors cannot be read: .*v\.parquet, row group 0 \(.*LZO"):
        open_vectors(vectors)


def test_a_group_of_vectors_that_is_damaged_is_named_when_it_is_read(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "v.parquet"
    parquet.write_table(arrow.table({"v": [[float(i)] for i in range(8)]}), path, row_group_size=4, compression=None)
    second = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    with path.open("r+b") as file:
        file.seek(second.dictionary_page_offset or second.data_page_offset)
        file.write(b"\xff" * 16)
    store = open_vectors(path)
    assert store.read(0, 4).tolist() == [[0.0], [1.0], [2.0], [3.0]]
    with pytest.raises(ModalignError, match=r"vectors cannot be read: .*v\.parquet, row group 1 \("):
        store.read(4, 8)
