#!/usr/bin/env bash
# Guess, written down first: muon's weighted nearest neighbours join the modalities of a MuData by the names of their cells, as
# mudata itself does, so a modality whose cells come in another order has the same neighbours and weights.
# Seen (muon 0.1.9, mudata 0.3.10): they are joined by place. Of 300 cells of three kinds, which both modalities tell apart, .995 of the
# neighbours are of the same kind, and .71 once the cells of the second modality come in another order (.33 by chance); the
# weights of the two runs correlate .10. That is after mu.pp.intersect_obs, which leaves the order as it is.
# So: bring each modality into one order before any neighbours are computed: m.mod[k] = m[k][m.obs_names].copy(), then m.update().
# Source: muon/_core/preproc.py, neighbors: positions in mdata.obs index the rows of each modality.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check muon==0.1.9 mudata==0.3.10 scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 \
    scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import anndata
import muon
import numpy as np
import pandas as pd
import scanpy

print("muon", version("muon"))
draw = np.random.default_rng(0)
n = 300
kinds = draw.integers(3, size=n)
names = np.array([f"cell{i}" for i in range(n)])
kind_of = pd.Series(kinds, index=names)
tables = {"a": draw.normal(size=(n, 10)) + 4 * np.eye(10)[kinds], "b": draw.normal(size=(n, 8)) + 4 * np.eye(8)[kinds]}


def joint(orders, prepare=lambda data: None):
    """Neighbours in both modalities, each with its cells in an order of its own."""
    data = muon.MuData({
        key: anndata.AnnData(tables[key][order], obs=pd.DataFrame(index=names[order])) for key, order in orders.items()
    })
    prepare(data)
    for key in data.mod:
        scanpy.pp.neighbors(data[key], n_neighbors=10, use_rep="X")
    muon.pp.neighbors(data, n_neighbors=10, n_multineighbors=50)
    found = data.obsp["distances"].tocoo()
    told = kind_of[data.obs_names].to_numpy()
    other = found.row != found.col
    return float(np.mean(told[found.row[other]] == told[found.col[other]])), data.obs["a:mod_weight"][names].to_numpy()


def reorder(data):
    for key in data.mod:
        data.mod[key] = data[key][data.obs_names].copy()
    data.update()


kept, mixed = np.arange(n), draw.permutation(n)
same, other = joint({"a": kept, "b": mixed}, reorder), joint({"a": kept, "b": mixed}, muon.pp.intersect_obs)
agree = float(np.corrcoef(same[1], other[1])[0, 1])
print(f"neighbours of the same kind: one order {same[0]:.3f}, two orders and intersect_obs {other[0]:.3f}; weights of both correlate {agree:.2f}")
assert same[0] > 0.98 and other[0] < 0.8 and abs(agree) < 0.3
PYTHON
