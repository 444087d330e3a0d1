#!/usr/bin/env bash
# Guess, written down first: the distance correlation of integer arrays (pixels, codes of quantised vectors, ranks) is that
# of the same numbers as floats.
# Seen (dcor 0.7, numpy 2.4.6): distances and their products are counted in the type of the data. Rows of ten bytes:
# .4712 where the same numbers as float64 give .9765; as int16: nan. Ranks of 100,000 items (int64): 0.0, which reads
# "independent", for equal rankings; up to 80,000 items the value is right. Float32 is not concerned. One warning says that
# integers take an uncompiled way and are slower, for single columns only; none says that the value is wrong.
# So: .astype(float) before any distance correlation.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q dcor==0.7 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" - <<'PY'
import math
import warnings
from importlib.metadata import version

import dcor
import numpy as np

warnings.simplefilter("ignore")
draw = np.random.default_rng(0)
x = draw.integers(0, 255, (300, 10))
y = x // 2 + draw.integers(0, 30, (300, 10))
right = float(dcor.distance_correlation(x * 1.0, y * 1.0))
pixels = float(dcor.distance_correlation(x.astype("uint8"), y.astype("uint8")))
short = float(dcor.distance_correlation(x.astype("int16"), y.astype("int16")))
ranks = np.arange(100_000)
equal = float(dcor.distance_correlation(ranks, ranks))
equal_floats = float(dcor.distance_correlation(ranks * 1.0, ranks * 1.0))
print(f"dcor {version('dcor')}")
print(f"rows of ten bytes: float64 {right:.4f}, uint8 {pixels:.4f}, int16 {short}")
print(f"equal rankings of 100,000: float64 {equal_floats:.4f}, int64 {equal:.4f}")
assert abs(right - 0.9765) < 1e-3
assert abs(pixels - 0.4712) < 1e-3
assert math.isnan(short)
assert equal == 0.0
assert abs(equal_floats - 1) < 1e-6
PY
