#!/usr/bin/env bash
# Guess, written down first: TLRotate of pyriemann turns the tangent vectors of a source domain onto those of the target, the
# orthogonal Procrustes solution of anchors (its help: Q minimises ||X_source Q - X_target||, and sources become X @ Q). If the
# sources are the targets turned by a known rotation, it comes near to undoing it; a classifier of the target then reads the sources.
# Seen (pyriemann 0.12): the matrix is the transpose of that solution, so that sources are turned further away. Of turned
# copies in 4, 6 and 21 columns a classifier of the target reads .52 rightly (.23 as given, a third is chance), and .99 when
# the same matrix is applied the other way round, X @ rotations_[d].T. Of two unrelated clouds of 50 points Q is to minimise
# ||X Q - Y||: the identity leaves 23.9, the matrix 22.7, its transpose 21.0. Besides, by expl_var=.999 the matrix is a
# projection onto as many directions as the anchors have, about 8 of 21, not a rotation. Nothing that is returned tells it.
# So: X @ rotations_[d].T, or the orthogonal matrix of scipy.linalg.orthogonal_procrustes of the anchors.
# Source: pyriemann/optimization/grassmann.py, _get_rotation_tangentspace: svd(X_source.T @ X_target) gives u, s, vh, and it
# returns vh.T @ u.T, where u @ vh is the minimiser of its own formula; transfer/_estimators.py: X[idx] @ self.rotations_[d].
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyriemann==0.12 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pyriemann
from pyriemann.optimization.grassmann import _get_rotation_tangentspace
from pyriemann.transfer import TLRotate, encode_domains
from sklearn.linear_model import LogisticRegression

print("pyriemann", pyriemann.__version__)
seen = []
for width in (4, 6, 21):
    for seed in range(5):
        draw = np.random.default_rng(seed)
        n = 300
        kinds = draw.integers(3, size=n)
        target = draw.normal(size=(n, width)) * np.linspace(1, 0.3, width) + 2 * draw.normal(size=(3, width))[kinds]
        target -= target.mean(0)
        source = target @ np.linalg.qr(draw.normal(size=(width, width)))[0]
        domains = np.repeat(["source", "target"], n)
        both, labels = encode_domains(np.concatenate([source, target]), np.tile(kinds, 2), domains)
        model = TLRotate("target", n_components=3)
        turned = model.fit_transform(both.copy(), labels)[:n]
        matrix = model.rotations_["source"]
        assert np.allclose(turned, source @ matrix)
        judge = LogisticRegression(max_iter=1000).fit(target, kinds)
        ways = [source, turned, source @ matrix.T]
        lost = [float(np.linalg.norm(way - target) / np.linalg.norm(target)) for way in ways]
        right = [float(judge.score(way, kinds)) for way in ways]
        seen.append([*lost, *right, np.linalg.svd(matrix, compute_uv=False).sum()])
    told = np.round(np.mean(seen[-5:], axis=0), 3)
    print(f"{width} columns: distance to the targets as given {told[0]}, rotated {told[1]}, the other way round {told[2]}; "
          f"read rightly {told[3]}, {told[4]}, {told[5]}; rank of the matrix {told[6]:.1f}")
left, right = np.random.default_rng(0).normal(size=(2, 50, 6))
matrix = _get_rotation_tangentspace(left, right, 1.0)
errors = [float(np.linalg.norm(left @ turn - right)) for turn in (np.eye(6), matrix, matrix.T)]
print(f"two unrelated clouds: ||X Q - Y|| for Q the identity {errors[0]:.2f}, as returned {errors[1]:.2f}, transposed {errors[2]:.2f}")
mean = np.mean(seen, axis=0)
print(f"all: read rightly as given {mean[3]:.3f}, rotated {mean[4]:.3f}, the other way round {mean[5]:.3f}")
assert errors[2] < errors[1] - 0.5
assert mean[4] < 0.6 and mean[5] > 0.98 and mean[2] < 0.7 < 1 < mean[1]
PYTHON
