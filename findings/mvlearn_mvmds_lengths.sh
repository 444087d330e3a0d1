#!/usr/bin/env bash
# Guess, written down first: MVMDS of mvlearn, "classical multiview multidimensional scaling", keeps the distances of views that
# agree: given the same view twice, and as many components as it has columns, it is classical scaling, so the distances are
# those of the view, and a unit of 10 for 1 makes them ten times as large.
# Seen (mvlearn 0.5.0): its columns are eigenvectors without the roots of their eigenvalues, each of length 1, whatever the view
# has in that direction. Rank correlations of the distances with those of the view are .59 for iris (4 components), .65 for wine
# (13) and .53 for digits (20), by classical scaling 1.0, 1.0 and .995; five nearest neighbours name .90, .89 and .945 of rows
# rightly for .97, .955 and .97. Each component more makes it worse, since those that hold next to nothing weigh as much as the
# first. The unit does not matter. With precomputed dissimilarities it is the same.
# So: multiply column j by the root of the mean of q' B q over views, q the column and B the centred table of a view.
# Source: mvlearn/embed/mvmds.py, _commonpcs (components[:, i] = q[:, 0]).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 seaborn==0.13.2 \
  joblib==1.6.0
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps mvlearn==0.5.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from mvlearn.embed import MVMDS
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import scale

print("mvlearn", version("mvlearn"))
digits, kinds = (part[:400] for part in load_digits(return_X_y=True))
wine, grapes = load_wine(return_X_y=True)
data = {"iris": (*load_iris(return_X_y=True), 4), "wine": (scale(wine), grapes, 13), "digits": (digits, kinds, 20)}
for name, (x, y, width) in data.items():
    left, values, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    classical = left[:, :width] * values[:width]
    got, larger = (MVMDS(n_components=width).fit_transform([unit * x, unit * x]) for unit in (1, 10))
    table = squareform(pdist(x))
    told = MVMDS(n_components=width, dissimilarity="precomputed").fit_transform([table, table])
    kept = [float(spearmanr(pdist(rows), pdist(x))[0]) for rows in (got, classical)]
    right = [float(cross_val_score(KNeighborsClassifier(5), rows, y, cv=5).mean()) for rows in (got, classical)]
    print(f"{name}, {width} components: distances kept {kept[0]:.3f}, by classical scaling {kept[1]:.3f}; "
          f"named rightly {right[0]:.3f}, {right[1]:.3f}")
    centred = x - x.mean(0)
    cured = got * np.linalg.norm(centred.T @ got, axis=0)
    print("    with lengths put back:", round(float(spearmanr(pdist(cured), pdist(x))[0]), 3))
    assert np.allclose(np.linalg.norm(got, axis=0), 1) and np.allclose(abs(larger), abs(got), atol=1e-6)
    assert kept[0] < 0.7 and kept[1] > 0.99 and right[0] < right[1] - 0.015
    assert np.allclose(abs(told), abs(got), atol=1e-5) and spearmanr(pdist(cured), pdist(x))[0] > 0.98
PYTHON
