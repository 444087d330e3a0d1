#!/usr/bin/env bash
# Guess, written down first: the distance of geoopt.Sphere is the angle; in single precision, by way of the arc cosine,
# angles below about .0003 are lost, those above are right to a few digits. Half of the way from x to y (logmap, halved,
# expmap) ends between them, and a loss of distances pulls near pairs together until they meet.
# Seen (geoopt 0.5.1): in single precision each distance below .0141 (.8 degrees, a cosine above .9999) is told as .0141,
# that of a point to itself too, and has the gradient 0. logmap has that length as well: half of the way between points
# .001 apart goes past y, to seven times their distance. Of queries with a row .004 away and others at .008 the first row
# stored is told to be the nearest. In double precision the same holds below .00045, where the arc cosine itself is
# good to .00000002. Near duplicates, frames of one film and late steps of a training lie there.
# So: 2 asin(|x - y| / 2), which is right to single precision at any distance, and for logmap double precision.
# Source: geoopt/manifolds/sphere.py, EPS and dist (clamped to 1 - 1e-4, 1 - 1e-7).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 scipy==1.17.1 geoopt==0.5.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from geoopt import Sphere

print("geoopt", version("geoopt"), "torch", torch.__version__)
sphere = Sphere()


def at(angle, dtype):
    angle = torch.tensor(angle, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1).to(dtype)


def half_way(x, y):
    return 2 * torch.asin((sphere.expmap(x, sphere.logmap(x, y) / 2) - x).norm() / 2)


for dtype, floor, angles in (
    (torch.float32, 0.014143, (0.001, 0.004, 0.01, 0.02, 0.1)),
    (torch.float64, 0.000447, (0.00001, 0.0001, 0.0004, 0.001, 0.1)),
):
    x = at(0.0, dtype)
    for angle in angles:
        y = at(angle, dtype).requires_grad_()
        told = sphere.dist(x, y)
        told.backward()
        chord = 2 * torch.asin((x - y).norm() / 2)
        print(f"{dtype}, {angle} apart: told {told:.6f}, gradient {y.grad.norm():.3f}, by the chord {chord:.6f}, "
              f"half of the way {half_way(x, y):.6f}")
        assert abs(chord - angle) < 1e-6 and abs(told - max(angle, floor)) < 1e-5
        assert (y.grad.norm() == 0) == (angle < floor)
x, y = at(0.0, torch.float32), at(0.001, torch.float32)
assert half_way(x, y) > 6.9e-3
rows = at([0.008, 0.004, -0.008], torch.float32)
told = sphere.dist(x, rows)
print("rows at .008, .004, .008, told:", told.tolist(), "the nearest:", int(told.argmin()))
assert int(told.argmin()) == 0
PYTHON
