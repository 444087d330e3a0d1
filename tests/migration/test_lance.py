"""LanceDB tables: mapped beside themselves and in their place, killed at every stage, never mapped twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.migration import Adapter, map_lance, open_vectors
from modalign.migration.remap import remapped
from modalign.outputs import claim_file

from .conftest import Models, adapter_of

lancedb = pytest.importorskip("lancedb")
arrow = pytest.importorskip("pyarrow")


def table_of(folder: Path, models: Models, rows: int) -> Any:
    """A table whose first column of lists holds no vectors."""
    old = models.old.repeat(-(-rows // len(models.old)), 1)[:rows]
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(old.numpy().ravel()), 24)
    columns = {"tags": [["a", "b"]] * rows, "name": [f"item {i}" for i in range(rows)], "vector": vectors}
    return lancedb.connect(str(folder)).create_table("items", arrow.table(columns))


def test_a_table_is_replaced_and_comes_back(models: Models, tmp_path: Path) -> None:
    adapter = adapter_of("", models)
    table = table_of(tmp_path, models, 3000)
    told = map_lance(adapter, str(tmp_path), "items")
    assert told == {"rows": 3000, "bare": 0, "table": "items_mapped", "version_before": None, "lost": []}
    assert table.count_rows() == 3000
    assert table.schema.field("vector").type.list_size == 24  # the old one is untouched
    told = map_lance(adapter, str(tmp_path), "items", replace=True)
    database = lancedb.connect(str(tmp_path))
    new = database.open_table("items")
    first = new.take_offsets([7]).to_arrow().to_pylist()[0]
    assert (first["name"], first["tags"]) == ("item 7", ["a", "b"])
    assert np.allclose(first["vector"], adapter(models.old[7:8])[0], atol=1e-5)
    hit = new.search(adapter(models.old[9:10])[0].numpy()).limit(1).to_list()[0]
    assert hit["name"] == "item 9"
    assert [p.name for p in tmp_path.iterdir()] == ["items.lance"]
    new.restore(told["version_before"])
    assert database.open_table("items").schema.field("vector").type.list_size == 24


def test_what_the_new_table_lacks_is_told(models: Models, tmp_path: Path) -> None:
    table = table_of(tmp_path, models, 1000)
    schema = table.schema.with_metadata({"embedding_functions": "[]", "own": "kept"})
    made = table.to_arrow().cast(schema)
    table = lancedb.connect(str(tmp_path)).create_table("items", made, schema=schema, mode="overwrite")
    table.create_index("name", config=lancedb.index.BTree())
    told = map_lance(adapter_of("", models), str(tmp_path), "items", replace=True)
    assert told["lost"] == ["index name_idx on name", "embedding functions"]
    words = remapped({**told, "store": "items", "out": "items"})
    assert "no longer: index name_idx on name, embedding functions" in words
    found = lancedb.connect(str(tmp_path)).open_table("items")
    assert found.schema.metadata == {b"own": b"kept"}
    found.restore(told["version_before"])
    assert [i.name for i in found.list_indices()] == ["name_idx"]


def square(models: Models) -> Adapter:
    """Between models of equal width: what was mapped fits the adapter again."""
    return Adapter("orthogonal", torch.eye(24).roll(1, 0), torch.zeros(24))


def test_a_table_is_not_mapped_twice(models: Models, tmp_path: Path) -> None:
    adapter = square(models)
    table_of(tmp_path, models, 100)
    map_lance(adapter, str(tmp_path), "items", replace=True)
    once = open_vectors(tmp_path / "items.lance").read(0, 100)
    assert np.allclose(once, models.old[:100].roll(-1, 1), atol=1e-6)
    for replace in (True, False):
        with pytest.raises(ModalignError, match="mapped already"):
            map_lance(adapter, str(tmp_path), "items", replace=replace)
    assert np.array_equal(open_vectors(tmp_path / "items.lance").read(0, 100), once)


def test_items_without_a_vector_stay_without(models: Models, tmp_path: Path) -> None:
    old = models.old[:40].numpy().copy()
    old[5, 3] = np.nan
    there = np.arange(40) != 9
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(old.ravel()), 24, mask=arrow.array(~there))
    rows = arrow.table({"name": [f"item {i}" for i in range(40)], "vector": vectors})
    table = lancedb.connect(str(tmp_path)).create_table("items", schema=rows.schema)
    table.add(rows, on_bad_vectors="null")
    table.delete("name = 'item 20'")
    adapter = adapter_of("", models)
    for replace in (False, True):
        told = map_lance(adapter, str(tmp_path), "items", replace=replace)
        assert (told["rows"], told["bare"]) == (39, 2)
        found = lancedb.connect(str(tmp_path)).open_table(told["table"]).to_arrow().to_pylist()
        assert [r["name"] for r in found if r["vector"] is None] == ["item 5", "item 9"]
        mapped = {r["name"]: r["vector"] for r in found if r["vector"] is not None}
        assert np.allclose(mapped["item 39"], adapter(models.old[39:40])[0], atol=1e-5)


def test_an_empty_table_is_left_alone(models: Models, tmp_path: Path) -> None:
    table_of(tmp_path, models, 3).delete("true")
    with pytest.raises(ModalignError, match=r"the store of vectors is empty: .*items\.lance has shape \(0, 24\)"):
        map_lance(adapter_of("", models), str(tmp_path), "items")
    assert [p.name for p in tmp_path.iterdir()] == ["items.lance"]


KILLED = """
import sys, time
from modalign.migration import in_lance, load_adapter
in_lance.BLOCK = 2048
def slow(done, total, what):
    print(what, flush=True)
    time.sleep(0.1)
if sys.argv[4] == "after":
    def stop(move):
        print("its place", flush=True)
        time.sleep(60)
    in_lance._tidy = stop
in_lance.map_lance(load_adapter(sys.argv[1]), sys.argv[2], "items", replace=True, progress=slow)
"""


def killed(stage: str, after: int, *arguments: str) -> None:
    """The program in a process of its own, no fork, which Lance does not bear; killed when it has told of a stage."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as lines:
        told = 0
        while told < after and (line := lines.readline()):
            told += line.strip() == stage
    assert process.poll() is None
    process.kill()
    process.wait()


def places(folder: Path) -> tuple[str, str]:
    return str(folder / "a"), str(folder / "db")


@pytest.mark.slow
def test_a_killed_mapping_loses_nothing_at_any_stage(models: Models, tmp_path: Path) -> None:
    table = table_of(tmp_path / "db", models, 12_000)
    adapter = square(models)
    adapter.save(tmp_path / "a")
    for stage in ("mapping", "putting the table in its place"):
        killed(stage, 2, *places(tmp_path), stage, "")
        table.checkout_latest()
        assert table.count_rows() == 12_000
        hit = table.search(models.old[9].numpy()).limit(1).to_list()[0]
        assert hit["_distance"] == pytest.approx(0.0, abs=1e-5)  # the old table still answers the old model
    killed("its place", 1, *places(tmp_path), "its place", "after")  # the table is in its place, but not tidied up
    seen: list[str] = []
    told = map_lance(adapter, str(tmp_path / "db"), "items", replace=True, progress=lambda d, t, w: seen.append(w))
    assert (told["rows"], told["version_before"], seen) == (12_000, table.version, [])
    new = open_vectors(tmp_path / "db" / "items.lance")
    want = models.old.repeat(4, 1).roll(-1, 1)
    assert np.allclose(new.read(0, 12_000), want, atol=1e-5)
    assert [p.name for p in (tmp_path / "db").iterdir()] == ["items.lance"]


def test_rows_without_a_direction_are_counted_over_a_stop(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.migration.in_lance.BLOCK", 100)
    old = models.old[:500].clone()
    old[[3, 150, 499]] = 0.0
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(old.numpy().ravel()), 24)
    lancedb.connect(str(tmp_path)).create_table("items", arrow.table({"vector": vectors}))

    def stop(done: int, total: int, what: str) -> None:
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_lance(adapter_of("", models), str(tmp_path), "items", progress=stop)
    told = map_lance(adapter_of("", models), str(tmp_path), "items")
    assert (told["rows"], told["bare"]) == (500, 3)
    assert "3 rows are zero" in remapped({**told, "store": "items", "out": "items_mapped"})


def test_a_table_is_mapped_by_one_program_at_a_time(models: Models, tmp_path: Path) -> None:
    adapter = adapter_of("", models)
    table_of(tmp_path, models, 50)
    with claim_file(tmp_path / "items.mapping.json"), pytest.raises(ModalignError, match="another program is writing"):
        map_lance(adapter, str(tmp_path), "items")
    for killed in (".items.mapping.arrow.0123abcd.tmp", ".items.mapping.json.0123abcd.tmp"):
        (tmp_path / killed).write_bytes(b"half")
    assert map_lance(adapter, str(tmp_path), "items", replace=True)["rows"] == 50
    assert [p.name for p in tmp_path.iterdir()] == ["items.lance"]


def test_mistakes_are_told(models: Models, tmp_path: Path) -> None:
    table_of(tmp_path, models, 50)
    adapter = adapter_of("", models)
    with pytest.raises(ModalignError, match="does not exist"):
        map_lance(adapter, str(tmp_path), "itmes")
    with pytest.raises(ModalignError, match="did you mean 'vector'"):
        map_lance(adapter, str(tmp_path), "items", "vectr")
    (tmp_path / "junk.lance").mkdir()
    with pytest.raises(ModalignError, match="cannot be read as a LanceDB table"):
        map_lance(adapter, str(tmp_path), "junk")
    lancedb.connect(str(tmp_path)).create_table("items_mapped", [{"a": 1}])
    with pytest.raises(ModalignError, match="drop or rename"):
        map_lance(adapter, str(tmp_path), "items")
