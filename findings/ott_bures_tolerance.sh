#!/usr/bin/env bash
# Guess, written down first: costs.Bures(d) of OTT-JAX is the squared Bures-Wasserstein distance of two Gaussians, as POT
# and a matrix root by eigenvalues give it, to the tolerance of its iteration (its help of sqrtm: 1e-6), and 0 for a
# Gaussian and itself.
# Seen (ott-jax 0.6.0, double precision): for covariances of 64 columns whose scales fall as 1 / k, as those of
# embeddings do, a Gaussian is .16 to .17 from itself and 1.20 to 1.46 from others, for 0 and 1.07 to 1.33. With scales
# that are alike it is right to three digits and more, so that a check with well conditioned matrices passes. The
# dimension is passed in the place of the tolerance: any relative residual below 64 ends the iteration, so it always ends
# after its first ten steps, with the roots of small eigenvalues still far too small. Nothing tells it, and a tolerance
# given by sqrtm_kw is refused ("multiple values for argument").
# So: costs.Bures(d, sqrtm_kw={"min_iterations": 100}), which gives all the digits here. UnbalancedBures has not got it.
# Source: ott/geometry/costs.py, Bures.__call__: sqrtm(cov_x, self._dimension, ...), whose second argument is threshold.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check ott-jax==0.6.0 jax==0.10.2 numpy==2.4.6 scipy==1.17.1
JAX_PLATFORMS=cpu "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import costs

jax.config.update("jax_enable_x64", True)
print("ott-jax", version("ott-jax"), "jax", jax.__version__)
d, groups = 64, 4


def root(a):
    values, vectors = np.linalg.eigh(a)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def exact(first, second):
    (m, a), (n, b) = first, second
    return np.sum((m - n) ** 2) + np.trace(a) + np.trace(b) - 2 * np.trace(root(root(a) @ b @ root(a)))


seen = {}
for name, scale in (("scales 1 / k", 1 / np.arange(1, d + 1)), ("scales alike", np.ones(d))):
    draw = np.random.default_rng(0)
    gaussians = []
    for _ in range(groups):
        turn, _ = np.linalg.qr(np.eye(d) + 0.1 * draw.normal(size=(d, d)))
        rows = (draw.normal(size=(2000, d)) * scale) @ turn
        gaussians.append((rows.mean(0), np.cov(rows.T)))
    points = jnp.stack([costs.mean_and_cov_to_x(jnp.array(m), jnp.array(c), d) for m, c in gaussians])
    true = np.array([[exact(g, h) for h in gaussians] for g in gaussians])
    told, mended = (np.asarray(jax.jit(cost.all_pairs)(points, points))
                    for cost in (costs.Bures(d), costs.Bures(d, sqrtm_kw={"min_iterations": 100})))
    own, others = np.eye(groups, dtype=bool), ~np.eye(groups, dtype=bool)
    print(f"{name}: to itself {told[own].min():.4f} to {told[own].max():.4f}, "
          f"to others {told[others].min():.4f} to {told[others].max():.4f} "
          f"for {true[others].min():.4f} to {true[others].max():.4f}; with more steps {abs(mended - true).max():.1e} off")
    seen[name] = told, true
    assert abs(mended - true).max() < 1e-6
told, true = seen["scales 1 / k"]
assert told.diagonal().min() > 0.1 and (told - true).min() > 0.05 and abs(true.diagonal()).max() < 1e-6
told, true = seen["scales alike"]
assert abs(told - true).max() < 1e-3
try:
    costs.Bures(d, sqrtm_kw={"threshold": 1e-8})(points[0], points[1])
except TypeError as error:
    print("a tolerance of one's own:", str(error).splitlines()[-1])
else:
    raise SystemExit("a tolerance is taken now")
PYTHON
