#!/usr/bin/env bash
# Guess, written down first: TLScale of pyriemann gives scaled matrices back and leaves those that it was given as they were,
# as TLCenter, TLRotate and the transformers of scikit-learn do; a second call gives the same.
# Seen (pyriemann 0.12): fit_transform writes into its argument: of matrices that were not centred before, its default
# (centered_data=False), the caller's array holds the matrices of each domain whitened by that domain's mean from then on. The
# mean of every domain is the identity, so whatever is computed from that array afterwards has lost the difference between
# the domains: two domains whose means are 2.2 apart are 0 apart, and of a second call, with another final_dispersion say, the
# result lies as far from what the same call gives on a copy. What is returned is right. Tangent vectors, and centred
# matrices, are left alone; in a pipeline the array that is lost may be yours or that of the step before.
# So: give it a copy.
# Source: pyriemann/transfer/_estimators.py, TLScale.fit_transform: X[idx] = self._center(X[idx], self._means[d]).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyriemann==0.12 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pyriemann
from pyriemann.geometry.distance import distance_riemann
from pyriemann.geometry.mean import gmean
from pyriemann.transfer import TLCenter, TLRotate, TLScale, encode_domains

print("pyriemann", pyriemann.__version__)
draw = np.random.default_rng(0)
signals = draw.normal(size=(60, 4, 12)) * np.where(np.arange(60) < 30, 1, 3**0.5)[:, None, None]
matrices = signals @ signals.transpose(0, 2, 1) / 12
domains = np.repeat(["source", "target"], 30)
given, labels = encode_domains(matrices, np.tile([0, 1], 30), domains)
given = given.copy()


def apart(array):
    means = [gmean(array[domains == name], metric="riemann") for name in ("source", "target")]
    return float(distance_riemann(*means))


for name, step in {"TLCenter": TLCenter("target"), "TLRotate": TLRotate("target")}.items():
    step.fit_transform(given, labels)
    print(f"after {name}: the array changed by {np.abs(given - matrices).max():.3f}")
    assert np.array_equal(given, matrices)
before = apart(given)
first = TLScale("target").fit_transform(given, labels)
after, moved = apart(given), float(np.abs(given - matrices).max())
print(f"after TLScale: the array changed by {moved:.3f}; means of its domains {before:.3f} apart before, {after:.6f} after")
means = [gmean(given[domains == name], metric="riemann") for name in ("source", "target")]
assert all(np.allclose(mean, np.eye(4), atol=1e-5) for mean in means)
again = TLScale("target", final_dispersion=2.0).fit_transform(given, labels)
right = TLScale("target", final_dispersion=2.0).fit_transform(matrices.copy(), labels)
print(f"means of the domains of what is returned: {apart(first):.3f} apart; of a second call {apart(again):.6f}, on a copy {apart(right):.3f}")
assert before > 1.5 and after < 1e-5 and moved > 1
assert abs(apart(first) - before) < 1e-3 and apart(again) < 1e-4 and abs(apart(right) - before) < 1e-3
vectors = draw.normal(size=(60, 5))
kept = vectors.copy()
TLScale("target").fit_transform(kept, labels)
assert np.array_equal(kept, vectors)
PYTHON
