#!/usr/bin/env bash
# Guess, written down first: ot.solve(C, a, b, reg=, unbalanced=).value is the minimised objective, positive for a
# positive cost (it is at least what the marginals' penalties and the cost amount to).
# Seen (POT 0.9.6.post1): it is 0 to rounding for every problem. The divergences are summed without their mass terms
# (sum p log(p / q) in place of sum p log(p / q) - p + q), and at the solution, where C + reg log(P / ab) +
# rho log(P1 / a) + rho log(P'1 / b) = 0 wherever P > 0, that sum is <P, 0>. value_linear, <P, C>, is right.
# Also seen (geomloss 0.3.1): geomloss.ot.solve without max_iter raises ValueError, though its help gives the default
# None as "until convergence"; and (ckatorch 1.0.3): cka_base(unbiased=True, method="hsic") returns the biased value.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 POT==0.9.6.post1 geomloss==0.3.1 ckatorch==1.0.3
"$place/env/bin/python" - <<'PYTHON'
import geomloss.ot
import numpy as np
import ot
import torch
from ckatorch.core import cka_base

print("POT", ot.__version__)
for seed in range(3):
    rng = np.random.default_rng(seed)
    cost = rng.random((5, 4)) + 0.5
    a, b = np.full(5, 0.2), np.full(4, 0.25)
    found = ot.solve(cost, a, b, reg=0.5, unbalanced=1.0, tol=1e-12, max_iter=100_000)
    p = found.plan

    def kl(p, q):
        return float((p * np.log(p / q) - p + q).sum())

    right = float((p * cost).sum()) + 0.5 * kl(p, np.outer(a, b)) + kl(p.sum(1), a) + kl(p.sum(0), b)
    print("value:", float(found.value), "objective by hand:", right)
    assert abs(float(found.value)) < 1e-9 < 0.1 < right
print("geomloss", geomloss.__version__)
try:
    geomloss.ot.solve(torch.tensor(cost), reg=0.5)
    raise AssertionError("geomloss.ot.solve takes no max_iter now")
except ValueError as e:
    print("ValueError:", e)
x, y = torch.randn(20, 5), torch.randn(20, 4)
biased, unbiased = float(cka_base(x, y)), float(cka_base(x, y, unbiased=True))
hsic = float(cka_base(x, y, unbiased=True, method="hsic"))
print("ckatorch: biased", biased, "unbiased", unbiased, "unbiased, hsic", hsic)
assert abs(hsic - biased) < 1e-6 < 0.01 < abs(hsic - unbiased)
PYTHON
