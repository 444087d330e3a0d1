"""LanceDB: what is written comes back, in the order of the exact answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from modalign.errors import MissingExtraError, ModalignError
from modalign.search import Index
from modalign.search.sinks import LanceSink

from .conftest import cloud, entries

try:
    import lancedb  # noqa: F401
except ImportError:
    pytest.skip("LanceDB is not installed (pip install 'modalign[lance]')", allow_module_level=True)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    z = cloud(50)
    index = Index.build(tmp_path / "index", z, entries(z)).delete(["image/3"])
    sink = LanceSink(str(tmp_path / "lance"))
    assert sink.write(index) == 99
    query = z["text"][7].double().numpy()
    right = [index.id(f.place) for f in index.nearest(query, ["image"], 5)]
    found = sink.search(query, "image", 5)
    assert [hit["id"] for hit in found] == right
    assert found[0]["cosine"] == pytest.approx(index.nearest(query, ["image"], 1)[0].cosine, abs=1e-5)
    assert sink.write(index.delete(["image/7"])) == 98  # written again: in place of the old rows
    assert "image/7" not in [hit["id"] for hit in sink.search(query, "image", 5)]


def test_cosines_of_an_indexed_table_are_cosines(tmp_path: Path) -> None:
    from lancedb.index import IvfSq

    z = cloud(300)
    index = Index.build(tmp_path / "index", z, entries(z))
    sink = LanceSink(str(tmp_path / "lance"))
    sink.write(index)
    table = sink.database.open_table("items")
    table.create_index("vector", config=IvfSq(distance_type="cosine", num_partitions=1))
    query = z["text"][7].double().numpy()
    cosines = {index.id(f.place): f.cosine for f in index.nearest(query, ["image", "text"], 50)}
    found = sink.search(query, k=5)
    assert [hit["cosine"] for hit in found] == pytest.approx([cosines[hit["id"]] for hit in found], abs=1e-5)
    assert found == sorted(found, key=lambda hit: -hit["cosine"])


def test_one_program_writes_a_table_at_a_time(tmp_path: Path) -> None:
    """Of two at once LanceDB ended one with an error of its own."""
    z = cloud(20)
    index = Index.build(tmp_path / "index", z, entries(z))
    sink = LanceSink(str(tmp_path / "lance"))

    def meanwhile(done: int, total: int, what: str) -> None:
        with pytest.raises(ModalignError, match="another program is writing to"):
            LanceSink(str(tmp_path / "lance")).write(index)

    assert sink.write(index, progress=meanwhile) == 40
    assert sink.write(index) == 40
    assert [p.name for p in (tmp_path / "lance").iterdir()] == ["items.lance"]


def test_mistakes_of_the_sink(tmp_path: Path) -> None:
    z = cloud(10)
    sink = LanceSink(str(tmp_path / "lance"))
    with pytest.raises(ModalignError, match="no table 'items'"):
        sink.search(z["text"][0].numpy())
    sink.write(Index.build(tmp_path / "index", z, entries(z)))
    with pytest.raises(ModalignError, match="5 dimensions, the table 16"):
        sink.search(z["text"][0].numpy()[:5])
    with pytest.raises(ModalignError, match="k must be at least 1"):
        sink.search(z["text"][0].numpy(), k=0)


def test_without_lancedb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingExtraError, match=r"modalign\[lance\]"):
        LanceSink(str(tmp_path))
