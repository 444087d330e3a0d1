#!/usr/bin/env bash
# Guess, written down first: weight of procrustes.orthogonal and rotational (qc-procrustes) weighs the rows, so that pairs of
# weight 0 do not turn the fit, with translate=True as without. What generalized returns beside the aligned arrays, "the
# distance for matching all the transformed arrays", is the sum over pairs of its formula: 0 for turned copies alone.
# Seen (qc-procrustes 1.1.3): with translate=True the weights place the centroid and are dropped for the rotation: of 40 pairs
# 15 are wrong and have the weight 0; the rotation is .71 from the true one (Frobenius), .74 without weights, .003 right.
# Without translate rows are multiplied by them on both sides, so that a pair weighs their square, and new_a and new_b come
# back multiplied. generalized returns how far the mean moved in its last step, which goes to 0 whatever is aligned: 6e-6
# for four unrelated clouds, whose sum over pairs is 244,696. Nothing tells either.
# So: centre by the weighted mean first and pass the root of the weights without translate; add up the pairs of what
# generalized returns first.
# Source: procrustes/utils.py, _setup_input_array_lower: "elif weight is not None"; procrustes/generalized.py, new_distance_gpa
# (theochem/procrustes pull request 217, open, says so of the latter).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check qc-procrustes==1.1.3 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version
from itertools import combinations

import numpy as np
from procrustes import generalized, orthogonal, rotational

print("qc-procrustes", version("qc-procrustes"))
draw = np.random.default_rng(0)


def rotation(columns):
    turn, _ = np.linalg.qr(draw.normal(size=(columns, columns)))
    return turn * np.sign(np.linalg.det(turn))


def exact(a, b, weight, centred):
    if centred:
        a, b = (x - np.average(x, axis=0, weights=weight) for x in (a, b))
    u, _, v = np.linalg.svd(a.T @ (weight[:, None] * b))
    return u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v


turn = rotation(3)
a = draw.normal(size=(40, 3))
b = a @ turn + 0.01 * draw.normal(size=a.shape) + np.array([1.0, 2.0, 3.0])
b[:15] = 5 * draw.normal(size=(15, 3))
trusted = np.repeat([0.0, 1.0], [15, 25])
right = np.linalg.norm(exact(a, b, trusted, True) - turn)
for method in (orthogonal, rotational):
    plain, weighted = (method(a, b, translate=True, weight=weight) for weight in (None, trusted))
    mean_a, mean_b = (np.average(x, axis=0, weights=trusted) for x in (a, b))
    mended = method(a - mean_a, b - mean_b, weight=np.sqrt(trusted)).t
    off = [float(np.linalg.norm(t - turn)) for t in (plain.t, weighted.t, mended)]
    print(f"{method.__name__}, translate=True: {off[0]:.3f} from the rotation without weights, {off[1]:.3f} with them, "
          f"{off[2]:.3f} centred before; exact {right:.3f}")
    assert right < 0.01 and off[2] < 0.01 and min(off[:2]) > 0.5
graded = draw.random(40) + 0.05
b = a @ turn + 0.3 * draw.normal(size=a.shape)
told = rotational(a, b, weight=graded)
once, twice = (np.linalg.norm(told.t - exact(a, b, graded**power, False)) for power in (1, 2))
print(f"graded weights: {once:.4f} from the exact rotation, {twice:.1e} from that of their squares")
assert once > 0.01 and twice < 1e-9 and np.allclose(told.new_b, graded[:, None] * b)

base = draw.normal(size=(50, 5))
for name, same, noise in (("turned copies", 1, 0.0), ("with noise", 1, 1.0), ("unrelated clouds", 0, 10.0)):
    clouds = [(same * base + noise * draw.normal(size=base.shape)) @ np.linalg.qr(draw.normal(size=(5, 5)))[0] for _ in range(4)]
    aligned, distance = generalized(clouds)
    pairs = sum(np.sum((x - y) ** 2) for x, y in combinations(aligned, 2))
    print(f"generalized, {name}: {distance:.1e}, sum over pairs {pairs:.1f}")
    assert distance < 1e-5 and (pairs > 1000 if noise else pairs < 1e-9)
PYTHON
