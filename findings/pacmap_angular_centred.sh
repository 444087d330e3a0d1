#!/usr/bin/env bash
# Guess, written down first: PaCMAP with distance="angular" pairs each row with rows that lie at a small angle to it, whatever the
# lengths of the rows are, as annoy and faiss do, which it asks for the neighbours; adding one vector to all rows changes the
# angles, and with them the pairs and the map.
# Seen (pacmap 0.9.1): it is the other way round. All rows are shifted to mean zero first, for this distance too, so that angles are
# seen from the middle of the cloud: lengths matter, and the shift does not. Directions along a ring in a narrow cone, as
# embeddings lie (mean cosine .97), are paired with neighbours 2.6 degrees away along it when all rows have length 1. With
# lengths that vary about threefold either way, which no angle between rows knows, it is 14.6 degrees, a fifth of the pairs are not
# among the 60 nearest by angle, and nearest points of the map are 17.6 degrees apart for 2.4. Adding 2 to every number
# changes the angles, and not the pairs. apply_pca=False does not prevent it.
# So: divide rows by their lengths before, and ask for "euclidean".
# Source: pacmap/pacmap.py, preprocess_X: X -= xmean in both of its branches, whichever distance is asked for.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
    faiss-cpu==1.15.1 pacmap==0.9.1
NUMBA_NUM_THREADS=1 "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from pacmap import PaCMAP

print("pacmap", version("pacmap"))
draw = np.random.default_rng(0)
n, width = 500, 32
ring = np.sort(draw.uniform(0, 2 * np.pi, n))
axes = np.linalg.qr(draw.normal(size=(width, 3)))[0].T
rows = 6 * axes[0] + np.cos(ring)[:, None] * axes[1] + np.sin(ring)[:, None] * axes[2]
rows += 0.1 * draw.normal(size=(n, width)) / np.sqrt(width)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
lengths = np.exp(draw.normal(size=(n, 1)))


def cosines(given):
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    return unit @ unit.T


def along(partners):
    """Mean way along the ring from a row to its partners, in degrees."""
    return float(np.degrees(np.abs(np.angle(np.exp(1j * (ring[partners] - ring[:, None])))).mean()))


def paired(given, **options):
    model = PaCMAP(distance="angular", random_state=0, num_iters=(20, 20, 50), **options)
    points = model.fit_transform(given.astype("float32"))
    pairs = model.pair_neighbors.reshape(n, -1, 2)[:, :, 1]
    nearest = np.argsort(-cosines(given), axis=1)[:, 1:61]
    among = float(np.mean([len({*a} & {*b}) / len(a) for a, b in zip(pairs.tolist(), nearest.tolist(), strict=True)]))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return pairs, among, along(pairs), along(np.argsort(apart, axis=1)[:, 1:11])


print(f"mean cosine {cosines(rows).mean():.3f}; the same of rows of any length; after adding 2 {cosines(rows * lengths + 2).mean():.3f}")
unit, long, moved, without = paired(rows), paired(rows * lengths), paired(rows * lengths + 2), paired(rows * lengths, apply_pca=False)
for name, (_, among, pairs, points) in {"unit": unit, "any length": long, "any length, moved": moved, "apply_pca=False": without}.items():
    print(f"{name}: {among:.3f} of the pairs are among the 60 nearest by angle, {pairs:.1f} degrees along the ring; in the map {points:.1f}")
assert unit[1] > 0.99 and unit[2] < 4 and unit[3] < 4
for told in (long, without):
    assert told[1] < 0.85 and told[2] > 10 and told[3] > 10
assert np.mean(moved[0] == long[0]) > 0.99
PYTHON
