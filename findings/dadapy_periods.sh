#!/usr/bin/env bash
# Guess, written down first: Data(coordinates=phases, period=1) of dadapy measures distances around the circle in all of its
# estimates, as its help of `period` ("periodicity of each coordinate") says; in what order they are asked for does not matter.
# Seen (dadapy 0.3.4): return_id_scaling_gride takes plain distances, as soon as it counts them itself: 1,000 uniform phases in
# ten columns have a dimension of 8.2 to 7.3 for 10.1 to 9.5 by distances that were computed before, and by 128 neighbours it
# takes plain ones even then. It leaves its distances to what is asked next: compute_id_2NN tells 8.0 after it and 10.0 before.
# return_label_overlap with `coords` is plain as well: all columns named, .90 for .99 of two classes that wrap around.
# FeatureWeighting.return_dii_gradient multiplies the period of its object by the weights, in place: asked three times the same
# with weights of .5, it answers three different things for periods of .5, .25 and .125. Nothing tells any of it.
# So: compute_distances() first, range_max up to maxk; select columns before Data; a new FeatureWeighting per gradient.
# Source: dadapy/id_estimation.py (_return_mus_scaling has no period), metric_comparisons.py (_get_nn_indices with coords),
# feature_weighting.py (period *= weights).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check dadapy==0.3.4 numpy==1.26.4 scipy==1.14.1 scikit-learn==1.6.1 \
  matplotlib==3.9.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from dadapy import Data, FeatureWeighting, MetricComparisons

print("dadapy", version("dadapy"))
draw = np.random.default_rng(0)
n, width = 1000, 10
phases = draw.random((n, width))


def new():
    return Data(coordinates=phases, period=1.0, n_jobs=1)


before = new()
before.compute_distances()
right, wide = (before.return_id_scaling_gride(range_max=k)[0] for k in (64, 128))
first = before.compute_id_2NN()[0]
fresh = new()
alone = fresh.return_id_scaling_gride(range_max=64)[0]
after = fresh.compute_id_2NN()[0]
print("Gride, distances computed first:", right.round(2), "by 128 neighbours:", wide.round(2))
print("Gride of new data:              ", alone.round(2))
print(f"2NN {first:.2f}, after Gride {after:.2f}")
assert right.min() > 9.4 and alone.max() < 8.6 and np.allclose(wide[:6], alone)
assert first > 9.8 and after < 8.2

kinds = draw.integers(0, 2, n)
wrapped = (0.35 * kinds[:, None] + 0.15 * draw.normal(size=(n, 6))) % 1.0
compared = MetricComparisons(coordinates=wrapped, period=np.ones(6), n_jobs=1)
overlap = [compared.return_label_overlap(kinds, k=20, coords=coords) for coords in (None, np.arange(6))]
print("overlap with labels:", np.round(overlap, 3), "with all columns named")
assert overlap[0] > 0.98 and overlap[1] < 0.92

weighted = FeatureWeighting(coordinates=draw.random((100, 3)), period=np.ones(3), n_jobs=1)
target = FeatureWeighting(coordinates=draw.random((100, 2)), n_jobs=1)
told = []
for _ in range(3):
    told.append(weighted.return_dii_gradient(target, np.full(3, 0.5)))
    print("gradient", np.round(told[-1], 3), "period is now", weighted.period.round(3))
assert np.allclose(weighted.period, 0.125) and not np.allclose(told[0], told[1], atol=0.01)
PYTHON
