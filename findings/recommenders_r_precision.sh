#!/usr/bin/env bash
# Guess, written down first: r_precision_at_k of recommenders is the mean over users of the precision among the first R, where R
# is how many relevant items a user has: for one relevant item each, the share whose first item is right, and never
# above recall_at_k.
# Seen (recommenders 1.2.1): users without a hit among the first R are left out of the mean, and those without one among the first
# k too. With one relevant item a user the value is 1 for every model, the random one among them, where .015 is right and
# recall@10 .175; with three it is .33 for .05 of the random model, .36 for .13 of a weak one and .56 for .54 of a fair one.
# precision_at_k and recall_at_k, beside it, count everyone. Nothing tells it.
# So: recall_at_k(k=1) where each has one relevant item, else ranx or pytrec_eval.
# Source: recommenders/evaluation/python_evaluation.py: the quotient of two series of different users, .mean() skips NaN.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps recommenders==1.2.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pandas as pd
from recommenders.evaluation.python_evaluation import precision_at_k, r_precision_at_k, recall_at_k

print("recommenders", version("recommenders"))
draw = np.random.default_rng(0)
users, items, k = 400, 60, 10


def frame(mask, **columns):
    user, item = np.nonzero(mask)
    return pd.DataFrame({"userID": user, "itemID": item, **{name: values[mask] for name, values in columns.items()}})


seen = {}
for relevant in (1, 3):
    truth = np.zeros((users, items), bool)
    for user in range(users):
        truth[user, draw.choice(items, relevant, replace=False)] = True
    true = frame(truth, rating=np.ones(truth.shape))
    for name, strength in (("random", 0), ("weak", 0.5), ("fair", 2), ("perfect", 20)):
        scores = draw.normal(size=truth.shape) + strength * truth
        order = np.argsort(-scores, axis=1)
        hits = np.take_along_axis(truth, order, axis=1)
        right = hits[:, :relevant].mean()
        predicted = frame(np.ones_like(truth), prediction=scores)
        told = r_precision_at_k(true, predicted, k=k)
        seen[relevant, name] = told, float(right)
        assert abs(recall_at_k(true, predicted, k=k) - hits[:, :k].sum(1).mean() / relevant) < 1e-9
        assert abs(precision_at_k(true, predicted, k=k) - hits[:, :k].mean()) < 1e-9
        print(f"{relevant} relevant, {name}: r_precision_at_k {told:.3f}, right {right:.3f}, recall@10 "
              f"{recall_at_k(true, predicted, k=k):.3f}")
one = {name: value for (relevant, name), value in seen.items() if relevant == 1}
assert all(told == 1 for told, _ in one.values()) and one["random"][1] < 0.05 and one["fair"][1] < 0.6
three = {name: value for (relevant, name), value in seen.items() if relevant == 3}
assert three["random"][0] > 0.3 and three["random"][1] < 0.1 and three["perfect"] == (1, 1)
PYTHON
