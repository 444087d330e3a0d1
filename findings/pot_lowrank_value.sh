#!/usr/bin/env bash
# Guess, written down first: ot.solve_sample(x, y, method="lowrank", rank=r).value is the cost of the low-rank plan in the
# units of the squared distances: at least the exact value, and 100 times as large when the points are 10 times as far.
# Seen (POT 0.9.7.post1): it is far below the exact minimum, which no plan can be, and hardly changes with the scale of the
# points. The plan is sound and its true cost is as guessed; the value is that of the factors of the cost after they have
# been divided by their largest entries (rescale_cost=True by default in ot.lowrank_sinkhorn), and solve_sample cannot turn
# that off. Without it (ot.lowrank_sinkhorn(..., rescale_cost=False)) the value has the right units, and the plan is near
# that of independent sides, however large the rank.
# So values of "lowrank" compare with nothing: take the plan and sum plan x cost.
# Source: ot.lowrank.lowrank_sinkhorn, parameter rescale_cost; Scetbon, Cuturi, Peyre 2021, arXiv 2103.04737.
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

warnings.simplefilter("ignore")
print("POT", ot.__version__)
draw = np.random.default_rng(0)
base = draw.normal(size=(200, 3)), draw.normal(size=(200, 3)) + 1
values = []
for scale in (1.0, 10.0):
    x, y = (scale * side for side in base)
    cost = ot.dist(x, y)
    exact = ot.solve_sample(x, y).value
    low = ot.solve_sample(x, y, method="lowrank", rank=50)
    plan = low.lazy_plan[:]
    raw = ot.lowrank_sinkhorn(x, y, rank=50, rescale_cost=False, log=True)[3]
    print(f"scale {scale:g}: exact {exact:.3f}, value {low.value:.3f}, cost of its plan {np.sum(plan * cost):.3f}, "
          f"not rescaled {raw['value_linear']:.3f}, independent sides {cost.mean():.3f}")
    assert np.abs(plan.sum(1) * 200 - 1).max() < 1e-5  # the plan is one
    assert np.sum(plan * cost) >= exact > 5 * low.value
    assert raw["value_linear"] > 0.9 * cost.mean()
    values.append(low.value)
assert values[1] < 2 * values[0]
print("the value is in units of the rescaled cost")
PYTHON
