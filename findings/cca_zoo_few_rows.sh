#!/usr/bin/env bash
# Guess, written down first: with fewer rows than columns on both sides CCA fits anything, so every canonical correlation on the
# training rows is 1, as MCCA and GCCA of the same package say; at worst the fit is refused or warned of.
# Seen (cca-zoo 3.3.0): CCA and rCCA with their default of no ridge return variates whose correlations are below 1, out of order,
# and with 5 rows even negative, without a word. MCCA, GCCA, and rCCA with a ridge of .001 give 1, 1, 1. With more columns than
# rows on one side alone CCA is right. So a low score of this CCA on few rows says nothing of the data: give rCCA a ridge.
# Source: canonical correlations of two subspaces, Bjorck and Golub 1973: 1 for each dimension that they share.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check cca-zoo==3.3.0 numpy==2.4.6 scikit-learn==1.9.1
"$place/env/bin/python" - <<'PYTHON'
import warnings

import numpy as np
from cca_zoo.linear import CCA, GCCA, MCCA, rCCA

draw = np.random.default_rng(0)


def basis(x):
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return u[:, s > 1e-9 * s[0]]


def correlations(model, x, y):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        a, b = model.fit([x, y]).transform([x, y])
    assert not told
    return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)])


for n, p, q in ((5, 8, 6), (20, 30, 30), (100, 384, 512), (50, 80, 10)):
    x, y = draw.normal(size=(n, p)), draw.normal(size=(n, q))
    true = np.linalg.svd(basis(x).T @ basis(y), compute_uv=False)[:3]
    models = {"CCA": CCA(3), "rCCA": rCCA(3), "rCCA, ridge": rCCA(3, c=1e-3), "MCCA": MCCA(3), "GCCA": GCCA(3)}
    seen = {name: correlations(model, x, y) for name, model in models.items()}
    print(f"{n} rows, {p} and {q} columns: true {true.round(3)};", "; ".join(f"{k} {v.round(3)}" for k, v in seen.items()))
    assert np.allclose(true, 1)
    assert all(np.allclose(seen[name], 1, atol=1e-3) for name in ("rCCA, ridge", "MCCA", "GCCA"))
    if q > n:
        assert min(seen["CCA"]) < 0.9999 and min(seen["rCCA"]) < 0.9999
    else:
        assert np.allclose(seen["CCA"], 1, atol=1e-3)
PYTHON
