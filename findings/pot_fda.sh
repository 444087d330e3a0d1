#!/usr/bin/env bash
# Guess, written down first: ot.dr.fda(X, y, p) is Fisher's discriminant analysis: it finds the directions in which the means of
# the classes differ most for the scatter within them, those of scikit-learn's LinearDiscriminantAnalysis.
# Seen (POT 0.9.7.post1): what stands for the mean of a class is one number, the mean of all columns of its rows together.
# The scatter between classes is then a multiple of the matrix of ones, whatever the classes are: the first direction
# depends on the scatter within alone, and the others, of the eigenvalue 0, are arbitrary. Held-out digits are told apart by
# their neighbours in .25 of cases, where discriminant analysis has .96 and raw pixels .98; wines in .75 for .97. Classes
# whose columns differ but not their sum, (3, -3) and (-3, 3), are projected onto one another: .49 for 1. From three
# classes on the matrix that comes back is complex, and X itself is changed, by its mean over all columns. Nothing tells it.
# So: scikit-learn's LinearDiscriminantAnalysis. wda, beside it, changes X too, but needs no means.
# Source: ot/dr.py, fda: np.mean(xc[i]) and np.mean(X), without an axis; mended in PythonOT/POT pull request 840, after this
# release.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
    pymanopt==2.2.1 autograd==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import ot
from ot.dr import fda
from sklearn.datasets import load_digits, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

print("POT", ot.__version__)
draw = np.random.default_rng(0)
two = np.repeat([0, 1], 500)
clouds = np.array([[3.0, -3.0], [-3.0, 3.0]])[two] + draw.normal(size=(1000, 2))
wine, wines = load_wine(return_X_y=True)
digits, digit = load_digits(return_X_y=True)
seen = {}
for name, rows, classes, p in (
    ("two clouds", clouds, two, 1),
    ("wines", (wine - wine.mean(0)) / wine.std(0), wines, 2),
    ("digits", digits, digit, 9),
):
    train, test, known, asked = train_test_split(rows, classes, test_size=0.5, random_state=0)
    given = train.copy()
    directions, project = fda(given, known, p=p, reg=1e-6)
    exact = LinearDiscriminantAnalysis(n_components=p).fit(train, known)

    def score(mapping):
        return KNeighborsClassifier(5).fit(mapping(train), known).score(mapping(test), asked)

    seen[name] = [score(m) for m in (lambda x: project(x).real, exact.transform, lambda x: x)]
    changed = abs(given - train).max()
    print(f"{name}: after fda {seen[name][0]:.2f}, discriminant analysis {seen[name][1]:.2f}, raw {seen[name][2]:.2f}; "
          f"{directions.dtype}, X changed by {changed:.3f}")
    assert np.iscomplexobj(directions) == (name != "two clouds") and changed > 1e-3
assert seen["two clouds"][0] < 0.6 and seen["two clouds"][1] > 0.99
assert seen["wines"][0] < 0.8 and seen["wines"][1] > 0.95
assert seen["digits"][0] < 0.3 and seen["digits"][1] > 0.95
PYTHON
