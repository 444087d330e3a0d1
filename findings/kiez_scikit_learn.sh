#!/usr/bin/env bash
# Guess, written down first: kiez 0.5.0, the library for hubness removal whose requirements admit any scikit-learn, answers a
# k-nearest-neighbour query with the newest one, with its own exact search and CSLS.
# Seen (kiez 0.5.0 with scikit-learn 1.9.1, which pip chooses): every fit with its default way of searching, SklearnNN, fails
# with an AttributeError about __sklearn_tags__, with every kind of hubness removal. The wrapper takes the parameters of
# scikit-learn's NearestNeighbors without being one of its estimators, and scikit-learn 1.7 and later ask for the tags.
# With 1.6 the same lines work. So pin scikit-learn below 1.7 beside kiez, or search by its faiss.
# Source: scikit-learn 1.7, what's new (estimators without BaseEstimator are refused).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for version in 1.9.1 1.6.1; do
  python3 -m venv "$place/$version"
  "$place/$version/bin/pip" install -q --disable-pip-version-check kiez==0.5.0 "scikit-learn==$version"
  EXPECT=$version "$place/$version/bin/python" -W ignore - <<'PYTHON'
import os

import numpy as np
import sklearn
from kiez import Kiez

draw = np.random.default_rng(0)
x, y = draw.normal(size=(50, 8)), draw.normal(size=(40, 8))
for hubness in (None, "CSLS", "LocalScaling"):
    try:
        finder = Kiez(n_candidates=10, algorithm="SklearnNN", hubness=hubness)
        finder.fit(x, y)
        seen = f"answers {finder.kneighbors()[1].shape}"
    except AttributeError as problem:
        seen = "AttributeError about __sklearn_tags__" if "__sklearn_tags__" in str(problem) else str(problem)
    print("scikit-learn", sklearn.__version__, hubness, seen)
    assert seen.startswith("AttributeError about" if os.environ["EXPECT"] == "1.9.1" else "answers")
PYTHON
done
