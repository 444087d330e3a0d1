#!/usr/bin/env bash
# Guess, written down first: mean_covariance(X, metric="euclid", sample_weight=w) of pyriemann is the weighted mean of that metric,
# as gmean, its new name, gives it. The weighted geometric mean of two matrices lies on the line between them, at the
# share of the second one's weight, whichever of riemann, alm, bmp, cheap and ale computes it.
# Seen (pyriemann 0.12): mean_covariance drops both arguments: whatever they are, the Riemannian mean with equal weights comes
# back, .46 to 1.04 from the right one; its message says only that it was renamed. gmean(metric="alm"), "bmp" and "cheap"
# of two matrices put the mean at w[1] / (2 w[0]) of the way, not w[1] / (w[0] + w[1]): with weights .1 and .9 that is 4.5
# times the way, 10.3 beyond the second of two matrices 2.9 apart. Of three with weights .8, .1, .1 "alm" refuses matrices
# that are positive definite and "bmp" gives one that is infinitely far. Equal weights are right; nothing tells the rest.
# So: gmean with metric "riemann", "logeuclid" or another that is weighted.
# Source: pyriemann/geometry/mean.py: gmean(X, *args, metric="riemann", sample_weight=None, **kwargs) in mean_covariance, and
# alpha = sample_weight[1] / sample_weight[0] / 2.
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
from pyriemann.geometry.mean import gmean, mean_covariance

print("pyriemann", pyriemann.__version__)
draw = np.random.default_rng(0)
scales = np.arange(1, 5)[:, None]
covariances = np.stack([np.cov(draw.normal(size=(4, 12)) * scales) for _ in range(5)])
weights = np.array([0.6, 0.1, 0.1, 0.1, 0.1])
plain = gmean(covariances, metric="riemann")
exact = {
    "riemann": gmean(covariances, metric="riemann", sample_weight=weights),
    "euclid": np.tensordot(weights, covariances, 1),
    "harmonic": np.linalg.inv(np.tensordot(weights, np.linalg.inv(covariances), 1)),
    "logeuclid": gmean(covariances, metric="logeuclid", sample_weight=weights),
}
for metric, right in exact.items():
    told = mean_covariance(covariances, metric=metric, sample_weight=weights)
    renamed = gmean(covariances, metric=metric, sample_weight=weights)
    print(f"mean_covariance, {metric}: {distance_riemann(told, right):.3f} from the right mean, "
          f"{distance_riemann(told, plain):.1e} from the Riemannian mean with equal weights; gmean {distance_riemann(renamed, right):.1e}")
    assert distance_riemann(told, plain) < 1e-9 and distance_riemann(told, right) > 0.2 and distance_riemann(renamed, right) < 1e-6


def line(a, b, share):
    values, vectors = np.linalg.eigh(a)
    root, inverse = (vectors * values**0.5) @ vectors.T, (vectors * values**-0.5) @ vectors.T
    values, vectors = np.linalg.eigh(inverse @ b @ inverse)
    return root @ (vectors * values**share) @ vectors.T @ root


first, second = pair = covariances[:2]
apart = distance_riemann(first, second)
print(f"two matrices, {apart:.2f} apart")
for weights in ([0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0.1, 0.9]):
    right = line(first, second, weights[1])
    for metric in ("riemann", "ale", "alm", "bmp", "cheap"):
        told = gmean(pair, metric=metric, sample_weight=np.array(weights))
        to = [float(distance_riemann(told, matrix)) for matrix in pair]
        wrong = float(distance_riemann(told, right))
        print(f"  weights {weights}, {metric}: {to[0]:.2f} from the first, {to[1]:.2f} from the second, {wrong:.2f} from the right one")
        if metric in ("riemann", "ale") or weights[0] == 0.5:
            assert wrong < 1e-5
        else:
            assert wrong > 0.2 and abs(to[0] - apart * weights[1] / weights[0] / 2) < 1e-5
three, heavy = covariances[:3], np.array([0.8, 0.1, 0.1])
for metric in ("riemann", "alm", "bmp"):
    equal = float(distance_riemann(gmean(three, metric=metric), three[0]))
    try:
        told = float(distance_riemann(gmean(three, metric=metric, sample_weight=heavy), three[0]))
    except ValueError as error:
        told = str(error).split(".")[0]
    print(f"three matrices, weights .8, .1, .1, {metric}: {told} from the heavy one, {equal:.2f} with equal weights")
    assert (metric == "riemann") == (isinstance(told, float) and told < equal)
PYTHON
