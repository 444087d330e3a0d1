"""Adapters as files of other programs, each opened by that program; stores rewritten, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modalign.errors import ModalignError
from modalign.migration import (
    Adapter,
    curved,
    export,
    in_memory,
    linear,
    load_adapter,
    map_faiss,
    map_file,
    map_lance,
    open_vectors,
    queries_in_faiss,
    transport,
)  # fmt: skip
from modalign.migration.sample import Sample

from .conftest import Models


def adapter_of(bend: str, models: Models, norm: bool = False) -> Adapter:
    s = Sample(models.old[:400], models.new[:400], models.old[:1000], models.new[1000:])
    fits: dict[str, Any] = {
        "": linear.ridge,
        "kernel": lambda s: transport.with_kernel(
            transport.turn(s, rows=500).adapter(), s, 1.0, transport.landmarks(s, most=50)
        ),
        "perceptron": lambda s: curved.perceptron(s, hidden=8, epochs=3),
        "local": lambda s: curved.local(s, places=4),
    }
    found: Adapter = fits[bend](s)
    assert found.bend == bend
    return Adapter(**{**vars(found), "norm": (0.5, 0.2)}) if norm else found


BENDS = ["", "kernel", "perceptron", "local"]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("bend", BENDS)
def test_files_of_every_kind_say_the_same(bend: str, norm: bool, models: Models, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    adapter = adapter_of(bend, models, norm)
    x = (models.old[1000:1100] * torch.linspace(0.2, 5, 100)[:, None]).contiguous()
    want = adapter(x)
    written = export.write_files(adapter, tmp_path)
    assert torch.equal(load_adapter(tmp_path)(x), want)
    session = onnxruntime.InferenceSession(str(tmp_path / "adapter.onnx"), providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": x.numpy()})[0], want, atol=2e-5)
    np.save(tmp_path / "x.npy", x.numpy())
    subprocess.run([sys.executable, "adapter.py"], cwd=tmp_path, check=True)
    assert np.allclose(np.load(tmp_path / "y.npy"), want, atol=2e-5)
    assert ("dense/" in written) == (bend == "")
    assert len(export.numpy_lines(adapter).splitlines()) <= 13


def test_sentence_transformers_opens_the_dense_module(models: Models, tmp_path: Path) -> None:
    modules = pytest.importorskip("sentence_transformers.models")
    adapter = adapter_of("", models)
    export.write_dense(adapter, tmp_path)
    dense = modules.Dense.load(str(tmp_path))
    with torch.inference_mode():
        y = dense({"sentence_embedding": models.old[:9]})["sentence_embedding"]
    assert torch.allclose(torch.nn.functional.normalize(y, dim=1), adapter(models.old[:9]), atol=1e-5)
    with pytest.raises(ModalignError, match="linear"):
        export.write_dense(adapter_of("local", models), tmp_path / "b")


def test_tensors_are_plain_and_broken_ones_are_told(models: Models, tmp_path: Path) -> None:
    adapter_of("", models).save(tmp_path)
    assert set(load_file(tmp_path / "adapter.safetensors")) == {"weight", "bias"}
    (tmp_path / "adapter.safetensors").write_bytes(b"x")
    with pytest.raises(ModalignError, match="damaged"):
        load_adapter(tmp_path)
    (tmp_path / "adapter.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ModalignError, match="format"):
        load_adapter(tmp_path)
    with pytest.raises(ModalignError, match="not found"):
        load_adapter(tmp_path / "none")


def test_zero_rows_give_zero_rows_and_other_widths_are_refused(models: Models) -> None:
    adapter = adapter_of("", models)
    assert not adapter(torch.zeros(2, 24)).any()
    with pytest.raises(ModalignError, match="rows of 24"):
        adapter(torch.zeros(2, 3))


def test_a_file_is_mapped_in_blocks_and_appears_whole(models: Models, tmp_path: Path) -> None:
    adapter = adapter_of("", models)
    store = in_memory(models.old.repeat(20, 1))  # 60,000 rows: several blocks
    assert map_file(adapter, store, tmp_path / "new.npy") == 60_000
    assert np.allclose(np.load(tmp_path / "new.npy"), adapter(models.old.repeat(20, 1)), atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["new.npy"]
    with pytest.raises(ModalignError, match="exists already"):
        map_file(adapter, store, tmp_path / "new.npy")


SLOW = """
import sys, time
from pathlib import Path
from modalign.migration import load_adapter, open_vectors, map_file
folder = Path(sys.argv[1])
def slow(done, total, what):
    print(done, flush=True)
    time.sleep(0.05)
map_file(load_adapter(folder), open_vectors(folder / "old.npy"), folder / "new.npy", slow)
"""


def test_a_killed_mapping_goes_on_and_loses_nothing(models: Models, tmp_path: Path, monkeypatch: Any) -> None:
    adapter = adapter_of("", models)
    adapter.save(tmp_path)
    old = models.old.repeat(300, 1)  # 900,000 rows: 55 blocks
    np.save(tmp_path / "old.npy", old.numpy())
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) > 400_000:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "new.npy").exists()
    assert np.array_equal(np.load(tmp_path / "old.npy")[:5], old[:5])
    seen: list[int] = []
    map_file(adapter, open_vectors(tmp_path / "old.npy"), tmp_path / "new.npy", lambda d, t, w: seen.append(d))
    assert seen[0] > 200_000  # it went on, and did not start again
    assert np.allclose(np.load(tmp_path / "new.npy")[::1000], adapter(old[::1000]), atol=1e-6)


def test_a_part_of_another_adapter_is_not_gone_on_with(models: Models, tmp_path: Path) -> None:
    from modalign.files import write_json

    (tmp_path / ".new.npy.part").write_bytes(b"")
    write_json(tmp_path / ".new.npy.note", {"adapter": "other", "rows": 10, "width": 16, "done": 5})
    with pytest.raises(ModalignError, match="another store or adapter"):
        map_file(adapter_of("", models), in_memory(models.old[:10]), tmp_path / "new.npy")


@pytest.mark.parametrize("kind", ["Flat", "HNSW8", "IVF8,Flat", "IDMap,Flat"])
def test_a_faiss_index_is_mapped(kind: str, models: Models, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    adapter = adapter_of("kernel", models)
    old = faiss.index_factory(24, kind, faiss.METRIC_INNER_PRODUCT)
    rows = np.ascontiguousarray(models.old[:1500].numpy())
    old.train(rows)
    ids = np.arange(1500) + (70_000 if kind.startswith("IDMap") else 0)
    old.add_with_ids(rows, ids) if kind.startswith("IDMap") else old.add(rows)
    faiss.write_index(old, str(tmp_path / "old.faiss"))
    before = (tmp_path / "old.faiss").read_bytes()
    assert map_faiss(adapter, tmp_path / "old.faiss", tmp_path / "new.faiss") == 1500
    new = faiss.read_index(str(tmp_path / "new.faiss"))
    assert new.d == 16
    if hasattr(new, "nprobe"):
        new.nprobe = 8
    found = new.search(np.ascontiguousarray(models.new[:50].numpy()), 10)[1]
    truth = ids[(models.new[:50] @ adapter(models.old[:1500]).T).topk(10, dim=1).indices.numpy()]
    same = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    assert same > (0.8 if kind == "HNSW8" else 0.999)
    assert (tmp_path / "old.faiss").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"old.faiss", "new.faiss"}


def test_a_faiss_index_takes_queries_of_the_new_model(models: Models, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    s = Sample(models.new[:400], models.old[:400], models.new[1000:], models.old[:1000])
    adapter = linear.ridge(s)
    old = faiss.IndexFlatIP(24)
    old.add(np.ascontiguousarray(models.old[:1500].numpy()))
    faiss.write_index(old, str(tmp_path / "old.faiss"))
    queries_in_faiss(adapter, tmp_path / "old.faiss", tmp_path / "both.faiss")
    found = faiss.read_index(str(tmp_path / "both.faiss")).search(models.new[:30].numpy(), 5)[1]
    assert np.array_equal(found, (adapter(models.new[:30]) @ models.old[:1500].T).topk(5, dim=1).indices.numpy())
    with pytest.raises(ModalignError, match="linear"):
        queries_in_faiss(curved.local(s, places=2), tmp_path / "old.faiss", tmp_path / "c.faiss")


def test_a_quantised_faiss_index_is_refused(models: Models, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    old = faiss.index_factory(24, "SQ8")
    old.train(models.old[:500].numpy())
    old.add(models.old[:500].numpy())
    faiss.write_index(old, str(tmp_path / "old.faiss"))
    with pytest.raises(ModalignError, match="as they are"):
        map_faiss(adapter_of("", models), tmp_path / "old.faiss", tmp_path / "new.faiss")


def lance_table(folder: Path, models: Models, rows: int) -> Any:
    lancedb, arrow = pytest.importorskip("lancedb"), pytest.importorskip("pyarrow")
    old = models.old.repeat(40, 1)[:rows]
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(old.numpy().ravel()), 24)
    made = arrow.table({"name": [f"item {i}" for i in range(rows)], "vector": vectors})
    return lancedb.connect(str(folder)).create_table("items", made)


def test_a_lance_table_is_replaced_and_comes_back(models: Models, tmp_path: Path) -> None:
    adapter = adapter_of("", models)
    table = lance_table(tmp_path, models, 3000)
    told = map_lance(adapter, str(tmp_path), "items")
    assert told == {"rows": 3000, "table": "items_mapped", "version_before": None}
    assert table.count_rows() == 3000
    assert table.schema.field("vector").type.list_size == 24  # the old one is untouched
    told = map_lance(adapter, str(tmp_path), "items", replace=True)
    import lancedb

    database = lancedb.connect(str(tmp_path))
    new = database.open_table("items")
    first = new.take_offsets([7]).to_arrow().to_pylist()[0]
    assert first["name"] == "item 7"
    assert np.allclose(first["vector"], adapter(models.old[7:8])[0], atol=1e-5)
    hit = new.search(adapter(models.old[9:10])[0].numpy()).limit(1).to_list()[0]
    assert hit["name"] == "item 9"
    new.restore(told["version_before"])
    assert database.open_table("items").schema.field("vector").type.list_size == 24


KILLED = """
import sys, time
from modalign.migration import apply, load_adapter
apply.BLOCK = 2000
def slow(done, total, what):
    print(done, flush=True)
    time.sleep(0.2)
apply.map_lance(load_adapter(sys.argv[1]), sys.argv[2], "items", replace=True, progress=slow)
"""


def test_a_killed_lance_mapping_goes_on(models: Models, tmp_path: Path) -> None:
    table = lance_table(tmp_path / "db", models, 40_000)
    adapter = adapter_of("", models)
    adapter.save(tmp_path / "a")
    call = [sys.executable, "-c", KILLED, str(tmp_path / "a"), str(tmp_path / "db")]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 10_000:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    assert table.count_rows() == 40_000
    assert table.schema.field("vector").type.list_size == 24
    seen: list[int] = []
    told = map_lance(adapter, str(tmp_path / "db"), "items", replace=True, progress=lambda d, t, w: seen.append(d))
    assert told["rows"] == 40_000
    assert seen[0] > 10_000
    new = open_vectors(tmp_path / "db" / "items.lance")
    want = adapter(models.old.repeat(40, 1)[:40_000])
    assert np.allclose(new.at(np.arange(0, 40_000, 777)), want[::777], atol=1e-5)
