#!/usr/bin/env bash
# Guess, written down first: sliced_wasserstein of persim does not change when the same number is added to all births and deaths of
# two persistence diagrams, as wasserstein and bottleneck do not: the diagonal is moved along itself.
# Seen (persim 0.4.1): true while birth + death is above 0. A negative one loses its sign where points are projected onto the
# diagonal: (.1, .2) less 5 is put to (4.85, 4.85), not (-4.85, -4.85). So two diagrams .206 apart are .386 apart after a shift by
# -.3, 1.66 by -1 and 8.86 by -5, and the nearest of 40 diagrams is another one in .85 of cases where values are
# negative, as in filtrations by similarity from the top; one bar of .01 more makes .89 for .005. Nothing tells it.
# So: add a constant that makes all births positive to both diagrams first.
# Source: persim/sliced_wasserstein.py: np.sqrt(x**2 / 2.0) in the place of x / np.sqrt(2). Carriere, Cuturi, Oudot 2017.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check persim==0.4.1 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from persim import bottleneck, sliced_wasserstein, wasserstein

print("persim", version("persim"))
first = np.array([[0.0, 1.0], [0.2, 0.5]])
second = np.array([[0.0, 0.9], [0.3, 0.4], [0.1, 0.2]])


def exact(a, b, slices=50):
    """The sliced distance with the same slices, whose points of the diagonal keep their sign."""
    whole = [np.concatenate([x, np.repeat(y.mean(1), 2).reshape(-1, 2)]) for x, y in ((a, b), (b, a))]
    angles = np.pi * (0.5 + np.arange(slices) / slices)
    p, q = (np.sort(x @ np.array([np.cos(angles), np.sin(angles)]), axis=0) for x in whole)
    return float(np.abs(p - q).sum(0).mean())


seen = {}
for shift in (0.0, 1.0, -0.3, -1.0, -5.0):
    pair = first + shift, second + shift
    seen[shift] = float(sliced_wasserstein(*pair))
    others = [float(wasserstein(*pair)), float(bottleneck(*pair)), exact(*pair)]
    print(f"shifted by {shift}: sliced {seen[shift]:.3f}, exact {others[2]:.3f}; wasserstein {others[0]:.3f}, bottleneck {others[1]:.3f}")
    assert np.allclose(others, [0.3121, 0.1, seen[0.0]], atol=1e-3)
assert abs(seen[1.0] - seen[0.0]) < 1e-5 and seen[-0.3] > 1.5 * seen[0.0] and seen[-5.0] > 40 * seen[0.0]

draw = np.random.default_rng(0)


def diagram(scale):
    births = -draw.random(draw.integers(4, 9))
    return np.stack([births, births + scale * draw.random(len(births)) * -births], 1)


diagrams = [diagram(scale) for scale in np.linspace(0.3, 1, 40)]
told, right, moved = (
    np.array([[np.inf if i == j else measure(a, b) for j, b in enumerate(diagrams)] for i, a in enumerate(diagrams)])
    for measure in (sliced_wasserstein, exact, lambda a, b: sliced_wasserstein(a + 1, b + 1))
)
other = float(np.mean(told.argmin(1) != right.argmin(1)))
longer = np.concatenate([diagrams[0], [[-0.5, -0.49]]])
print(f"diagrams of negative values: the nearest of 40 is another one in {other:.2f} of cases, after adding 1 in "
      f"{np.mean(moved.argmin(1) != right.argmin(1)):.2f}; one bar of .01 more: {sliced_wasserstein(diagrams[0], longer):.3f}, "
      f"exact {exact(diagrams[0], longer):.3f}")
assert other > 0.3 and np.allclose(moved[~np.eye(40, dtype=bool)], right[~np.eye(40, dtype=bool)], atol=1e-5)
PYTHON
