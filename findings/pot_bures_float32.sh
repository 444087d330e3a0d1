#!/usr/bin/env bash
# Guess, written down first: the Bures-Wasserstein distance between the Gaussians of two samples
# (ot.gaussian.empirical_bures_wasserstein_distance, and with it ot.solve_sample(method="gaussian")) is the same in float32
# and float64 to some digits, also where there are fewer rows than columns, as with embeddings of a small set.
# Seen (POT 0.9.7.post1, numpy 2.4.6): in float32 it is nan for 60 rows of 64 columns, where float64 gives 6.13, and nan for a sample
# and the same one moved by .5 in each column, where the distance is 4 exactly. With 1000 rows both agree to 1e-3. Roots of
# matrices are taken as those of their eigenvalues, of which rounding leaves some below 0 where a covariance has no full rank; the
# default regularisation (1e-6) is below that rounding. numpy warns of an invalid root and names no cause.
# So: .astype("float64"), or reg=1e-4 and more.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --disable-pip-version-check POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1
OMP_NUM_THREADS=1 "$place/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import ot

distance = ot.gaussian.empirical_bures_wasserstein_distance
print("POT", version("POT"))
for rows in (60, 1000):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 64)) * np.linspace(0.1, 1, 64)
    y = draw.normal(size=(rows, 64)) + 0.1
    for name, other in (("another sample", y), ("moved by .5", x + 0.5)):
        double, single = distance(x, other), distance(x.astype("float32"), other.astype("float32"))
        more = distance(x.astype("float32"), other.astype("float32"), reg=1e-4)
        print(f"{rows} rows, {name}: float64 {double:.4f}, float32 {single:.4f}, float32 with reg=1e-4 {more:.4f}")
        assert np.isfinite(double)
        assert np.isnan(single) if rows == 60 else abs(single / double - 1) < 1e-3
        assert abs(more / double - 1) < 0.02
    assert abs(distance(x, x + 0.5) - 4.0) < 1e-3
PY
