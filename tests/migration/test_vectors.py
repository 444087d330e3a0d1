"""Stores in every format: the same rows come out, in pieces, and what is broken is told."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modalign.errors import ModalignError
from modalign.migration import migrate, open_vectors
from modalign.search import Index

ROWS = np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)


def write(kind: str, folder: Path) -> Path:
    arrow = pytest.importorskip("pyarrow")
    path = folder / f"store.{kind}"
    if kind == "npy":
        np.save(path, ROWS)
    elif kind == "safetensors":
        save_file({"x": torch.from_numpy(ROWS)}, str(path))
    elif kind == "index":
        unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
        Index.build(path, {"text": unit}, {"text": [{"id": str(i)} for i in range(len(unit))]})
    elif kind == "lance":
        lancedb = pytest.importorskip("lancedb")
        vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(ROWS.ravel()), 6)
        lancedb.connect(str(folder)).create_table("store", arrow.table({"id": list(range(1000)), "vector": vectors}))
    else:
        vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(ROWS.ravel()), 6)
        table = arrow.table({"id": list(range(1000)), "vector": vectors})
        if kind == "parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, path, row_group_size=170)
        else:
            with arrow.OSFile(str(path), "wb") as sink, arrow.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=130)
    return path


@pytest.mark.parametrize("kind", ["npy", "safetensors", "parquet", "arrow", "lance", "index"])
def test_every_store_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    store = open_vectors(write(kind, tmp_path))
    want = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True) if kind == "index" else ROWS
    assert (store.rows, store.width) == (1000, 6)
    some = np.array([999, 3, 3, 500, 0])
    assert np.allclose(store.at(some), want[some], atol=1e-6)
    blocks = dict(store.blocks(300, 200))
    assert list(blocks) == [200, 500, 800]
    assert np.allclose(np.concatenate(list(blocks.values())), want[200:], atol=1e-6)
    assert store.at(some).dtype == np.float32
    with pytest.raises(ModalignError, match="row 1000 was asked for"):
        store.at(np.array([1000]))


@pytest.mark.parametrize("kind", ["F16", "BF16", "F64"])
def test_safetensors_of_other_precisions_are_read(kind: str, tmp_path: Path) -> None:
    types = {"F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
    x = torch.from_numpy(ROWS).to(types[kind])
    save_file({"x": x}, str(tmp_path / "a.safetensors"))
    store = open_vectors(tmp_path / "a.safetensors")
    assert np.array_equal(store.read(10, 20), x[10:20].float().numpy())


def test_a_mapped_file_is_not_read_as_a_whole(tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (4_000_000, 96)).flush()  # 1.5 GB, sparse
    size = 4_000_000 * 96 * 4
    head = json.dumps({"x": {"dtype": "F32", "shape": [4_000_000, 96], "data_offsets": [0, size]}}).encode()
    with (tmp_path / "big.safetensors").open("wb") as file:
        head += b" " * (-len(head) % 8)
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + size)
    for name in ("big.npy", "big.safetensors"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert open_vectors(tmp_path / name).at(np.array([3_999_999])).tolist() == [[0.0] * 96]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.npy", b"no numpy", "cannot be read"),
        ("x.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "cannot be read"),
        ("x.parquet", b"PAR1", "cannot be read"),
        ("x.arrow", b"ARROW", "cannot be read"),
        ("x.txt", b"1 2", "ends in"),
        ("none.npy", None, "does not exist"),
    ],
)
def test_what_is_broken_is_told_in_one_line(name: str, content: bytes | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModalignError, match=told) as problem:
        open_vectors(tmp_path / name)
    assert name in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_part_may_stand_behind_the_file(tmp_path: Path) -> None:
    tables = {"clip": torch.eye(3), "a#b": 2 * torch.eye(3)}
    save_file(tables, tmp_path / "x.safetensors")
    for name, table in tables.items():
        assert np.array_equal(open_vectors(f"{tmp_path}/x.safetensors#{name}").at(np.arange(3)), table.numpy())
    with pytest.raises(ModalignError, match=r"'clip' of .*x.safetensors is asked for, and 'a#b' behind its #"):
        open_vectors(f"{tmp_path}/x.safetensors#a#b", "clip")


def test_shapes_and_types_that_are_no_vectors(tmp_path: Path) -> None:
    for name, array in (("a", np.zeros(3)), ("b", np.zeros((2, 2), complex)), ("c", np.zeros((0, 3)))):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(ModalignError):
            open_vectors(tmp_path / f"{name}.npy")


def test_one_of_several_must_be_named(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, 2), "b": torch.zeros(2, 2)}, str(tmp_path / "x.safetensors"))
    with pytest.raises(ModalignError, match=r"several \(a, b\): say which tensor"):
        open_vectors(tmp_path / "x.safetensors")
    assert open_vectors(tmp_path / "x.safetensors", "b").at(np.array([0])).tolist() == [[0.0, 0.0]]
    with pytest.raises(ModalignError, match="unknown tensor"):
        open_vectors(tmp_path / "x.safetensors", "c")


def test_lists_of_unequal_length_are_no_store(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"v": [[1.0, 2.0], [1.0]]}), tmp_path / "x.parquet")
    with pytest.raises(ModalignError, match="unequal lengths"):
        open_vectors(tmp_path / "x.parquet")
    parquet.write_table(arrow.table({"v": [[1.0, 2.0], None]}), tmp_path / "y.parquet")
    with pytest.raises(ModalignError, match="missing"):
        open_vectors(tmp_path / "y.parquet")


LISTS = {  # rows of two and more row groups; what is said where they are no store
    "a sum that divides": ([[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]], r"unequal lengths \(1, 3\)"),
    "an empty one": ([[1.0, 2.0], [], [3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], r"unequal lengths \(0, 2\)"),
    "groups of two widths": ([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], r"group 1.*lengths \(2, 3\)"),
}


@pytest.mark.parametrize("name", LISTS)
def test_numbers_never_move_to_another_vector(name: str, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, told = LISTS[name]
    parquet.write_table(arrow.table({"v": rows}), tmp_path / "x.parquet", row_group_size=2)
    with pytest.raises(ModalignError, match=told):
        open_vectors(tmp_path / "x.parquet").read(0, len(rows))


def test_lists_as_polars_writes_them(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    column = arrow.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], arrow.large_list(arrow.float64()))
    parquet.write_table(arrow.table({"v": column}), tmp_path / "x.parquet", row_group_size=2)
    assert open_vectors(tmp_path / "x.parquet").at(np.array([2, 0])).tolist() == [[5.0, 6.0], [1.0, 2.0]]


def test_what_was_opened_is_a_store(tmp_path: Path) -> None:
    """It was read as an array of one object."""
    old = np.random.default_rng(0).standard_normal((60, 6), np.float32)
    np.save(tmp_path / "old.npy", old)
    pairs = np.stack([np.arange(30)] * 2, 1)
    whole, opened = (
        migrate(x, old[:, ::-1], pairs, methods=["orthogonal"]) for x in (old, open_vectors(tmp_path / "old.npy"))
    )
    assert opened.facts["queries"]["kept"] == whole.facts["queries"]["kept"]


def test_a_row_group_is_read_in_pieces_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pandas writes it, a whole store of a million rows is one group: it took three times its size to read."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("modalign.migration.stores.BLOCK", 64)
    x = np.random.default_rng(0).standard_normal((1000, 48), np.float32)
    column = arrow.FixedSizeListArray.from_arrays(arrow.array(x.ravel()), 48)
    parquet.write_table(arrow.table({"v": column}), tmp_path / "x.parquet", row_group_size=300, data_page_size=4096)
    store, draw = open_vectors(tmp_path / "x.parquet"), np.random.default_rng(1)
    assert (store.rows, store.width) == x.shape
    for _ in range(20):
        rows = draw.integers(0, 1000, draw.integers(1, 40))
        assert np.array_equal(store.at(rows), x[rows])
        start, stop = np.sort(draw.integers(0, 1001, 2))
        assert np.array_equal(store.read(start, stop) if stop > start else x[start:stop], x[start:stop])
    assert np.array_equal(np.concatenate([b for _, b in store.blocks(100)]), x)
