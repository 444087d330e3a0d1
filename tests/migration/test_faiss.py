"""Faiss indexes: mapped, killed at every stage and gone on with to the same bytes, and asked through an adapter."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import modalign as ma
from modalign.errors import ModalignError
from modalign.migration import Adapter, curved, linear, map_faiss, open_vectors, queries_in_faiss
from modalign.migration.linear import Sample
from modalign.migration.remap import remap

from .conftest import Models, adapter_of

faiss = pytest.importorskip("faiss")


def index_of(kind: str, models: Models, path: Path, rows: int = 1500, ids: np.ndarray | None = None) -> Any:
    """A written index of some kind over rows of the old model."""
    old = faiss.index_factory(24, kind, faiss.METRIC_INNER_PRODUCT)
    x = np.ascontiguousarray(models.old.repeat(-(-rows // len(models.old)), 1)[:rows].numpy())
    old.train(x)
    if ids is None:
        old.add(x)
    else:
        old.add_with_ids(x, ids)
    faiss.write_index(old, str(path))
    return old


KINDS = ["Flat", "HNSW8", "IVF8,Flat", "IVF8,Flat named", "IDMap,Flat", "IDMap2,HNSW8", "IDMap,IVF8,Flat"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_faiss_index_is_mapped(kind: str, models: Models, tmp_path: Path) -> None:
    named = kind.startswith("IDMap") or kind.endswith("named")
    ids = 70_000 + 3 * np.random.default_rng(0).permutation(1500) if named else np.arange(1500)
    index_of(kind.removesuffix(" named"), models, tmp_path / "old.faiss", ids=ids if named else None)
    before = (tmp_path / "old.faiss").read_bytes()
    adapter = adapter_of("kernel", models)
    assert map_faiss(adapter, tmp_path / "old.faiss", tmp_path / "new.faiss") == (1500, 0)
    new = faiss.read_index(str(tmp_path / "new.faiss"))
    assert type(new).__name__ == type(faiss.read_index(str(tmp_path / "old.faiss"))).__name__
    assert new.d == 16
    if "IVF" in kind:
        faiss.extract_index_ivf(new).nprobe = 8
    found = new.search(np.ascontiguousarray(models.new[:50].numpy()), 10)[1]
    truth = ids[(models.new[:50] @ adapter(models.old[:1500]).T).topk(10, dim=1).indices.numpy()]
    same = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    assert same > (0.8 if "HNSW" in kind else 0.999)
    assert (tmp_path / "old.faiss").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"old.faiss", "new.faiss"}


@pytest.mark.parametrize(
    ("kind", "stages"),
    [
        ("IDMap2,HNSW8", ["linking the graph", "linking the graph"]),
        ("IVF8,Flat", ["filling the index"]),
    ],
)
def test_a_killed_build_loses_nothing_and_ends_with_the_same_bytes(
    kind: str, stages: list[str], models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: ModuleType
) -> None:
    ids = 5 + 2 * np.arange(9000) if "IDMap" in kind else None
    old = index_of(kind, models, tmp_path / "old.faiss", 9000, ids)
    before, asked = (tmp_path / "old.faiss").read_bytes(), models.old[:20].numpy()
    lists = old.search(asked, 10)[1]
    adapter = adapter_of("", models)
    map_faiss(adapter, tmp_path / "old.faiss", tmp_path / "whole.faiss")
    monkeypatch.setattr("modalign.progress.Pause.over", lambda pause: True)
    for setting in ("apply.BLOCK", "in_faiss.BLOCK"):
        monkeypatch.setattr(f"modalign.migration.{setting}", 2048)
    sizes = []
    for stage in stages:
        children.killed(lambda slow: map_faiss(adapter, tmp_path / "old.faiss", tmp_path / "new.faiss", slow), stage, 2)
        assert not (tmp_path / "new.faiss").exists()
        assert (tmp_path / "old.faiss").read_bytes() == before
        assert np.array_equal(faiss.read_index(str(tmp_path / "old.faiss")).search(asked, 10)[1], lists)
        sizes += [faiss.read_index(str(p)).ntotal for p in tmp_path.glob("new.faiss.*.built")]
    seen: list[str] = []
    assert (
        map_faiss(adapter, tmp_path / "old.faiss", tmp_path / "new.faiss", lambda d, t, w: seen.append(w)).rows == 9000
    )
    assert "mapping" not in seen  # the rows were there already
    if "HNSW" in kind:
        assert 0 < sizes[0] < sizes[1] < 9000  # and so was a part of the graph, which the second call went on with
    assert (tmp_path / "new.faiss").read_bytes() == (tmp_path / "whole.faiss").read_bytes()
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith((".", "new.faiss."))]


def test_unfinished_work_of_another_adapter_is_not_gone_on_with(models: Models, tmp_path: Path) -> None:
    index_of("Flat", models, tmp_path / "old.faiss")
    for left in ("new.faiss.0123abcd.rows.npy", ".new.faiss.0123abcd.rows.npy.note", "new.faiss.0123abcd.built"):
        (tmp_path / left).write_bytes(b"left over")
    adapter = adapter_of("", models)
    map_faiss(adapter, tmp_path / "old.faiss", tmp_path / "new.faiss")
    assert {p.name for p in tmp_path.iterdir()} == {"old.faiss", "new.faiss"}
    found = open_vectors(tmp_path / "new.faiss").read(0, 1500)
    assert np.allclose(found, adapter(models.old[:1500]), atol=1e-6)


@pytest.mark.parametrize("kind", ["IVF8,Flat", "IDMap,Flat", "IDMap2,HNSW8"])
def test_an_index_is_a_store_of_vectors(kind: str, models: Models, tmp_path: Path) -> None:
    index_of(kind, models, tmp_path / "old.faiss", ids=np.arange(1500) if "IDMap" in kind else None)
    store = open_vectors(tmp_path / "old.faiss")
    assert (store.rows, store.width) == (1500, 24)
    assert np.array_equal(store.at(np.array([7, 3])), models.old[[7, 3]].numpy())
    moved = ma.migrate(tmp_path / "old.faiss", models.new[:300], [[i, i] for i in range(60)], methods=["ridge"])
    assert moved.facts["old"]["rows"] == 1500


@pytest.mark.parametrize("length", [1.0, 7.0])
def test_a_faiss_index_takes_queries_of_the_new_model(length: float, models: Models, tmp_path: Path) -> None:
    s = Sample(models.new[:400], models.old[:400], models.new[1000:], models.old[:1000])
    adapter = linear.ridge(s)
    index_of("Flat", models, tmp_path / "old.faiss")
    queries_in_faiss(adapter, tmp_path / "old.faiss", tmp_path / "both.faiss")
    found = faiss.read_index(str(tmp_path / "both.faiss")).search(length * models.new[:30].numpy(), 5)[1]
    assert np.array_equal(found, (adapter(models.new[:30]) @ models.old[:1500].T).topk(5, dim=1).indices.numpy())
    with pytest.raises(ModalignError, match="linear"):
        queries_in_faiss(curved.local(s, places=2), tmp_path / "old.faiss", tmp_path / "c.faiss")


def test_queries_whose_length_counts_are_not_put_before_an_index(models: Models, tmp_path: Path) -> None:
    old = faiss.IndexFlatL2(16)
    old.add(models.new[:100].numpy())
    faiss.write_index(old, str(tmp_path / "old.faiss"))
    with pytest.raises(ModalignError, match="lengths of queries"):
        queries_in_faiss(adapter_of("", models, norm=True), tmp_path / "old.faiss", tmp_path / "c.faiss")


def broken(kind: str, models: Models) -> Any:
    x = models.old[:500].numpy()
    old = faiss.index_factory(24, "SQ8" if kind == "quantised" else "Flat" if kind == "empty" else "IVF4,Flat")
    old.train(x)
    if kind == "quantised":
        old.add(x)
    if kind == "named twice":
        old.add_with_ids(x, np.arange(500) // 2)
    return old


@pytest.mark.parametrize(
    ("kind", "told"), [("quantised", "as they are"), ("named twice", "several rows"), ("empty", "is empty")]
)
def test_an_index_that_cannot_be_mapped_is_refused(kind: str, told: str, models: Models, tmp_path: Path) -> None:
    faiss.write_index(broken(kind, models), str(tmp_path / "old.faiss"))
    with pytest.raises(ModalignError, match=told):
        map_faiss(adapter_of("", models), tmp_path / "old.faiss", tmp_path / "new.faiss")
    assert [p.name for p in tmp_path.iterdir()] == ["old.faiss"]


def test_another_width_is_refused(models: Models, tmp_path: Path) -> None:
    index_of("Flat", models, tmp_path / "old.faiss")
    with pytest.raises(ModalignError, match="rows of 5 numbers"):
        map_faiss(Adapter("x", torch.eye(5), torch.zeros(5)), tmp_path / "old.faiss", tmp_path / "new.faiss")
    (tmp_path / "old.faiss").write_bytes((tmp_path / "old.faiss").read_bytes()[:900])
    with pytest.raises(ModalignError, match="cannot be read as a faiss index"):
        open_vectors(tmp_path / "old.faiss")


@pytest.mark.parametrize("kind", ["Flat", "IVF8,Flat", "IDMap,Flat"])
def test_an_index_is_mapped_once_by_a_migration(kind: str, models: Models, tmp_path: Path) -> None:
    turn = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(1))).Q
    index_of(kind, models, tmp_path / "old.faiss", ids=7 + 2 * np.arange(1500) if "IDMap" in kind else None)
    old = models.old[:1500]
    out, pairs = tmp_path / "moved", [[i, i] for i in range(100)]
    ma.migrate(tmp_path / "old.faiss", old[:300] @ turn, pairs, out, methods=["orthogonal"])
    remap(out, tmp_path / "old.faiss", tmp_path / "once.faiss")
    assert np.allclose(open_vectors(tmp_path / "once.faiss").read(0, 1500), old @ turn, atol=1e-4)
    with pytest.raises(ModalignError, match=r"once\.faiss holds vectors that this migration has mapped already"):
        remap(out, tmp_path / "once.faiss", tmp_path / "twice.faiss")
    remap(out, tmp_path / "old.faiss", tmp_path / "both.faiss", queries=True)
    asked = (old[:20] @ turn).numpy()
    assert faiss.read_index(str(tmp_path / "both.faiss")).search(asked, 1)[0] == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ModalignError, match=r"both\.faiss takes queries of the new model already"):
        remap(out, tmp_path / "both.faiss", tmp_path / "again.faiss", queries=True)
    assert not list(tmp_path.glob("*twice*")) + list(tmp_path.glob("*again*"))
