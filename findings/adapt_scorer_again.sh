#!/usr/bin/env bash
# Guess, written down first: make_uda_scorer of adapt gives a scorer for GridSearchCV that tells how far sources and targets are apart
# after a model has adapted them: the same model has the same score each time, and the order of candidates does not matter.
# Seen (adapt 0.4.5): each call overwrites the sources and targets that the scorer holds with the adapted ones, and the next call adapts
# those. By cov_distance CORAL has .83 at the first call and 4.8, 44, 329, 2471 at the next four; a strong and a weak
# regularisation, right 1.69 and .83, have 1.69 and .71 in one order and .71 and .83 in the other: whichever comes later is the better
# one. With five splits a search scores each candidate five times. Nothing tells it.
# So: a new scorer for each call, or the distance itself on transform(Xs, domain="src") and transform(Xt, domain="tgt").
# Source: adapt/metrics.py, make_uda_scorer: nonlocal Xs, Xt are assigned.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check adapt==0.4.5 tensorflow-cpu==2.21.0 scikit-learn==1.5.2 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
from importlib.metadata import version

import numpy as np
from adapt.feature_based import CORAL
from adapt.metrics import cov_distance, make_uda_scorer
from sklearn.linear_model import LogisticRegression

print("adapt", version("adapt"))
draw = np.random.default_rng(0)
sources, targets = draw.normal(size=(200, 4)), draw.normal(size=(200, 4)) * [1, 2, 3, 4]
labels = (sources[:, 0] > 0).astype(int)
weak, strong = (CORAL(LogisticRegression(), Xt=targets, lambda_=value, verbose=0).fit(sources, labels) for value in (1.0, 100.0))


def right(model):
    """The distance of covariances, written out."""
    both = model.transform(sources, domain="src"), model.transform(targets, domain="tgt")
    centred = [rows - rows.mean(0) for rows in both]
    return np.abs(np.subtract(*(rows.T @ rows / (len(rows) - 1) for rows in centred))).mean()


def scored(*models):
    scorer = make_uda_scorer(cov_distance, sources, targets)
    return [-float(scorer(model, sources)) for model in models]


again, one, other = scored(*[weak] * 5), scored(strong, weak), scored(weak, strong)
print("one model, five calls:", *(f"{value:.2f}" for value in again), f"; right {right(weak):.2f}")
print("strong and weak, in one order %.2f and %.2f;" % tuple(one), "in the other %.2f and %.2f;" % tuple(other[::-1]),
      f"right {right(strong):.2f} and {right(weak):.2f}")
assert abs(again[0] - right(weak)) < 1e-6 and again[1] > 3 * again[0] and again[4] > 1000 * again[0]
assert abs(one[0] - right(strong)) < 1e-6 and other[1] < 0.6 * right(strong) and one[1] < 0.9 * right(weak)
assert right(weak) < right(strong) and other[1] < other[0]
PYTHON
