#!/usr/bin/env bash
# Guess, written down first: the p-value of dcor's permutation tests is (1 + number of permutations with a statistic at least that of
# the data) / (1 + permutations), so that at most a twentieth of unrelated pairs has .05 or less. Where the statistic is 0,
# of a column that says nothing for instance, each permutation reaches it, and the p-value is 1.
# Seen (dcor 0.7): permutations that reach the same value are not counted. A constant column, rows of a collapsed model, is
# "dependent" on anything with p = .005, the least that 199 permutations can give, and two equal sets of equal rows
# "differ" with p = .005, while the t-test of the same module says .5. Labels tie as well: of 300 pairs of unrelated
# columns of 20 rare labels (one in ten) .30 are called dependent at .05, and .25 of two such samples different; with ties
# counted .003 and .01. With 50 rows it is .10 and .11. Columns of real numbers do not tie. Nothing tells it.
# So: scipy.stats.permutation_test with the statistic of dcor, which counts ties, or hyppo.
# Source: dcor/_hypothesis.py, _permutation_test_with_sym_matrix: bootstrap_statistics > statistic.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check dcor==0.7 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import dcor
import numpy as np
from dcor import homogeneity, independence

print("dcor", version("dcor"))
rows, equal = np.random.default_rng(0).normal(size=(50, 3)), np.ones((50, 2))
told = {
    "rows and a constant": independence.distance_covariance_test(rows, equal, num_resamples=199, random_state=0),
    "rows and a constant, t-test": independence.distance_correlation_t_test(rows, equal),
    "equal rows and the same again": homogeneity.energy_test(equal, equal, num_resamples=199, random_state=0),
}
for name, test in told.items():
    print(f"{name}: statistic {float(test.statistic)}, p {float(test.pvalue)}")


def with_ties(statistic, pooled, many, draw):
    """The p-value that counts ties, of statistics of permuted rows."""
    own = statistic(pooled)
    return (1 + sum(statistic(pooled, draw.permutation(len(pooled))) >= own - 1e-12 for _ in range(many))) / (1 + many)


def dependence(pair, order=slice(None)):
    return float(dcor.distance_covariance_sqr(pair[:, 0], pair[order, 1]))


def difference(pooled, order=slice(None)):
    first, second = np.split(pooled[order], 2)
    return float(dcor.energy_distance(first, second))


called = {}
for count, tries in ((20, 300), (50, 300)):
    found = []
    for seed in range(tries):
        draw = np.random.default_rng(seed)
        a, b = ((draw.random(count) < 0.1).astype(float) for _ in range(2))
        found.append([
            independence.distance_covariance_test(a, b, num_resamples=99, random_state=seed).pvalue,
            homogeneity.energy_test(a, b, num_resamples=99, random_state=seed).pvalue,
            with_ties(dependence, np.column_stack([a, b]), 99, draw) if count == 20 else 1,
            with_ties(difference, np.concatenate([a, b]), 99, draw) if count == 20 else 1,
        ])
    called[count] = (np.array(found) <= 0.05).mean(0)
    print(f"{tries} pairs of {count} unrelated labels: called dependent {called[count][0]:.3f}, different {called[count][1]:.3f}"
          + (f"; with ties counted {called[count][2]:.3f} and {called[count][3]:.3f}" if count == 20 else ""))
constant, student, same = told.values()
assert constant.statistic == 0 and constant.pvalue == 0.005 and student.pvalue == 0.5
assert same.statistic == 0 and same.pvalue == 0.005
assert called[20][:2].min() > 0.2 and called[20][2:].max() <= 0.06 and called[50][:2].min() > 0.08
PYTHON
