#!/usr/bin/env bash
# Guess, written down first: hyppo.independence.CCA of x and of a linear map of x is 1, in whatever units the columns are: its
# help gives the largest correlation that directions a and b can reach.
# Seen (hyppo 0.5.2): .80, and .29 once one column is multiplied by 100, where every canonical correlation is 1. The number is
# that of hyppo.independence.RV, |Sxy|^2 / (|Sxx| |Syy|), to the last digits: no variance is divided out. So the test of
# independence follows the columns of largest scale: one column of noise in other units takes the p-value of a
# dependence with a canonical correlation of .92 from .005, the least that 200 permutations can give, to .93.
# In one dimension both are the correlation.
# So: give it whitened rows (np.linalg.qr of the centred ones), or take canonical correlations from elsewhere.
# Source: hyppo/independence/cca.py, statistic, against its own docstring; neurodata/hyppo issue 413 (open).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check hyppo==0.5.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from hyppo.independence import CCA, RV

print("hyppo", version("hyppo"))


def whitened(x):
    return np.linalg.qr(x - x.mean(0))[0]


def largest(x, y):
    return float(np.linalg.svd(whitened(x).T @ whitened(y), compute_uv=False)[0])


draw = np.random.default_rng(0)
x = draw.normal(size=(200, 3))
y = x @ draw.normal(size=(3, 3))
for scale, seen in ((1, 0.799), (100, 0.293)):
    z = x * [1, 1, scale]
    cca, rv = float(CCA().statistic(z, y)), float(RV().statistic(z, y))
    print(f"third column times {scale}: CCA {cca:.4f}, RV {rv:.4f}, largest canonical correlation {largest(z, y):.4f}")
    assert abs(cca - rv) < 1e-12 and abs(cca - seen) < 0.002 and largest(z, y) > 1 - 1e-9
x, y = draw.normal(size=(2, 60, 2))
y[:, 0] = x[:, 0] + 0.5 * draw.normal(size=60)
p = {
    name: float(CCA().test(a, b, reps=200, random_state=0)[1])
    for name, a, b in (
        ("as they are", x, y),
        ("noise in other units", x * [1, 100], y * [1, 100]),
        ("whitened", whitened(x * [1, 100]), whitened(y * [1, 100])),
    )
}
print(f"largest canonical correlation {largest(x, y):.3f}, p-values of CCA:", p)
assert max(p["as they are"], p["whitened"]) < 0.01
assert p["noise in other units"] > 0.5
PYTHON
