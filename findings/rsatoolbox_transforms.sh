#!/usr/bin/env bash
# Guess, written down first: a transform of rsatoolbox returns new matrices of dissimilarity, as its help says, and leaves the given
# ones alone. geotopological_transform sets what is below a quantile to 0, above another to 1 and scales what is between (Lin,
# Kriegeskorte 2023), so units do not matter. geodesic_transform gives lengths of shortest paths: no pair gets farther apart, the
# nearest pair, 0 after scaling, stays the nearest.
# Seen (rsatoolbox 0.3.2): geodesic_, geotopological_, minmax_, positive_ and sqrt_transform write into the given matrices. The first four leave
# (scaled) new numbers there, sqrt_ zeros for negative ones: "before" is no longer there. Geotopological values of 66 pairs are right where
# the upper quantile is above 1; where it is below, values between, once scaled, pass it and become 1: up to .65 off with
# dissimilarities divided by 10, .93 by 100, where 3 different values are left. Of two such matrices in one object, one ten
# times the other, both get the quantiles of all numbers: none of the small one becomes 1, none of the large one 0. The nearest pair
# has no edge, since 0 means none: it is as far apart as by another point, the 19th to 49th nearest of 66 pairs in six sets, and
# so is whatever went past it, 13 to 28 of the 66.
# So: deepcopy before a transform; numpy.clip of scaled values, and scipy.sparse.csgraph or the loop below for paths.
# Source: rsatoolbox/rdm/transform.py: get_vectors() is not copied; steps in place one after the other; networkx.from_numpy_array.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check rsatoolbox==0.3.2 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from rsatoolbox.rdm import RDMs
from rsatoolbox.rdm.transform import (
    geodesic_transform,
    geotopological_transform,
    minmax_transform,
    positive_transform,
    rank_transform,
    sqrt_transform,
)
from scipy.spatial.distance import pdist, squareform

print("rsatoolbox", version("rsatoolbox"))


def squared(seed, columns=5):
    return pdist(np.random.default_rng(seed).normal(size=(12, columns))) ** 2


given = squared(0) / squared(0).mean() - 0.4
for name, way in (
    ("sqrt", sqrt_transform),
    ("rank", rank_transform),
    ("positive", positive_transform),
    ("minmax", minmax_transform),
    ("geotopological", lambda matrices: geotopological_transform(matrices, 0.2, 0.8)),
    ("geodesic", geodesic_transform),
):
    matrices = RDMs(given.copy()[None])
    new = way(matrices).get_vectors()
    changed = np.abs(matrices.get_vectors() - given).max()
    print(f"{name}: the given matrix has changed by up to {changed:.2f}")
    assert (changed > 0.1) == (name != "rank") and (name in ("rank", "sqrt", "geodesic") or np.shares_memory(new, matrices.get_vectors()))


def clipped(values):
    low, high = np.quantile(values, [0.2, 0.8])
    return np.clip((values - low) / (high - low), 0, 1)


values, off = np.sqrt(squared(0)), {}
for unit in (1, 10, 0.1, 0.01):
    seen = geotopological_transform(RDMs((values * unit)[None].copy()), 0.2, 0.8).get_vectors()[0]
    off[unit] = np.abs(seen - clipped(values * unit)).max()
    print(f"geotopological, dissimilarities times {unit}: up to {off[unit]:.2f} off, {len(np.unique(seen))} different values")
    assert np.allclose(clipped(values * unit), clipped(values))
assert max(off[1], off[10]) < 1e-9 and off[0.1] > 0.5 and off[0.01] > 0.9
both = geotopological_transform(RDMs(np.stack([10 * values, values])), 0.2, 0.8).get_vectors()
print("two in one object: share of 0", (both == 0).mean(1).round(2), "of 1", (both == 1).mean(1).round(2))
assert not (both[0] == 0).any() and not (both[1] == 1).any()


def paths(values):
    """Shortest paths without the longest edge, by Floyd's loop."""
    scaled = squareform((values - values.min()) / (values.max() - values.min()))
    scaled[scaled == 1] = np.inf
    for k in range(len(scaled)):
        scaled = np.minimum(scaled, scaled[:, [k]] + scaled[[k]])
    return squareform(scaled, checks=False)


for seed, columns in ((0, 5), (0, 20), (1, 20), (2, 20), (3, 20), (4, 20)):
    values = squared(seed, columns)
    right, seen = paths(values), geodesic_transform(RDMs(values[None].copy())).get_vectors()[0]
    nearest = int(values.argmin())
    nearer, wrong = int((seen < seen[nearest]).sum()), int((np.abs(seen - right) > 1e-9).sum())
    print(f"geodesic: nearest pair {seen[nearest]:.2f} for {right[nearest]:.2f}, {nearer} pairs are nearer, {wrong} of {len(seen)} are wrong")
    assert right[nearest] == 0 and seen[nearest] > 0.1 and nearer > 10 and wrong > 5
PYTHON
