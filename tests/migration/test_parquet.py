"""A Parquet table mapped as a whole: its vectors by the adapter, the rest as it was, as other libraries read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.migration import migrate, open_vectors
from modalign.migration.in_parquet import map_parquet
from modalign.migration.remap import remap

from .conftest import Models, adapter_of

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def table_of(rows: torch.Tensor, kind: str) -> object:
    flat = arrow.array(rows.numpy().ravel())
    if kind == "fixed":
        vectors = arrow.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    else:
        make = arrow.LargeListArray if kind == "large" else arrow.ListArray
        vectors = make.from_arrays(np.arange(0, rows.numel() + 1, rows.shape[1]), flat)
    text = [f"text {i}" for i in range(len(rows))]
    return arrow.table({"text": text, "vector": vectors, "tags": [[i, 2 * i] for i in range(len(rows))]})


@pytest.mark.parametrize("kind", ["list", "large", "fixed"])
def test_the_column_is_mapped_and_the_rest_stays(
    kind: str, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.migration.in_parquet.BLOCK", 256)
    table = table_of(models.old[:1000], kind).replace_schema_metadata({"made": "by hand"})
    parquet.write_table(table, tmp_path / "old.parquet", row_group_size=300)
    adapter, seen = adapter_of("", models), []
    found = map_parquet(adapter, tmp_path / "old.parquet", tmp_path / "new.parquet", progress=lambda *x: seen.append(x))
    assert found == (1000, 0)
    assert seen[-1] == (1000, 1000, "mapping")
    new = parquet.read_table(tmp_path / "new.parquet")
    assert new.drop_columns("vector").equals(table.drop_columns("vector"))
    assert new.schema.metadata == {b"made": b"by hand"}
    width = adapter.dim if kind == "fixed" else None
    want = {"list": arrow.list_, "large": arrow.large_list, "fixed": lambda t: arrow.list_(t, width)}[kind]
    assert new.schema.field("vector").type == want(arrow.float32())
    rows = open_vectors(tmp_path / "new.parquet").read(0, 1000)
    assert np.allclose(rows, adapter(models.old[:1000]), atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.parquet", "old.parquet"]


@pytest.mark.parametrize("kind", ["list", "fixed"])
def test_datasets_reads_it_with_vectors_of_the_new_width(kind: str, models: Models, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    vector = datasets.List(datasets.Value("float64"), length=models.old.shape[1] if kind == "fixed" else -1)
    old = datasets.Dataset.from_dict(
        {"text": ["a"] * 50, "vector": models.old[:50].double().tolist()},
        features=datasets.Features({"text": datasets.Value("string"), "vector": vector}),
    )
    old.to_parquet(tmp_path / "old.parquet")
    adapter = adapter_of("", models)
    assert adapter.dim != adapter.width
    map_parquet(adapter, tmp_path / "old.parquet", tmp_path / "new.parquet")
    new = datasets.Dataset.from_parquet(str(tmp_path / "new.parquet"), cache_dir=str(tmp_path / "cache"))
    assert new["text"][:] == ["a"] * 50
    assert np.allclose(np.array(new["vector"][:]), adapter(models.old[:50]), atol=1e-6)


def test_a_table_is_mapped_once_and_a_failure_leaves_nothing(models: Models, tmp_path: Path) -> None:
    old, new = models.old[:600], models.old[:600].roll(3, 1).contiguous()
    migrate(old, new, np.stack([np.arange(60)] * 2, 1), tmp_path / "m", methods=["orthogonal"])
    parquet.write_table(table_of(old, "list"), tmp_path / "old.parquet")
    told = remap(tmp_path / "m", tmp_path / "old.parquet", tmp_path / "new.parquet")
    assert (told["rows"], told["bare"]) == (600, 0)
    assert remap(tmp_path / "m", tmp_path / "old.parquet#vector", tmp_path / "named.parquet")["rows"] == 600
    assert parquet.read_table(tmp_path / "named.parquet").equals(parquet.read_table(tmp_path / "new.parquet"))
    with pytest.raises(ModalignError, match="has mapped already"):
        remap(tmp_path / "m", tmp_path / "new.parquet", tmp_path / "again.parquet")
    with pytest.raises(ModalignError, match="exists already"):
        remap(tmp_path / "m", tmp_path / "old.parquet", tmp_path / "new.parquet")
    np.save(tmp_path / "old.npy", old.numpy())
    with pytest.raises(ModalignError, match=r"\.npy"):
        remap(tmp_path / "m", tmp_path / "old.npy", tmp_path / "again.parquet")
    holes = table_of(old, "list").to_pylist()
    holes[500]["vector"] = None
    parquet.write_table(arrow.Table.from_pylist(holes), tmp_path / "holes.parquet", row_group_size=100)
    with pytest.raises(ModalignError, match=r"holes\.parquet.*1 vectors are missing"):
        remap(tmp_path / "m", tmp_path / "holes.parquet", tmp_path / "again.parquet")
    assert not [p for p in tmp_path.iterdir() if "again" in p.name]
