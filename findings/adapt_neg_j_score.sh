#!/usr/bin/env bash
# Guess, written down first: neg_j_score of adapt is lower the closer sources and targets are, as make_uda_scorer says of all of
# its metrics, and whatever the units; sigma, "kernel bandwidth", is a length, by default the mean distance of targets.
# Seen (adapt 0.4.5): lower where they are further apart. It is minus an estimate of KL(targets, sources): targets at 0, 1 and 2
# from the sources have -.003, -.18 and -.35 with a good kernel (linear_discrepancy .16, 1.2 and 4.2, frechet_distance .04,
# 1.3 and 4.4). A search for the best model by it with the default, greater_is_better=False, takes the one that moves the
# domains apart. And sigma is handed on as gamma, the inverse square of a length, so the default depends on the unit: all three
# are 0 to a fortieth for numbers of a tenth, 1.4, 1.2 and 1.5 as they are, and -25, -23 and -114 for numbers of ten times that.
# So: greater_is_better=True and sigma=1 / (2 l ** 2) for a length l; or another metric.
# Source: adapt/metrics.py: return -j_score_; pairwise.rbf_kernel(Xt, centers, sigma), whose third argument is gamma.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check adapt==0.4.5 tensorflow-cpu==2.21.0 scikit-learn==1.5.2 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from adapt.metrics import frechet_distance, linear_discrepancy, make_uda_scorer, neg_j_score
from sklearn.base import BaseEstimator

print("adapt", version("adapt"))
draw = np.random.default_rng(0)
n, width = 400, 5
sources = draw.normal(size=(n, width))
targets = {shift: draw.normal(size=(n, width)) + shift / np.sqrt(width) for shift in (0, 1, 2)}


def scored(shift, unit=1.0, **options):
    np.random.seed(0)
    return float(neg_j_score(unit * sources, unit * targets[shift], **options))


good = [scored(shift, sigma=1 / (2 * 3.0**2)) for shift in targets]
others = [[float(metric(sources, x)) for x in targets.values()] for metric in (linear_discrepancy, frechet_distance)]
print("targets moved by 0, 1, 2: neg_j_score", np.round(good, 3), "discrepancy and Frechet distance", np.round(others, 2).tolist())
assert 0.02 > good[0] > good[1] + 0.1 > good[2] + 0.2 and all(a < b < c for a, b, c in others)
units = {unit: [scored(shift, unit) for shift in targets] for unit in (0.1, 1.0, 10.0)}
for unit, told in units.items():
    print(f"by default, numbers times {unit}:", np.round(told, 3))
assert np.ptp(units[0.1]) < 0.05 and min(units[1.0]) > 1 and max(units[10.0]) < -10


class Moves(BaseEstimator):
    """Moves the sources, which lie at 0, on: a model as adapt has them."""

    def __init__(self, by):
        self.by = by

    def transform(self, x, domain):
        return x + self.by / np.sqrt(width) if domain == "src" else x


for name, metric, options in (("neg_j_score", neg_j_score, {"sigma": 1 / 18}), ("frechet_distance", frechet_distance, {})):
    scores = {}
    for by in (0, 2, -2):
        np.random.seed(0)
        scores[by] = float(make_uda_scorer(metric, sources, targets[2], **options)(Moves(by), sources))
    print(f"targets at 2: scores of moving the sources by 0, 2, -2 by {name}:", {by: round(s, 3) for by, s in scores.items()},
          "best", max(scores, key=scores.get))
    assert max(scores, key=scores.get) == (-2 if metric is neg_j_score else 2)
PYTHON
