"""Cells: AnnData and MuData files, one modality an assay; names of observations tell which cells are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from ..errors import ModalignError, check_known, explained, few, require, unknown
from ..parameters import Count, Seed, Share
from ..registry import register
from ..views import Views
from .manifest import Manifest
from .rows import Rows

REDUCED = ("X_pca", "X_lsi", "X_svd", "X_scvi", "X_spectral")
"""What files call coordinates that were computed before, in the order in which they are taken."""
LABELS = ("cell_type", "celltype", "cell_types", "label", "leiden", "louvain")
SCALES = ("auto", "none", "log", "tfidf")


@register("dataset", "cells")
def cells(
    root: str | None = None,
    *,
    files: dict[str, str] | None = None,
    join: str | None = None,
    labels: str | None = None,
    split: str | None = None,
    holdout: Share = 0.2,
    seed: Seed = 0,
) -> Manifest:
    """Cells of one or several assays; those with one name are one thing, whichever file they are in.

    Cells that only one assay has are unpaired data. Give every assay the encoder "cells", with the file as its path.

    Args:
        root: .h5mu file, whose modalities are the assays; .h5ad file or folder of them, whose names are.
        files: assay -> .h5ad file, in place of root.
        join: column of obs that tells which cells are the same thing; None: names of observations.
        labels: column of obs that is kept as "label", for transfer; None: the first of the usual names.
        split: column of obs with the split of each cell; None: a share of the linked cells is "test".
        holdout: that share. seed: draws it.

    Returns:
        Rows of every assay; extra: index (row in the file), cell (its name), label.

    Raises:
        ModalignError: no such file, names that stand twice in an assay, or unknown columns.
        MissingExtraError: anndata, or mudata for .h5mu, is not installed.
    """
    tables = open_assays(root, files)
    rows = Rows("cells", {"source": str(root or files)})
    for assay, (path, table) in tables.items():
        told = _label_column(table.obs, labels)
        for i, name in enumerate(table.obs_names):
            key = name if join is None else _value(table.obs, join, i)
            label: dict[str, Any] = {} if told is None else {"label": str(table.obs[told].iloc[i])}
            part = "" if split is None else str(_value(table.obs, split, i))
            rows.file(rows.group(str(key)), assay, path.absolute(), part, index=i, cell=str(name), **label)
    manifest = rows.manifest(None)
    return manifest if split is not None else _held_out(manifest, holdout, seed)


def views_of_cells(
    root: str | None = None,
    files: Mapping[str, str] | None = None,
    use: str | Mapping[str, str] = "auto",
    scale: str | Mapping[str, str] = "auto",
    components: Count = 50,
) -> Views:
    """Features of every assay as views, joined by the names of observations: for ``Aligner().fit(views)``.

    Args:
        root, files: as of ``cells``.
        use, scale, components: as of ``matrix_of``; the first two for all assays, or assay -> value.

    Raises:
        ModalignError: as ``cells`` and ``matrix_of``, or cells whose row is all zeros, with their row numbers.
    """
    tables = open_assays(root, files)

    def chosen(wish: str | Mapping[str, str], assay: str) -> str:
        return wish if isinstance(wish, str) else wish.get(assay, "auto")

    data = {
        m: torch.from_numpy(matrix_of(table, chosen(use, m), chosen(scale, m), components))
        for m, (_, table) in tables.items()
    }
    ids: dict[str, int] = {}
    group = {m: torch.tensor([ids.setdefault(str(n), len(ids)) for n in t.obs_names]) for m, (_, t) in tables.items()}
    return Views(data, group).validate()


def open_assays(root: str | None, files: Mapping[str, str] | None = None) -> dict[str, tuple[Path, Any]]:
    """Assay -> its file and its AnnData."""
    if (root is None) == (files is None):
        raise ModalignError("cells need either a file (or folder) or files = {assay = file, ...}")
    if files is not None:
        tables = {m: (Path(p).expanduser(), _read(Path(p).expanduser())) for m, p in files.items()}
    else:
        tables = _opened(Path(str(root)).expanduser())
    for assay, (path, table) in tables.items():
        names = table.obs_names
        if not names.is_unique:
            raise ModalignError(
                f"{path}, assay '{assay}': {few(names[names.duplicated()].unique())} stand twice among the names of "
                "observations: make them unique (obs_names_make_unique) or leave doubles out"
            )
    return tables


def _opened(path: Path) -> dict[str, tuple[Path, Any]]:
    if path.is_dir():
        found = sorted(path.glob("*.h5ad"))
        if not found:
            raise ModalignError(f"no .h5ad files in {path}")
        return {p.stem: (p, _read(p)) for p in found}
    if path.suffix == ".h5mu":
        return {str(m): (path, table) for m, table in _read(path, "a MuData").mod.items()}
    return {path.stem: (path, _read(path))}


def _read(path: Path, kind: str = "an AnnData") -> Any:
    alone = kind == "an AnnData"
    if alone and path.suffix != ".h5ad":
        raise ModalignError(f"cells lie in files that end in .h5ad or .h5mu, got: {path}")
    library = require("anndata" if alone else "mudata", "cells")
    if not path.is_file():
        raise ModalignError(f"file of cells not found: {path}")
    with explained(f"not {kind} file: {path}", OSError, KeyError, ValueError):
        return library.read_h5ad(path) if alone else library.read_h5mu(path)


def matrix_of(table: Any, use: str = "auto", scale: str = "auto", components: int = 50, seed: int = 0) -> np.ndarray:
    """Features of the cells of an assay.

    Args:
        table: AnnData. use: "X", a layer, or a key of obsm; "auto": the first of ``REDUCED`` that is there, else X.
        scale: of X and layers. "log": log(1 + counts / total x median total); "tfidf": log(1 + 10^4 x share of the
            cell's counts x log(1 + cells / cells that have it)); "none"; "auto": "log" for whole numbers.
        components: wider X and layers are reduced to so many principal components (of "tfidf" without the first, which
            counts reads), fitted on all cells of the file without regard to links or labels; 0: none.
        seed: of the solver.

    Returns:
        (n, d) float32.

    Raises:
        ModalignError: no such matrix, negative counts, or no cells.
    """
    check_known("scale", scale, SCALES)
    if use == "auto":
        use = next((k for k in REDUCED if k in table.obsm), "X")
    if use in table.obsm:
        return np.ascontiguousarray(np.asarray(table.obsm[use]), dtype=np.float32)
    if use != "X" and use not in table.layers:
        raise unknown("matrix of cells", use, ["X", *table.layers, *table.obsm])
    x = sparse.csr_array(table.X if use == "X" else table.layers[use], dtype=np.float64)
    if not x.shape[0] or not x.shape[1]:
        raise ModalignError(f"the matrix '{use}' is empty: shape {x.shape}")
    whole = not x.nnz or bool((x.data == np.round(x.data)).all() and (x.data >= 0).all())
    scale = ("log" if whole else "none") if scale == "auto" else scale
    if scale != "none" and x.nnz and x.data.min() < 0:
        raise ModalignError(f"'{use}' has negative values, which are no counts: say scale 'none'")
    x = _scaled(x, scale)
    if not components or x.shape[1] <= components:
        return np.ascontiguousarray(x.toarray(), dtype=np.float32)
    return _reduced(x, min(components, min(x.shape) - 2), scale == "tfidf", seed)


def _scaled(x: Any, scale: str) -> Any:
    if scale == "none":
        return x
    total = np.asarray(x.sum(1)).ravel()
    share = sparse.diags_array(1.0 / np.maximum(total, 1e-12)) @ x
    if scale == "log":
        return sparse.csr_array(share * float(np.median(total[total > 0]) if (total > 0).any() else 1.0)).log1p()
    seen = np.bincount(x.nonzero()[1], minlength=x.shape[1])
    return sparse.csr_array(share @ sparse.diags_array(1e4 * np.log1p(x.shape[0] / np.maximum(seen, 1)))).log1p()


def _reduced(x: Any, components: int, skip_first: bool, seed: int) -> np.ndarray:
    """Principal components; an empty cell stays a row of zeros, to be told and not to be placed."""
    from sklearn.decomposition import PCA, TruncatedSVD

    empty = np.asarray(abs(x).sum(1)).ravel() == 0
    if skip_first:
        z = TruncatedSVD(components + 1, algorithm="arpack", random_state=seed).fit_transform(x)[:, 1:]
    else:
        z = PCA(components, svd_solver="arpack", random_state=seed).fit_transform(x)
    z[empty] = 0
    return np.ascontiguousarray(z, dtype=np.float32)


def _label_column(obs: Any, wish: str | None) -> str | None:
    if wish is not None and wish not in obs:
        raise unknown("column of obs", wish, obs.columns)
    return wish or next((c for c in LABELS if c in obs), None)


def _value(obs: Any, column: str, row: int) -> Any:
    if column not in obs:
        raise unknown("column of obs", column, obs.columns)
    return obs[column].iloc[row]


def _held_out(manifest: Manifest, share: float, seed: int) -> Manifest:
    """The same rows; a share of the cells that two assays or more have is "test", all others "train"."""
    own = set(zip(np.asarray(manifest.group).tolist(), manifest.modality_names, strict=True))
    ids, assays = np.unique([g for g, _ in own], return_counts=True)
    linked = np.random.default_rng(seed).permutation(ids[assays > 1])
    test = set(linked[: round(share * len(linked))].tolist())
    splits = ["test" if g in test else "train" for g in np.asarray(manifest.group).tolist()]
    return replace(manifest, splits=splits)
