#!/usr/bin/env bash
# Guess, written down first: GPA of prince (generalised Procrustes analysis) takes landmarks in whole pixels as it takes the
# same numbers as floats: a shape and its turned, shifted copies, rounded to pixels, fall onto each other to half a pixel.
# Seen (prince 0.23.0): the aligned shapes are written into an array of the type of the data, which cuts off what stands behind
# the point, in every round. With scale=False the shapes shrink: after ten rounds (the default) five shapes of norm 191 have
# 168, after a hundred 37 to 40; transform of the same shapes gives others than fit_transform. With scale=True, the default,
# whose shapes have norm 1, all coordinates become 0 and scipy raises "Input matrices must contain >1 unique points". As floats
# all is well.
# So: landmarks.astype(float).
# Source: prince/gpa.py, fit_transform: X = np.array(X, copy=True), X[:] = self._align(X, reference_shape).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check prince==0.23.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 pandas==3.1.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import prince

print("prince", version("prince"))
draw = np.random.default_rng(0)
shape = draw.normal(size=(20, 2)) * 40
pixels = []
for angle in draw.uniform(0, 6, 5):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pixels.append(np.round(shape @ turn + 200 + 50 * draw.normal(size=2)).astype(int))
pixels = np.stack(pixels)
sizes = {}
for rounds in (10, 100):
    for kind in (float, int):
        model = prince.GPA(scale=False, max_iter=rounds, random_state=0)
        aligned = model.fit_transform(pixels.astype(kind))
        sizes[rounds, kind] = np.linalg.norm(aligned, axis=(1, 2))
        off = np.abs(model.transform(pixels.astype(kind)) - aligned).max()
        print(f"{rounds} rounds, {kind.__name__}: norms {sizes[rounds, kind].round(1)}, transform off by {off:.2g}")
        assert (off < 1e-3) if kind is float else (off > 1)
right = np.linalg.norm(pixels - pixels.mean(1, keepdims=True), axis=(1, 2))
assert np.allclose(sizes[10, float], right) and np.allclose(sizes[100, float], right)
assert (sizes[100, int] < 0.3 * right).all() and (sizes[10, int] < 0.95 * right).all()
spread = np.abs(prince.GPA(random_state=0).fit_transform(pixels.astype(float)).std(0)).max()
print(f"scaled to norm 1, as floats: deviations of at most {spread:.4f}")
assert spread < 0.01
try:
    prince.GPA(random_state=0).fit_transform(pixels)
    raise SystemExit("whole pixels are scaled now")
except ValueError as error:
    print("as whole numbers:", error)
PYTHON
