"""Adapters as files of other programs, each opened by that program; a file rewritten, killed and gone on with."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modalign.errors import ModalignError
from modalign.migration import export, in_memory, load_adapter, map_file, migrate, open_vectors
from modalign.migration.remap import remap

from .conftest import Models, adapter_of

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
    assert map_file(adapter, store, tmp_path / "new.npy") == (60_000, 0)
    assert np.allclose(np.load(tmp_path / "new.npy"), adapter(models.old.repeat(20, 1)), atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["new.npy"]
    with pytest.raises(ModalignError, match="exists already"):
        map_file(adapter, store, tmp_path / "new.npy")


def test_a_killed_mapping_goes_on_and_loses_nothing(
    models: Models, tmp_path: Path, monkeypatch: Any, children: ModuleType
) -> None:
    adapter = adapter_of("", models)
    monkeypatch.setattr("modalign.migration.apply.BLOCK", 1024)
    old = models.old.repeat(20, 1)  # 60,000 rows: 59 blocks
    np.save(tmp_path / "old.npy", old.numpy())
    store = open_vectors(tmp_path / "old.npy")
    children.killed(lambda slow: map_file(adapter, store, tmp_path / "new.npy", slow), "mapping", 27)
    assert not (tmp_path / "new.npy").exists()
    assert np.array_equal(np.load(tmp_path / "old.npy")[:5], old[:5])
    seen: list[int] = []
    map_file(adapter, open_vectors(tmp_path / "old.npy"), tmp_path / "new.npy", lambda d, t, w: seen.append(d))
    assert seen[0] > 16 * 1024  # it went on, and did not start again
    assert np.allclose(np.load(tmp_path / "new.npy")[::100], adapter(old[::100]), atol=1e-6)


def test_vectors_are_mapped_once_by_a_migration(models: Models, tmp_path: Path) -> None:
    """Put in the place of the old ones, under another name, or with half the digits."""
    turn = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(1))).Q
    old = torch.cat([torch.zeros(1, 24), models.old[:400]])  # a row without a direction first
    np.save(tmp_path / "old.npy", old.numpy())
    np.save(tmp_path / "new.npy", (old @ turn).numpy())
    pairs, out = [[i, i] for i in range(1, 101)], tmp_path / "moved"
    migrate(tmp_path / "old.npy", tmp_path / "new.npy", pairs, out, methods=["orthogonal"])
    for queries, source, right in ((False, "old", old @ turn), (True, "new", old)):
        mapped = tmp_path / f"mapped-{source}.npy"
        remap(out, tmp_path / f"{source}.npy", mapped, queries=queries)
        assert np.allclose(np.load(mapped)[1:], torch.nn.functional.normalize(right[1:], dim=1), atol=1e-4)
        np.save(tmp_path / f"half-{source}.npy", np.load(mapped).astype(np.float16))
        mapped.replace(tmp_path / f"{source}.npy")
        for name in (source, f"half-{source}"):
            with pytest.raises(ModalignError, match=f"{name}.npy holds vectors that this migration has mapped already"):
                remap(out, tmp_path / f"{name}.npy", tmp_path / "again.npy", queries=queries)
    remap(out, tmp_path / "new.npy", tmp_path / "there.npy")  # what came back to the old space may go again


def test_what_stays_as_it_is_may_be_mapped_again(models: Models, tmp_path: Path) -> None:
    np.save(tmp_path / "old.npy", models.old[:100].numpy())
    pairs = [[i, i] for i in range(50)]
    migrate(tmp_path / "old.npy", tmp_path / "old.npy", pairs, tmp_path / "same", methods=["identity"])
    for source, target in (("old", "once"), ("once", "twice")):
        remap(tmp_path / "same", tmp_path / f"{source}.npy", tmp_path / f"{target}.npy")
    assert np.allclose(np.load(tmp_path / "twice.npy"), models.old[:100], atol=1e-6)


def test_a_part_of_another_adapter_is_not_gone_on_with(models: Models, tmp_path: Path) -> None:
    from modalign.files import write_json

    (tmp_path / ".new.npy.part").write_bytes(b"")
    write_json(tmp_path / ".new.npy.note", {"adapter": "other", "rows": 10, "width": 16, "done": 5})
    with pytest.raises(ModalignError, match="another store or adapter"):
        map_file(adapter_of("", models), in_memory(models.old[:10]), tmp_path / "new.npy")


def test_rows_without_a_direction_are_counted_over_a_kill(models: Models, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("modalign.migration.apply.BLOCK", 2048)
    monkeypatch.setattr("modalign.migration.apply.FLUSH", 1)
    old = models.old.repeat(3, 1)
    old[[5, 3000, 8999]] = 0.0
    old[6], old[4000, 3] = float("nan"), float("inf")
    np.save(tmp_path / "old.npy", old.numpy())
    adapter, store = adapter_of("", models), open_vectors(tmp_path / "old.npy")

    def stop(done: int, total: int, what: str) -> None:
        if done > 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        map_file(adapter, store, tmp_path / "new.npy", stop)
    assert stopped.value.__notes__ == ["6,144 of 9,000 mapped rows are kept"]
    assert map_file(adapter, store, tmp_path / "new.npy") == (9000, 5)
    new = np.load(tmp_path / "new.npy")
    assert not new[5].any()
    assert np.isnan(new[6]).all()


@pytest.mark.parametrize(
    ("changes", "magic", "said"),
    [
        ({"done": "x"}, False, "'done' is 'x'\\); remove it and map again"),
        ({"done": 9001}, False, "'done' is 9001\\)"),
        ({"bare": -1}, False, "'bare' is -1\\)"),
        ({"done": 9000}, False, "are not what the adapter gives: map them again"),
        ({}, True, "was damaged, and is removed: run the same command again"),
    ],
)
def test_a_mapping_whose_note_or_part_was_damaged(
    changes: dict[str, Any], magic: bool, said: str, models: Models, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("modalign.migration.apply.BLOCK", 2048)
    monkeypatch.setattr("modalign.migration.apply.FLUSH", 1)
    np.save(tmp_path / "old.npy", models.old.repeat(3, 1)[:9000].numpy())
    adapter, store = adapter_of("", models), open_vectors(tmp_path / "old.npy")

    def stop(done: int, total: int, what: str) -> None:
        if done > 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_file(adapter, store, tmp_path / "new.npy", stop)
    note, part = tmp_path / ".new.npy.note", tmp_path / ".new.npy.part"
    kept = json.loads(note.read_text())
    note.write_text(json.dumps({**kept, **changes}))
    if magic:
        part.write_bytes(bytes(200) + part.read_bytes()[200:])
    with pytest.raises(ModalignError, match=said):
        map_file(adapter, store, tmp_path / "new.npy")
    if note.exists() and not magic:  # what it was told to do
        note.unlink()
    assert map_file(adapter, store, tmp_path / "new.npy") == (9000, 0)
    assert np.array_equal(np.load(tmp_path / "new.npy"), adapter(models.old.repeat(3, 1)[:9000]).numpy())


@pytest.mark.parametrize("limit", [0, 200])
def test_a_full_disk_leaves_nothing_of_a_mapping(
    limit: int, models: Models, tmp_path: Path, children: ModuleType
) -> None:
    """Files that may not grow beyond a limit stand for a full disk."""
    adapter = adapter_of("", models)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(ModalignError, match=r"cannot write .*z\.npy.*make room"):
            map_file(adapter, in_memory(models.old), tmp_path / "z.npy")

    assert children.ran(work) == (0, [])
    assert list(tmp_path.iterdir()) == []
