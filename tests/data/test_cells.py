"""Cells of AnnData and MuData files: names join them, and what is computed of counts is what the field computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

import modalign as ma
from modalign.data.cells import matrix_of, views_of_cells
from modalign.data.generated_cells import write_generated_cells

anndata = pytest.importorskip("anndata", reason="cells lie in files of anndata")
mudata = pytest.importorskip("mudata", reason="several assays lie in files of mudata")
pandas = pytest.importorskip("pandas", reason="cells lie in files of anndata, which needs pandas")


@pytest.fixture(autouse=True)
def _plain_words() -> Iterator[None]:
    """Words as objects: anndata 0.12 cannot write the strings that pandas 3 makes of them."""
    with pandas.option_context("future.infer_string", False):
        yield


def table(values: Any, names: list[str], **obs: Any) -> Any:
    frame = pandas.DataFrame(obs, index=pandas.Index(names, dtype=object))
    columns = pandas.DataFrame(index=pandas.Index([f"f{i}" for i in range(values.shape[1])], dtype=object))
    return anndata.AnnData(values, obs=frame, var=columns)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_generated_cells(tmp_path_factory.mktemp("cells") / "made.h5mu", cells=200)


def test_names_of_observations_join_assays(made: Path) -> None:
    manifest = ma.datasets.cells(str(made))
    assert manifest.modalities == ("rna", "atac", "protein")
    tables = mudata.read_h5mu(made).mod
    seen = {m: set(t.obs_names) for m, t in tables.items()}
    rows = list(manifest)
    assert len(rows) == sum(map(len, seen.values()))
    group = {row.extra["cell"]: row.group for row in rows}
    assert all(group[row.extra["cell"]] == row.group for row in rows)
    assert len(set(group.values())) == len(set.union(*seen.values()))
    for row in rows:
        assert tables[row.modality].obs_names[row.extra["index"]] == row.extra["cell"]
        assert tables[row.modality].obs["cell_type"].iloc[row.extra["index"]] == row.extra["label"]
    linked = {n for n in group if sum(n in s for s in seen.values()) > 1}
    test = {row.extra["cell"] for row in rows if row.split == "test"}
    assert test < linked
    assert len(test) == round(0.2 * len(linked))


def test_groups_of_the_data_set_are_those_of_the_views(made: Path) -> None:
    views, manifest = views_of_cells(str(made), components=5), ma.datasets.cells(str(made))
    for m in views.modalities:
        assert views.group[m].tolist() == [row.group for row in manifest if row.modality == m]


def test_files_of_one_assay_each_and_a_folder_of_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    a = table(draw.normal(size=(3, 4)).astype(np.float32), ["u", "v", "w"], batch=["p", "q", "p"])
    b = table(draw.normal(size=(3, 5)).astype(np.float32), ["v", "x", "u"], batch=["q", "z", "p"])
    a.write_h5ad(tmp_path / "rna.h5ad")
    b.write_h5ad(tmp_path / "atac.h5ad")
    files = {"rna": str(tmp_path / "rna.h5ad"), "atac": str(tmp_path / "atac.h5ad")}
    views = views_of_cells(files=files)
    assert views.paired("rna", "atac").tolist() == [[0, 2], [1, 0]]
    assert torch.equal(views["atac"], torch.from_numpy(np.asarray(b.X)))
    assert set(ma.datasets.cells(str(tmp_path)).modalities) == {"rna", "atac"}
    joined = ma.datasets.cells(files=files, join="batch", split="batch")
    assert [r.group for r in joined] == [0, 1, 0, 1, 2, 0]
    assert {r.split for r in joined} == {"p", "q", "z"}


def counts(n: int = 40, d: int = 90) -> np.ndarray:
    return np.random.default_rng(1).poisson(1.5, size=(n, d)).astype(np.float32)


def test_counts_are_scaled_as_the_field_scales_them() -> None:
    x = counts()
    names = [f"c{i}" for i in range(40)]
    log = matrix_of(table(sparse.csr_matrix(x), names), scale="log", components=0)
    total = x.sum(1, keepdims=True)
    assert np.allclose(log, np.log1p(x / total * np.median(total)), atol=1e-5)
    assert np.allclose(log, matrix_of(table(x, names), components=0), atol=1e-5)  # whole numbers are counts
    tfidf = matrix_of(table(x, names), scale="tfidf", components=0)
    assert np.allclose(tfidf, np.log1p(1e4 * x / total * np.log1p(40 / (x > 0).sum(0))), rtol=1e-4)
    plain = matrix_of(table(x - 0.5, names), components=0)
    assert np.allclose(plain, x - 0.5)


def test_wide_counts_become_principal_components() -> None:
    from sklearn.decomposition import PCA

    names = [f"c{i}" for i in range(40)]
    x = counts()
    found = matrix_of(table(sparse.csr_matrix(x), names), components=10)
    log = matrix_of(table(x, names), components=0)
    want = PCA(10, svd_solver="full").fit_transform(log)
    assert np.allclose(abs(found), abs(want), atol=1e-3)
    assert matrix_of(table(x, names), scale="tfidf", components=10).shape == (40, 10)
    ready = table(x, names)
    ready.obsm["X_pca"] = np.eye(40, 3)
    ready.layers["raw"] = x + 1
    assert matrix_of(ready).shape == (40, 3)
    assert np.allclose(matrix_of(ready, "raw", "none", 0), x + 1)


def test_cells_are_aligned_from_the_file_and_labels_cross_assays(made: Path, tmp_path: Path) -> None:
    """The whole way: specification, run, scores, transfer of labels."""
    from modalign import cli

    spec = tmp_path / "cells.toml"
    spec.write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nname = "cells"\nroot = "{made}"\n'
        + "".join(
            f'[encoders.{m}]\nname = "cells"\npath = "{made}"\nmodality = "{m}"\ncomponents = 10\n'
            for m in ("rna", "atac", "protein")
        )
        + '[method]\nname = "transport_cca"\ndim = 8\n'
    )
    cli.main(["train", str(spec), "--json"])
    run = ma.Run.open(tmp_path / "run")
    scores = run.result.methods["transport_cca"].scores
    assert scores["foscttm/rna->atac"].value < 0.3
    cli.main(["evaluate", str(tmp_path / "run"), "--transfer", "--json"])
    found = ma.Run.open(tmp_path / "run").evaluation.methods["transport_cca"].scores
    assert found["accuracy/rna->atac/transfer"].value > 0.6


def test_mistakes_are_told_in_one_line(made: Path, tmp_path: Path) -> None:
    twice = table(counts(3, 4), ["u", "u", "v"])
    twice.write_h5ad(tmp_path / "twice.h5ad")
    empty = counts(3, 60)
    empty[1] = 0
    table(empty, ["u", "v", "w"]).write_h5ad(tmp_path / "empty.h5ad")
    (tmp_path / "words.h5ad").write_text("no such file")
    encoder = ma.make("encoder", "cells", path=str(tmp_path / "empty.h5ad"), components=1)
    cases: list[tuple[Any, str]] = [
        (lambda: ma.datasets.cells(str(tmp_path / "twice.h5ad")), "u stand twice among the names"),
        (lambda: ma.datasets.cells(str(tmp_path / "none.h5ad")), "file of cells not found"),
        (lambda: ma.datasets.cells(str(tmp_path / "words.h5ad")), "not an AnnData file"),
        (lambda: ma.datasets.cells("x.csv"), r"end in .h5ad or .h5mu"),
        (lambda: ma.datasets.cells(), "either a file"),
        (lambda: ma.datasets.cells(str(made), labels="cell_typ"), "did you mean 'cell_type'"),
        (lambda: ma.datasets.cells(str(made), join="nam"), "unknown column of obs 'nam'"),
        (lambda: ma.make("encoder", "cells", path=str(made), modality="rnas"), "did you mean 'rna'"),
        (lambda: views_of_cells(str(made), use="X_umap"), "unknown matrix of cells 'X_umap'"),
        (lambda: matrix_of(table(counts(3, 4) - 1, ["u", "v", "w"]), scale="log"), "negative values"),
        (lambda: encoder.encode([0, 1]), "cell 1 has no counts"),
        (lambda: encoder.encode([7]), "has cells 0 to 2"),
    ]
    for act, said in cases:
        with pytest.raises(ma.ModalignError, match=said) as problem:
            act()
        assert "\n" not in str(problem.value)
