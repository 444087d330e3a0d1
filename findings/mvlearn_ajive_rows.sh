#!/usr/bin/env bash
# Guess, written down first: AJIVE of mvlearn, fitted to two views, splits any rows of them, as its transform ("data to be
# transformed") says: the same rows in another order give the same parts in that order, new rows of the same distribution parts as
# good as those of a fit, or it says that it only knows the rows of the fit.
# Seen (mvlearn 0.5.0): transform projects onto the scores of the rows that it was fitted to, whichever rows come. In the order
# of the fit .991 of the joint part is told rightly, of the same rows in another order .009, of as many new rows .020, where a fit
# of their own tells .990. inverse_transform adds the individual parts of the rows of the fit, too: an error of 1.2 times the data.
# Only another number of rows is noticed. So a test split that happens to be as long as the train split, a shuffled loader or folds of
# one length give numbers that look like numbers.
# So: transform the rows of the fit in their order and no others; loadings for new rows have to be made from the joint parts.
# Source: mvlearn/decomposition/ajive.py, transform: joint_scores_ @ joint_scores_.T @ (X - mean).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: numpy==1.26.4 scipy==1.13.1 scikit-learn==1.5.2
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps mvlearn==0.5.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType

import numpy as np

sys.modules["mvlearn.plotting"] = ModuleType("plotting")  # wants seaborn; nothing is drawn here
from mvlearn.decomposition import AJIVE

print("mvlearn", version("mvlearn"))
draw = np.random.default_rng(0)
mixing = [(draw.normal(size=(2, 20)), draw.normal(size=(3, 20))) for _ in range(2)]


def views(n):
    """Two views that share two latent columns, and the part of each that is shared."""
    shared = draw.normal(size=(n, 2))
    parts = [shared @ joint for joint, _ in mixing]
    own = [0.7 * draw.normal(size=(n, 3)) @ single + 0.1 * draw.normal(size=(n, 20)) for _, single in mixing]
    return [part + rest for part, rest in zip(parts, own, strict=True)], parts


given, joint = views(200)
model = AJIVE(init_signal_ranks=[5, 5], joint_rank=2).fit(given)


def explained(told, right):
    """Share of the joint part that is told rightly, over both views."""
    lost = sum(np.linalg.norm(t - (r - r.mean(0))) ** 2 for t, r in zip(told, right, strict=True))
    return 1 - lost / sum(np.linalg.norm(r - r.mean(0)) ** 2 for r in right)


order = draw.permutation(200)
fresh, fresh_joint = views(200)
seen = {
    "rows of the fit": explained(model.transform(given), joint),
    "the same rows in another order": explained(model.transform([view[order] for view in given]), [part[order] for part in joint]),
    "200 new rows": explained(model.transform(fresh), fresh_joint),
}
again = AJIVE(init_signal_ranks=[5, 5], joint_rank=2).fit(fresh)
seen["200 new rows, fitted anew"] = explained(again.transform(fresh), fresh_joint)
for name, share in seen.items():
    print(f"{name}: share of the joint part {share:.3f}")
back = model.inverse_transform(model.transform([view[order] for view in given]))
left = [float(np.linalg.norm(b - g[order]) / np.linalg.norm(g)) for b, g in zip(back, given, strict=True)]
print("inverse_transform of the reordered rows: error", np.round(left, 3))
assert seen["rows of the fit"] > 0.9 and seen["200 new rows, fitted anew"] > 0.9
assert seen["the same rows in another order"] < 0.1 and seen["200 new rows"] < 0.1 and min(left) > 0.5
PYTHON
