#!/usr/bin/env bash
# Guess, written down first: FriedmanRafsky of hyppo, a test whether two clouds of points have one distribution, has a small
# p-value where they lie apart, as Energy and MMD of the same package have, and any p-value where they do not. Labels may be
# a column, (n, 1), the shape that its help asks for, or a vector.
# Seen (hyppo 0.5.2): it is the wrong way round. Its statistic counts the pieces of the minimum spanning tree that are left when
# edges between the samples are cut, which is small where they differ; the p-value is the share of shuffles with as many pieces or
# more. Two clouds that are 5 deviations apart in each of 3 columns have p = 1, as have those 1 apart, where Energy has
# .005; samples that alternate along a line, more mixed than by chance, have .005. The corrected statistic that comes with it, -9.4 and
# -5.2 deviations, is right. Labels in the shape of its help give NaN, 1 piece and p = 1 for all data.
# So: labels as a vector, and scipy.stats.norm.cdf of the corrected statistic for a p-value.
# Source: hyppo/ksample/friedman_rafsky.py, test: perm_test counts null_dist >= stat, here <= is meant; statistic:
# labels = np.transpose(y), whose len is 1 for a column. Friedman, Rafsky 1979 reject for few runs.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check hyppo==0.5.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from hyppo.ksample import Energy, FriedmanRafsky
from scipy.stats import norm

print("hyppo", version("hyppo"))
draw = np.random.default_rng(0)
labels = np.repeat([0, 1], 40)
seen = {}
for gap in (0, 1, 5):
    first, second = draw.normal(size=(40, 3)), draw.normal(size=(40, 3)) + gap
    both = np.concatenate([first, second])
    told = FriedmanRafsky().test(both, labels, reps=200, random_state=0)
    column = FriedmanRafsky().test(both, labels[:, None], reps=20, random_state=0)
    other = Energy().test(first, second, reps=200, auto=False, random_state=0)[1]
    seen[gap] = told.pvalue, float(norm.cdf(told.stat)), float(other)
    print(f"{gap} deviations apart: {told.uncor_stat} pieces, corrected {told.stat:.2f}, p {told.pvalue:.3f}, by the corrected "
          f"statistic {seen[gap][1]:.3g}, by Energy {other:.3f}; labels as a column: {column.uncor_stat}, {column.stat}, {column.pvalue}")
    assert column.uncor_stat == 1 and np.isnan(column.stat) and column.pvalue == 1
line = FriedmanRafsky().test(np.arange(80.0)[:, None], np.arange(80) % 2, reps=200, random_state=0)
print(f"alternating along a line: {line.uncor_stat} pieces, p {line.pvalue:.3f}")
assert line.pvalue < 0.01
for gap in (1, 5):
    told, right, other = seen[gap]
    assert told > 0.99 and right < 1e-4 and other < 0.01
PYTHON
