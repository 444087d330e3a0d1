#!/usr/bin/env bash
# Guess, written down first: the heat trace that netlsd computes of a graph of similarities is the same for a dense and a sparse table of
# them, and at its end, where the heat has spread, the number of groups over the number of rows: .033 for two groups of 60 rows.
# Seen (netlsd 1.0.2): a dense table with ones on its diagonal and no entry above, as cosines and Gaussian kernels have, is taken for a
# Laplacian, since it is compared with its diagonal as a row, not as a matrix. Its own eigenvalues are used, as if large ones
# decayed fast: of 20 Gaussian kernels of two groups the trace ends at .09 to .20 for .033, and the same table, once dense, once sparse,
# is 3.6 to 4.7 apart, eight times as far as two groups are from four (.41 to .48). Of cosines that are not all positive, or that were cut at
# 0, it grows without bound: 7e28 for .01. The sparse table is right, and so is a dense one whose diagonal is 0. Nothing tells it.
# So: scipy.sparse.csr_array(table), or a diagonal of 0.
# Source: netlsd/util.py, mat_to_laplacian: mat - np.diag(mat) beside mat - sps.diags(mat.diagonal()).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check netlsd==1.0.2 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import netlsd
import numpy as np
import scipy.sparse

print("netlsd", version("netlsd"))
times = np.logspace(-2, 2, 250)


def written_out(table):
    degrees = table.sum(1)
    values = np.linalg.eigvalsh((np.diag(degrees) - table) / np.sqrt(np.outer(degrees, degrees)))
    return np.exp(-np.outer(times, values)).mean(1)


def kernel(seed, groups, n=60):
    rows = np.random.default_rng(seed).normal(size=(n, 4)) / 2 + 4 * np.eye(4)[np.arange(n) % groups]
    return np.exp(-((rows[:, None] - rows) ** 2).sum(-1) / 2)


ends, between, groups = [], [], []
for seed in range(20):
    two, four = kernel(seed, 2), kernel(200 + seed, 4)
    dense, sparse = netlsd.heat(two), netlsd.heat(scipy.sparse.csr_array(two))
    ends.append((dense[-1], sparse[-1]))
    between.append(np.linalg.norm(dense - sparse))
    groups.append(np.linalg.norm(sparse - netlsd.heat(scipy.sparse.csr_array(four))))
    assert np.allclose(sparse, written_out(two)) and np.allclose(netlsd.heat(two - np.eye(len(two))), written_out(two - np.eye(len(two))))
    assert np.allclose(dense, np.exp(-np.outer(times, np.linalg.eigvalsh(two))).mean(1))
ends = np.array(ends)
print(f"trace at the end: dense {ends[:, 0].min():.3f} to {ends[:, 0].max():.3f}, sparse {ends[:, 1].min():.4f} to {ends[:, 1].max():.4f}; "
      f"one table dense and sparse {min(between):.2f} to {max(between):.2f} apart; two groups and four {min(groups):.2f} to {max(groups):.2f}")
assert ends[:, 0].min() > 0.08 and np.abs(ends[:, 1] - 2 / 60).max() < 0.001 and min(between) > 4 * max(groups)
rows = np.random.default_rng(0).normal(size=(100, 8))
rows[:50, 0] += 3
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
cosines = np.maximum(rows @ rows.T, 0)
np.fill_diagonal(cosines, 1)
dense, sparse = netlsd.heat(cosines), netlsd.heat(scipy.sparse.csr_array(cosines))
print(f"cosines above 0: at the end {dense[-1]:.0e} for {sparse[-1]:.2f}")
assert dense[-1] > 1e20 and np.allclose(sparse, written_out(cosines))
PYTHON
