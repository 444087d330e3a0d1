#!/usr/bin/env bash
# Guess, written down first: the matrix of fmralign's Procrustes is orthogonal, as its help says, so that new rows keep their lengths
# and angles, and primal and dual mode, between which it chooses by itself, give the same one. Weights of samples change
# normalized_reconstruction_error, and a wrong prediction has less than the 1 of a perfect one.
# Seen (fmralign 0.0.6): with fewer rows than columns, where it takes the dual mode, the matrix projects onto the rows of the fit:
# 100 rows of 300 columns fit without an error, and new rows come out .57 times as long, with inner products that correlate .57
# with those before (50 rows: .40 and .31). primal=True keeps both. Nothing tells it; scores on the rows of the fit are the same.
# sample_weights do nothing (-.438 for -.297), and a column that is 0 has the score 1, whatever is predicted.
# So: scaled_procrustes(X, Y, primal=True); r2_score with sample_weight.
# Source: fmralign/methods/procrustes.py, scaled_procrustes: thin singular vectors in the dual mode; fmralign/metrics.py:
# sample_weights is not used, output_scores starts at 1 where the denominator is 0.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps fmralign==0.0.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from fmralign.methods import Procrustes
from fmralign.methods.procrustes import scaled_procrustes
from fmralign.metrics import normalized_reconstruction_error

print("fmralign", version("fmralign"))
draw = np.random.default_rng(0)
columns, held = 300, 200
turn = np.linalg.qr(draw.normal(size=(columns, columns)))[0]
seen = {}
for rows in (50, 100, 250, 400):
    x = draw.normal(size=(rows + held, columns))
    y = x @ turn
    told = Procrustes(scaling=False).fit(x[:rows], y[:rows]).R
    primal, _ = scaled_procrustes(x[:rows], y[:rows], primal=True)
    off = [float(np.abs(r.T @ r - np.eye(columns)).max()) for r in (told, primal)]
    new = [float(np.linalg.norm(x[rows:] @ r) / np.linalg.norm(x[rows:])) for r in (told, primal)]
    cosine = np.array([x[rows + i] @ x[rows + j] for i in range(20) for j in range(i)])
    kept = [float(np.corrcoef(cosine, [x[rows + i] @ r @ (x[rows + j] @ r) for i in range(20) for j in range(i)])[0, 1])
            for r in (told, primal)]
    fit = [float(np.linalg.norm(x[:rows] @ r - y[:rows]) / np.linalg.norm(y[:rows])) for r in (told, primal)]
    seen[rows] = off, new, kept
    print(f"{rows} rows of {columns} columns: R'R is {off[0]:.2f} from the identity (primal {off[1]:.0e}); new rows are {new[0]:.2f} "
          f"times as long ({new[1]:.2f}), their products correlate {kept[0]:.2f} with those before ({kept[1]:.2f}); "
          f"error of the fit {fit[0]:.0e}, {fit[1]:.0e}")
    assert max(fit) < 1e-9 and off[1] < 1e-9 and abs(new[1] - 1) < 1e-9
    assert (off[0] < 1e-9) if rows > columns else (off[0] > 0.2 and new[0] < 0.95 and kept[0] < 0.95)

truth = np.stack([draw.normal(size=40), np.zeros(40)], 1)
wrong = truth + draw.normal(size=truth.shape)
weights = np.r_[np.ones(20), np.zeros(20)]
plain, weighted = (normalized_reconstruction_error(truth, wrong, sample_weights=w) for w in (None, weights))
right = 1 - ((truth - wrong)[:20, 0] ** 2).sum() / (truth[:20, 0] ** 2).sum()
print(f"reconstruction: {plain.round(3)}, with weights {weighted.round(3)}, right for the first column {right:.3f}")
assert (plain == weighted).all() and abs(plain[0] - right) > 0.01 and plain[1] == 1
PYTHON
