"""Cells that no organism had: a small multi-assay file with known partners and types, to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import require
from ..parameters import Count, Seed

WIDTHS = {"rna": 120, "atac": 200, "protein": 15}


def write_generated_cells(path: Path | str, cells: Count = 400, types: Count = 5, seed: Seed = 0) -> Path:
    """Write a .h5mu file of generated cells: counts of transcripts, open places, and amounts of proteins.

    Each cell has a type and a place along a branch of its own; every assay sees both through random maps. Of ten cells
    five have transcripts and open places measured (and of these some proteins), three transcripts alone, two open
    places alone. ``uns["generated"]`` says that they are not real; obs has "cell_type".

    Args:
        path: of the file. cells, types: how many. seed: of every random number.

    Raises:
        MissingExtraError: anndata or mudata is not installed.
    """
    pandas, mudata = require("pandas", "cells"), require("mudata", "cells")
    draw = np.random.default_rng(seed)
    kind = draw.integers(types, size=cells)
    latent = 1.6 * draw.normal(size=(types, 6))[kind] + draw.normal(size=(cells, 6))
    role = np.arange(cells) % 10
    seen = {"rna": role < 8, "atac": (role < 5) | (role >= 8), "protein": role < 2}
    values = {m: _values(latent, m, draw) for m in WIDTHS}
    orders = {m: draw.permutation(np.flatnonzero(seen[m])) for m in WIDTHS}
    with pandas.option_context("future.infer_string", False):  # anndata 0.12 cannot write the strings of pandas 3
        made = mudata.MuData({m: _table(values[m][rows], rows, kind[rows]) for m, rows in orders.items()})
        made.uns["generated"] = "not real cells: modalign's write_generated_cells"
        made.write(str(path))
    return Path(path)


def _values(latent: np.ndarray, assay: str, draw: np.random.Generator) -> np.ndarray:
    level = latent @ draw.normal(size=(latent.shape[1], WIDTHS[assay])) / 3
    if assay == "protein":
        return (level + 0.3 * draw.normal(size=level.shape)).astype(np.float32)
    counts = draw.poisson(np.exp(level - 0.5) * draw.uniform(0.5, 2.0, size=(len(latent), 1)))
    if assay == "atac":
        counts = np.minimum(counts, 1)
    counts[:, 0] = np.maximum(counts[:, 0], 1)  # no cell is empty
    return counts.astype(np.float32)


def _table(values: np.ndarray, names: np.ndarray, kind: np.ndarray) -> Any:
    pandas = require("pandas", "cells")
    types = pandas.Categorical([f"type {k}" for k in kind])
    obs = pandas.DataFrame({"cell_type": types}, index=[f"cell{n:04d}" for n in names])
    columns = pandas.DataFrame(index=[f"f{i}" for i in range(values.shape[1])])
    return require("anndata", "cells").AnnData(values, obs=obs, var=columns)
