#!/usr/bin/env bash
# Guess, written down first: ot.gmm.gmm_barycenter_fixed_point(..., means_init, covs_init, weights, w_bar=w) is a mixture of
# weights w: of copies of one mixture, started there and with its weights, that mixture; of two mixtures one whose mean is
# the mean of theirs, and whose objective is below that of the start.
# Seen (POT 0.9.7.post1): with barycentric_proj_method="euclidean", the default, and weights that are not all equal, component
# i of n is multiplied by n w[i]: three of weights .6, .3 and .1 come back 1.8, .9 and .3 times as far from the origin,
# where nothing had to move, and with 1.8, .9 and .3 times the variance. Moved by 10, the mean is 8.0 off. Of two mixtures
# the objective is 1.39, above the 1.05 of the start, for .53. Nothing tells it. "bures" and equal weights are right. Both
# write the result into means_init and covs_init as well, so that a second call with the same start begins elsewhere.
# So: barycentric_proj_method="bures", and copies of the start.
# Source: ot/gmm.py: n * pi_list[k] @ means_list[k], where the rows of pi sum to w_bar; means[i], covs[i] = ... in place.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import ot
from ot.gmm import gmm_barycenter_fixed_point, gmm_ot_loss

print("POT", ot.__version__)
draw = np.random.default_rng(0)
means = draw.normal(size=(3, 4))
covariances = np.stack([scale * np.eye(4) for scale in (1.0, 2.0, 0.5)])
unequal, equal = np.array([0.6, 0.3, 0.1]), np.ones(3) / 3
half = np.array([0.5, 0.5])
seen = {}
for name, shift, moved in (("copies of one mixture", 0.0, 0.0), ("the same, all moved by 10", 10.0, 0.0), ("two mixtures", 0.0, 1.0)):
    for weights in (unequal, equal):
        for way in ("euclidean", "bures"):
            sources = [means + shift, means + shift + moved * np.random.default_rng(1).normal(size=means.shape)]
            given = sources[0].copy(), covariances.copy()
            got, spread = gmm_barycenter_fixed_point(
                sources, [covariances] * 2, [weights] * 2, *given, half, w_bar=weights, barycentric_proj_method=way
            )
            off = np.linalg.norm(weights @ got - weights @ (sources[0] + sources[1]) / 2)
            value = sum(gmm_ot_loss(got, source, spread, covariances, weights, weights) for source in sources) / 2
            start = sum(gmm_ot_loss(sources[0], source, covariances, covariances, weights, weights) for source in sources) / 2
            changed = abs(given[0] - sources[0]).max()
            seen[name, weights is equal, way] = got, spread, off, value, start, changed
            print(f"{name}, weights {weights.round(2)}, {way}: variances {spread[:, 0, 0].round(2)}, mean {off:.2f} off, "
                  f"objective {value:.3f} for {start:.3f} at the start, means_init changed by {changed:.2f}")
got, spread, _, value, *_ = seen["copies of one mixture", False, "euclidean"]
assert np.allclose(got, 3 * unequal[:, None] * means) and np.allclose(spread[:, 0, 0], [1.8, 1.8, 0.15], atol=1e-4)
assert value > 0.5 and seen["the same, all moved by 10", False, "euclidean"][2] > 5
_, _, off, value, start, changed = seen["two mixtures", False, "euclidean"]
right = seen["two mixtures", False, "bures"]
assert off > 0.1 and value > 1.2 * right[3] and right[3] < start and right[2] < 1e-6 and right[5] > 0.1
for (name, uniform, way), (_, _, off, *_) in seen.items():
    assert off < 1e-6 or (not uniform and way == "euclidean")
PYTHON
