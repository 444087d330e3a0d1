#!/usr/bin/env bash
# Guess, written down first: ot.solve_sample(x, y, reg=e, method="nystroem", rank=r) approximates the entropic plan: no entry
# is negative, and .value is the regularised objective, as without a method; a poor rank is told by a warning.
# Seen (POT 0.9.7.post1): it stops after 10 iterations without a warning, with right marginals, and a plan with negative
# entries down to several times minus the mean entry; a larger rank makes them smaller. .value is the cost <P, C> alone,
# which is called value_linear elsewhere, and value_linear is None. A smaller regularisation warns, and its value may lie
# below 0 for a cost of squared distances.
# So a plan from Nystroem features may not be read as probabilities, and its value is not compared with those of others.
# Source: ot.lowrank.kernel_nystroem; Altschuler et al. 2019, arXiv 1812.05189 (whose bound asks for positive kernels).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 POT==0.9.7.post1
"$place/env/bin/python" - <<'PYTHON'
import warnings

import numpy as np
import ot

print("POT", ot.__version__)
draw = np.random.default_rng(0)
x, y = draw.normal(size=(200, 3)), draw.normal(size=(200, 3)) + 1
cost = ot.dist(x, y)
full = ot.solve_sample(x, y, reg=5.0)
lowest = []
for rank in (30, 100, 200):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = ot.solve_sample(x, y, reg=5.0, method="nystroem", rank=rank, random_state=0)
    plan = found.lazy_plan[:]
    lowest.append(plan.min() * plan.size)
    print(f"rank {rank}: warnings {len(told)}, least entry {lowest[-1]:.2f} of the mean, value {found.value:.3f}, "
          f"<P, C> {np.sum(plan * cost):.3f}; Sinkhorn: value {full.value:.3f}, linear {full.value_linear:.3f}")
    assert not told and np.abs(plan.sum(1) * 200 - 1).max() < 1e-6
    assert abs(found.value - np.sum(plan * cost)) < 1e-6 and found.value_linear is None
assert lowest[0] < -1 and lowest[0] < lowest[1] < lowest[2] < 0
print("negative masses, without a word")
PYTHON
