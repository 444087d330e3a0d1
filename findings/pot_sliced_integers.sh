#!/usr/bin/env bash
# Guess, written down first: the sliced and the one-dimensional Wasserstein distances of POT between integer arrays (pixels,
# codes of quantised vectors, ranks) are those of the same numbers as floats, as its exact solvers' are.
# Seen (POT 0.9.7.post1, numpy 2.4.6): 0, which reads "the same distribution". ot.wasserstein_1d of 50 bytes and 60 smaller
# ones is 0 where the same numbers as float64 give 54.86, as scipy does for both; so are ot.sliced_wasserstein_distance,
# ot.max_sliced_wasserstein_distance and ot.solve_sample(method="1d" or "sliced"). The equal weights 1/n are made in the
# type of the data, where they are 0. ot.emd2_1d, ot.solve_sample without a method and method="gaussian" are right. Nothing
# warns.
# So: .astype(float) before any of them.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --disable-pip-version-check POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
import ot
from scipy.stats import wasserstein_distance

draw = np.random.default_rng(0)
x, y = draw.integers(0, 256, 50), draw.integers(0, 256, 60) // 2
floats = x.astype(float), y.astype(float)
exact = wasserstein_distance(x, y)
draws = {"n_projections": 10, "p": 1, "seed": 0}
zero = {
    "wasserstein_1d": lambda a, b: ot.wasserstein_1d(a, b, p=1),
    "sliced_wasserstein_distance": lambda a, b: ot.sliced_wasserstein_distance(a[:, None], b[:, None], **draws),
    "max_sliced_wasserstein_distance": lambda a, b: ot.max_sliced_wasserstein_distance(a[:, None], b[:, None], **draws),
    'solve_sample(method="1d")': lambda a, b: ot.solve_sample(a[:, None], b[:, None], method="1d").value,
    'solve_sample(method="sliced")': lambda a, b: ot.solve_sample(a[:, None], b[:, None], method="sliced").value,
}
right = {
    "emd2_1d": lambda a, b: ot.emd2_1d(a, b, metric="cityblock"),
    "solve_sample()": lambda a, b: ot.solve_sample(a[:, None], b[:, None]).value,
    'solve_sample(method="gaussian")': lambda a, b: ot.solve_sample(a[:, None], b[:, None], method="gaussian").value,
}
print(f"POT {version('POT')}; scipy's distance of the integers {exact:.2f}")
for name, distance in (zero | right).items():
    whole, real = np.array([distance(x, y), distance(*floats)], float).ravel()
    print(f"{name}: int64 {whole:.2f}, float64 {real:.2f}")
    assert real > 50
    assert whole == 0 if name in zero else abs(whole / real - 1) < 1e-9
assert ot.wasserstein_1d(x.astype("uint8"), y.astype("uint8"), p=1) == 0
assert abs(exact - 54.8633) < 1e-3
assert abs(ot.wasserstein_1d(*floats, p=1) - exact) < 1e-9
PY
