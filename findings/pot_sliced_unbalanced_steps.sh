#!/usr/bin/env bash
# Guess, written down first: ot.unbalanced.sliced_unbalanced_ot(X, Y, reg_m) is the mean over directions of the unbalanced
# transport between the projections: never above 2 reg_m, which is what moving nothing costs, and larger for clouds that are
# further apart. Where its solver has not converged it says so, as sinkhorn and emd do.
# Seen (POT 0.9.7.post1): by default it takes ten steps and tells what it has then. For 60 and 70 unit vectors of 16 columns,
# whose squared projections are about 1/16 apart, and reg_m = .01 that is 1.257 for .00147, without a warning, where
# moving nothing costs .02. The order turns as well: a cloud moved by .1 is told to be at 4.4, one moved by .3 at 2.2, for
# .001 and .0035. With .03 it is .0237 for .0030; from .1 on, for these vectors, ten steps are enough. uot_1d, which it
# calls, tells 2e11 for the first column with reg_m = .001, where moving nothing costs .002.
# So: numItermax=2000, or a reg_m above the squared distances of the projections; and compare with what moving nothing costs.
# Source: ot/unbalanced/_solver_1d.py, uot_1d: numItermax=10, a Frank-Wolfe loop without a test of its gap.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1 torch==2.13.0
"$place/env/bin/python" -W error::UserWarning - <<'PYTHON'
import numpy as np
import ot
import torch
from ot.unbalanced import mm_unbalanced, sliced_unbalanced_ot, uot_1d

print("POT", ot.__version__)
draw = np.random.default_rng(0)
sides = [draw.normal(size=(n, 16)) + shift for n, shift in ((60, 0.0), (70, 0.5))]
x, y = (torch.tensor(side / np.linalg.norm(side, axis=1, keepdims=True)) for side in sides)
directions = ot.sliced.get_random_projections(16, 50, seed=0, backend=ot.backend.get_backend(x), type_as=x)


def exact(first, second, reg):
    """The same mean, each direction by another algorithm, to its end."""
    values = []
    for a, b in zip((first @ directions).T.numpy(), (second @ directions).T.numpy()):
        masses = np.full(len(a), 1 / len(a)), np.full(len(b), 1 / len(b))
        _, log = mm_unbalanced(*masses, (a[:, None] - b) ** 2, reg, numItermax=3000, stopThr=1e-9, log=True)
        values.append(float(log["total_cost"]))
    return float(np.mean(values))


def told(first, second, reg, **options):
    return float(sliced_unbalanced_ot(first, second, reg, projections=directions, **options))


for reg in (0.01, 0.03, 0.1):
    right, default, long = exact(x, y, reg), told(x, y, reg), told(x, y, reg, numItermax=2000)
    print(f"reg_m {reg}: told {default:.4f}, after 2,000 steps {long:.5f}, right {right:.5f}; moving nothing costs {2 * reg}")
    assert abs(long / right - 1) < 0.05
    assert default > 2 * reg if reg == 0.01 else reg < 0.1 or abs(default / right - 1) < 0.05
moved = [told(x, x + by, 0.01) for by in (0.1, 0.3)]
print(f"a cloud moved by .1: {moved[0]:.3f}, by .3: {moved[1]:.3f}; after 2,000 steps",
      [round(told(x, x + by, 0.01, numItermax=2000), 5) for by in (0.1, 0.3)])
assert min(moved) > 0.02 and moved[0] > moved[1]
line = uot_1d(x[:, :1], y[:, :1], 0.001, p=2, returnCost="total")[2]
print(f"uot_1d, reg_m .001: {float(line):.3g}; moving nothing costs .002")
assert float(line) > 1000
PYTHON
