#!/usr/bin/env bash
# Guess, written down first: Hotelling of hyppo for data of one column is Student's t-test, squared ("a multivariate
# generalization", says its help, and its formula divides by the variance): the unit does not matter.
# Seen (hyppo 0.5.2): in one column nothing is divided by the variance. Two samples of 50 that differ by half a deviation have
# the p-value .046 as drawn, .98 when each number is divided by 100 and 3e-130 when it is multiplied by 100; of unrelated samples whose
# deviation is 10, .84 are at .05 or less. By scipy's t-test it is .040 in all units. Two columns are right.
# So: scipy.stats.ttest_ind for one column (the gap along one direction between two modalities, say).
# Source: hyppo/ksample/hotelling.py, statistic: inv_covs = 1 / p, where p is the number of columns; 1 / covs is meant.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check hyppo==0.5.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from hyppo.ksample import Hotelling
from scipy.stats import ttest_ind

print("hyppo", version("hyppo"))
draw = np.random.default_rng(0)
one, two = draw.normal(size=(50, 1)), draw.normal(size=(50, 1)) + 0.5
wide, wider = draw.normal(size=(50, 2)), draw.normal(size=(50, 2)) + 0.5
seen = {}
for scale in (0.01, 1, 100):
    told = float(np.ravel(Hotelling().test(scale * one, scale * two)[1])[0])
    right = float(ttest_ind(scale * one, scale * two).pvalue[0])
    both = float(Hotelling().test(scale * wide, scale * wider)[1])
    seen[scale] = told, right, both
    print(f"times {scale}: one column p {told:.3g}, by a t-test {right:.3g}; two columns p {both:.3g}")
null = [np.ravel(Hotelling().test(10 * draw.normal(size=(50, 1)), 10 * draw.normal(size=(50, 1)))[1])[0] for _ in range(500)]
share = float(np.mean(np.array(null) <= 0.05))
print(f"unrelated samples of deviation 10: share at .05 or less {share:.3f}")
assert seen[0.01][0] > 0.9 and seen[100][0] < 1e-50 and share > 0.5
assert np.ptp([right for _, right, _ in seen.values()]) < 1e-9 and np.ptp([both for *_, both in seen.values()]) < 1e-9
PYTHON
