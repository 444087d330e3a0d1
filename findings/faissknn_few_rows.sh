#!/usr/bin/env bash
# Guess, written down first: FaissKNNClassifier of faissknn with more neighbours than there are rows (few shots) raises, as
# scikit-learn does, or counts the rows that there are.
# Seen (faissknn 0.4.2, faiss 1.15.1): faiss fills the places without a row with -1, and labels[-1] is that of the last row,
# which has all missing votes: of one digit of each class and 20 neighbours every picture is told to be the last one, with a
# share of .55, of three and 50 with .46, where a single neighbour is right in .59 and .77 of cases. No warning.
# FaissKNNMultilabelClassifier gives all labels of the last row in the same way.
# So: n_neighbors of at most the number of rows.
# Source: faissknn/knn.py, predict: self.y[idx].
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 faiss-cpu==1.15.1 numpy==2.4.6 scikit-learn==1.9.1
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps faissknn==0.4.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from faissknn import FaissKNNClassifier, FaissKNNMultilabelClassifier
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

print("faissknn", version("faissknn"), "faiss-cpu", version("faiss-cpu"))
pictures, digits = load_digits(return_X_y=True)
pictures = pictures.astype("float32")
new = slice(400, None)
for shots, count in ((1, 20), (3, 50)):
    rows = np.concatenate([np.flatnonzero(digits[:400] == digit)[:shots] for digit in range(10)])
    model = FaissKNNClassifier(count).fit(pictures[rows], digits[rows])
    told, share = model.predict(pictures[new]), model.predict_proba(pictures[new])[:, 9].mean()
    one = FaissKNNClassifier(1).fit(pictures[rows], digits[rows]).predict(pictures[new])
    print(f"{len(rows)} rows, {count} neighbours: told to be the last digit {np.mean(told == 9):.2f}, its share {share:.2f}, right "
          f"{np.mean(told == digits[new]):.2f}; one neighbour {np.mean(one == digits[new]):.2f}")
    assert (told == 9).all() and np.isclose(share, (shots + count - len(rows)) / count) and np.mean(one == digits[new]) > 0.5
    try:
        KNeighborsClassifier(count).fit(pictures[rows], digits[rows]).predict(pictures[new])
        raise SystemExit("scikit-learn takes it now")
    except ValueError as error:
        print("scikit-learn:", str(error)[:70])
rows = np.array([np.flatnonzero(digits[:400] == digit)[0] for digit in range(10)])
labels = np.eye(10, dtype=int)[digits[rows]]
told = FaissKNNMultilabelClassifier(21).fit(pictures[rows], labels).predict(pictures[new])
assert (told == labels[-1]).all()
print("several labels: always those of the last row")
PYTHON
