#!/usr/bin/env bash
# Guess, written down first: SeedlessProcrustes of graspologic turns one cloud onto another without known pairs. By its help score_ is
# the norm of X Q - P Y, lower where the clouds match better, so 0 or near it for a turned and shuffled copy; P_ has rows that sum to
# 1 / n and columns that sum to 1 / m; each step of transport takes up to 1000 rounds.
# Seen (graspologic 3.4.4): P Y is n times too small, since rows of P_ sum to 1 / n, so score_ is about the norm of X whatever was
# matched: of 500 rows 7.147 for a copy and 7.101 for a cloud that has nothing to do with it, which is lower. The tolerance
# of the marginals, .01, is an absolute norm, which 1 / sqrt(n) bounds: from some hundred rows on a transport ends after its first round.
# Columns of P_ then sum to .93 to 1.99 times what they should, optimal_transport_num_reps=1 changes nothing, and the rotation is
# .03 off, with optimal_transport_eps=1e-9 8e-9.
# So: optimal_transport_eps=1e-9, and the norm of X Q - n P Y for the quality of a match.
# Source: graspologic/align/seedless_procrustes.py: _compute_objective, _optimal_transport (stopThr).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check graspologic==3.4.4 POT==0.9.7.post1 numpy==1.26.4 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from graspologic.align import SeedlessProcrustes

print("graspologic", version("graspologic"))
n, turned = 500, np.diag([-1.0, 1.0, -1.0])
draw = np.random.default_rng(0)
rows = draw.normal(size=(n, 3)) * [3, 2, 1] + [1, 0.5, 0.2]
rows = np.where(rows > 0, rows, rows / 2)
rows /= np.linalg.norm(rows, axis=1).max()
copy, other = (rows @ turned)[draw.permutation(n)], draw.normal(size=(n, 3))
seen = {}
for name, options in (
    ("defaults", {}),
    ("one round", {"optimal_transport_num_reps": 1}),
    ("eps 1e-9", {"optimal_transport_eps": 1e-9}),
):
    match = SeedlessProcrustes(iterative_num_reps=20, **options).fit(rows, copy)
    stranger = SeedlessProcrustes(iterative_num_reps=5, **options).fit(rows, other)
    sums = match.P_.sum(0) * n
    quality = np.linalg.norm(rows @ match.Q_ - n * match.P_ @ copy)
    seen[name] = match.score_, stranger.score_, np.linalg.norm(match.Q_ - turned), sums, match.Q_
    print(f"{name}: score_ of a copy {match.score_:.3f}, of a stranger {stranger.score_:.3f} (norm of X {np.linalg.norm(rows):.3f}); rotation "
          f"off by {seen[name][2]:.1e}; sums of columns {sums.min():.3f} to {sums.max():.3f} of what they should be; |X Q - n P Y| "
          f"{quality:.2f}, of a stranger {np.linalg.norm(rows @ stranger.Q_ - n * stranger.P_ @ other):.2f}")
    assert np.linalg.norm(rows @ stranger.Q_ - n * stranger.P_ @ other) > 3 * quality
for score, stranger, *_ in seen.values():
    assert score > stranger and abs(score - np.linalg.norm(rows)) < 0.02
assert seen["defaults"][2] > 0.01 and seen["defaults"][3].max() > 1.5 and np.allclose(seen["defaults"][4], seen["one round"][4])
assert seen["eps 1e-9"][2] < 1e-6 and np.abs(seen["eps 1e-9"][3] - 1).max() < 1e-4
PYTHON
