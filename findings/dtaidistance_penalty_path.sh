#!/usr/bin/env bash
# Guess, written down first: dtw.warping_path(a, b, penalty=...) of dtaidistance is the path whose cost dtw.distance with the
# same penalty is, which warping_path(include_distance=True) returns beside it: squared differences along it and the squared
# penalty for each step that is not diagonal; warping_path_fast gives the same path.
# Seen (dtaidistance 2.5.1): the distance is right, the path another one: it is traced back through the table of costs as if
# steps were free. Of 40 pairs of random walks with penalty 1 its cost is 1.08 times the distance in the mean and 1.35 at most,
# and it has 75 places where the right one has 70; warping_path_fast and warping_path(use_c=True) are right. dtw.best_path of
# the table of warping_paths, as the documentation has it, gives the same wrong path, with the fast table too. Without a penalty
# all agree.
# So: warping_path_fast where there is a penalty.
# Source: dtaidistance/dtw.py, warping_path: best_path(paths, dtw_settings=dtw_settings) without penalty=.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check dtaidistance==2.5.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from dtaidistance import dtw

print("dtaidistance", version("dtaidistance"))


def cost(path, a, b, penalty):
    steps = sum((k, m) != (i + 1, j + 1) for (i, j), (k, m) in zip(path, path[1:]))
    return np.sqrt(sum((a[i] - b[j]) ** 2 for i, j in path) + steps * penalty**2)


for penalty in (0, 0.5, 1, 2):
    ratios, places = [], []
    for seed in range(40):
        pair = np.random.default_rng(seed).normal(size=(2, 60)).cumsum(1)
        a, b = (pair - pair.mean(1, keepdims=True)) / pair.std(1, keepdims=True)
        path, told = dtw.warping_path(a, b, include_distance=True, penalty=penalty)
        traced = dtw.best_path(dtw.warping_paths_fast(a, b, penalty=penalty)[1])
        right = dtw.warping_path_fast(a, b, penalty=penalty)
        assert np.isclose(told, dtw.distance(a, b, penalty=penalty))
        ratios.append([cost(p, a, b, penalty) / told for p in (path, traced, right, dtw.warping_path(a, b, penalty=penalty, use_c=True))])
        places.append((len(path), len(right)))
    mean, most = np.mean(ratios, axis=0), np.max(ratios, axis=0)
    print(f"penalty {penalty}: cost of the path over the distance {mean[0]:.3f}, at most {most[0]:.2f}; of best_path {mean[1]:.3f}; of the "
          f"fast one {mean[2]:.3f}; places {np.mean(places, axis=0).round(1)}")
    assert np.allclose(most[2:], 1)
    assert np.allclose(most, 1) if penalty == 0 else mean[0] > 1.01 and mean[1] > 1.01
PYTHON
