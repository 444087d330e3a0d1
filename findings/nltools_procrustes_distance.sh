#!/usr/bin/env bash
# Guess, written down first: procrustes_distance of nltools gives a similarity between 0 and 1, 1 for a turned copy, and a p-value by
# shuffled rows that is small for a turned copy and at most .05 for one in twenty unrelated pairs.
# Seen (nltools 0.5.1): the other way round. What is called the similarity is the disparity of scipy's procrustes, 0 for a copy; the
# shuffled values that it is compared with are 1 minus it. So a copy has p = 1, the largest there is, and each of 20
# unrelated pairs of 40 rows has p = .01, the least that 99 shuffles can give, as have copies with noise. One tail or two.
# Nothing tells it.
# So: scipy.spatial.procrustes, and count the shuffles whose disparity is at most that of the pair, as below.
# Source: nltools/stats.py, procrustes_distance: stats = {"similarity": sse}, all_p = [1 - x[2] for x in all_p]. Peres-Neto,
# Jackson 2001.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: nltools==0.5.1 numpy==1.23.5 scipy==1.15.3 \
    scikit-learn==1.7.2 pandas==2.3.3 nibabel==5.3.3 nilearn==0.13.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from nltools.stats import procrustes_distance
from scipy.spatial import procrustes

print("nltools", version("nltools"))
draw = np.random.default_rng(0)
shuffles = 99


def right(x, y):
    own = procrustes(x, y)[2]
    return (1 + sum(procrustes(draw.permutation(x), y)[2] <= own for _ in range(shuffles))) / (shuffles + 1)


seen = {}
for name, kept, noise in (("turned copies", 1, 0.0), ("with noise", 1, 0.5), ("with more noise", 1, 2.0), ("unrelated", 0, 1.0)):
    told = []
    for trial in range(20):
        x = draw.normal(size=(40, 4))
        y = kept * x @ np.linalg.qr(draw.normal(size=(4, 4)))[0] + noise * draw.normal(size=x.shape)
        tails = [procrustes_distance(x, y, n_permute=shuffles, tail=tail, n_jobs=1, random_state=trial) for tail in (1, 2)]
        assert abs(tails[0]["similarity"] - procrustes(x, y)[2]) < 1e-9
        told.append((tails[0]["similarity"], tails[0]["p"], tails[1]["p"], right(x, y)))
    similarity, one, two, exact = np.array(told).T
    seen[name] = one, two, exact
    print(f"{name}: similarity {similarity.mean():.3f}; p at most .05 in {np.mean(one <= 0.05):.2f} of pairs by one tail, "
          f"{np.mean(two <= 0.05):.2f} by two, right {np.mean(exact <= 0.05):.2f}; mean p {one.mean():.3f}, {two.mean():.3f}, "
          f"right {exact.mean():.3f}")
assert all((p == 1).all() for p in seen["turned copies"][:2]) and (seen["turned copies"][2] == 0.01).all()
assert all((p <= 0.05).all() for p in seen["unrelated"][:2]) and (seen["unrelated"][2] <= 0.05).mean() < 0.2
PYTHON
