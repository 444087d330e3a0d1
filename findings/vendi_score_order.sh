#!/usr/bin/env bash
# Guess, written down first: the Vendi score of order q is one number, from rows (score_X), from their columns (score_dual) or from
# the table of similarities (score_K); a table in sparse form gives what the same in full form gives: 50 groups of four equal
# items count as 50.
# Seen (vendi-score 0.0.3): score_X takes q and drops it: 21.1 for every order of the same 500 rows, right 24.4 for .5, 18.1 for
# 2, 15.0 for 5, 11.0 for "inf", as the others say. A table in CSR form is cut to its six largest eigenvalues: 1.6 for 50 groups,
# and 500 groups have less, 1.08. Nothing tells either.
# So: score_dual or score_K for an order other than 1, and toarray() before.
# Source: vendi_score/vendi.py: score_K(K, q=1, p=p) in score_X, eigsh without k in score_K.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check vendi-score==0.0.3 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from scipy.sparse import csr_matrix
from vendi_score import vendi

print("vendi-score", version("vendi-score"))
draw = np.random.default_rng(0)
rows = draw.normal(size=(500, 32)) * np.linspace(3, 0.1, 32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
share = np.linalg.svd(rows, compute_uv=False) ** 2 / len(rows)
told = {}
for q in (0.5, 1, 2, 5, "inf"):
    if q == 1:
        right = np.exp(-np.sum(share * np.log(share)))
    else:
        right = 1 / share.max() if q == "inf" else np.sum(share**q) ** (1 / (1 - q))
    told[q] = float(vendi.score_X(rows, q=q))
    others = [float(vendi.score_dual(rows, q=q)), float(vendi.score_K(rows @ rows.T, q=q))]
    print(f"order {q}: score_X {told[q]:.3f}, score_dual {others[0]:.3f}, score_K {others[1]:.3f}, right {right:.3f}")
    assert np.allclose(others, right, rtol=1e-4) and abs(told[q] - told[0.5]) < 1e-9
assert told[2] > 20
sparse = {}
for groups in (50, 500):
    table = np.kron(np.eye(groups), np.ones((4, 4)))
    sparse[groups] = float(vendi.score_K(csr_matrix(table)))
    full = float(vendi.score_K(table))
    print(f"{groups} groups of four equal items: {sparse[groups]:.2f} in sparse form, {full:.2f} in full")
    assert abs(full - groups) < 1e-6 and sparse[groups] < 2
assert sparse[500] < sparse[50]
PYTHON
