#!/usr/bin/env bash
# Guess, written down first: the information imbalance from one representation to another (Glielmo et al. 2022: twice the mean
# rank, in the second, of each row's nearest neighbour in the first, over the number of rows) is one number for every method of
# dadapy's MetricComparisons that gives it, to about a hundredth; who is more informative has the lower one.
# Seen (dadapy 0.3.4): return_information_imbalace ranks all rows. All others (of columns, to a target, greedy selection) know the
# first `maxk` neighbours alone, by default 100, and draw a rank at random between 100 and all rows for whoever is further.
# So what lies at rank 120 of 2,000 counts as 1,050: a column with a tenth of noise has .53 for .13, and one that is right for
# four fifths of the rows and a stranger for the others, .38, is chosen before it. Nothing tells it; the help of `maxk` speaks
# of "the calculation of distances".
# So: MetricComparisons(..., maxk=number of rows - 1).
# Source: dadapy/_utils/metric_comparisons.py (_return_ranks: rng.integers(low=maxk_2, high=N)), base.py (maxk = min(100, N - 1)).
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
from dadapy import MetricComparisons

print("dadapy", version("dadapy"))
draw = np.random.default_rng(0)
n = 2000
target = draw.normal(size=(n, 1))
noisy = target + 0.1 * draw.normal(size=(n, 1))
partly = np.where(draw.random((n, 1)) < 0.8, target, draw.normal(size=(n, 1)))


def by_hand(a, b):
    apart = [np.abs(x - x.T) + np.diag(np.full(n, np.inf)) for x in (a, b)]
    rank = apart[1].argsort(1).argsort(1) + 1
    return float(2 / n * rank[np.arange(n), apart[0].argmin(1)].mean())


seen = {}
for maxk in (None, n - 1):
    ranks = MetricComparisons(coordinates=target, maxk=maxk, n_jobs=1)
    ranks.compute_distances()
    columns = MetricComparisons(coordinates=np.hstack([noisy, partly]), maxk=maxk, n_jobs=1)
    told = columns.return_inf_imb_target_all_coords(ranks.dist_indices)
    best = columns.greedy_feature_selection_target(ranks.dist_indices, 1, 1, 2)[0]
    seen[maxk] = told, best
    print(f"maxk={maxk}: to the target from the noisy and the partly right column {told[1].round(3)}, chosen {best}")
whole = [MetricComparisons(coordinates=x, n_jobs=1).return_information_imbalace(target)[0][0] for x in (noisy, partly)]
right = [by_hand(x, target) for x in (noisy, partly)]
print("return_information_imbalace", np.round(whole, 3), "by hand", np.round(right, 3))
assert np.allclose(whole, right, atol=0.005) and np.allclose(seen[n - 1][0][1], right, atol=0.005) and right[0] < 0.14
assert seen[n - 1][1] == [[0]] and seen[None][1] == [[1]]
assert seen[None][0][1][0] > 0.4 and seen[None][0][1][0] > seen[None][0][1][1]
PYTHON
