#!/usr/bin/env bash
# Guess, written down first: TransferSubspaceLearning of skada keeps what its base method keeps, for "flda", the default, the
# directions in which classes differ most for their scatter within, and for "lpp" those in which near rows of a class stay
# near; so where source and target have one distribution, a classifier there does as after discriminant analysis.
# Seen (skada 0.6.0): it keeps the opposite. With "flda" what is minimised is the scatter of the means of the classes against
# that of all rows: the direction along which two clouds are 6 spreads apart has the weight .01 of 1. Wines of half a table are
# told apart in .35 of cases with one component and .48 with two, chance is .39, random directions .58 and .70,
# discriminant analysis .89 and 1.00; irises .28 and .31 for .96 and .96. "lpp" has a minus too many: .53 and .61 of
# wines. "pca" is right. Nothing tells it, and the criterion that is minimised does fall.
# So: base_method="pca", or discriminant analysis of the sources before SubspaceAlignment.
# Source: skada/_subspace.py, _F: S_W is made of the means of the classes; -2 * trace(...) in "lpp". Si, Tao, Geng 2010.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check skada==0.6.0 POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1 \
    scikit-learn==1.9.1 pandas==3.1.1 torch==2.13.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import skada
from sklearn.datasets import load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

print("skada", skada.__version__)
draw = np.random.default_rng(0)


def learnt(rows, classes, sources, components, **options):
    domains = np.where(sources, 1, -2)
    adapter = skada.TransferSubspaceLearningAdapter(n_components=components, **options)
    return np.asarray(adapter.fit(rows, np.where(sources, classes, -1), sample_domain=domains).W_)


classes = np.tile([0, 1], 400)
clouds = draw.normal(size=(800, 4))
clouds[:, 2] += 6 * classes
weight = {}
for method in ("flda", "lpp", "pca"):
    for mu in (0.0, 0.1):
        weight[method, mu] = abs(float(learnt(clouds, classes, np.arange(800) < 400, 1, base_method=method, mu=mu)[2, 0]))
        print(f"two clouds, {method}, mu {mu}: weight {weight[method, mu]:.3f} on the column in which they differ")
assert all((w > 0.99) if method == "pca" else (w < 0.01 if method == "flda" else w < 0.6) for (method, _), w in weight.items())

seen = {}
for name, load in (("wines", load_wine), ("irises", load_iris)):
    rows, kinds = load(return_X_y=True)
    rows = (rows - rows.mean(0)) / rows.std(0)
    order = draw.permutation(len(rows))
    rows, kinds, sources = rows[order], kinds[order], np.arange(len(rows)) < len(rows) // 2

    def score(projected):
        return KNeighborsClassifier(5).fit(projected[sources], kinds[sources]).score(projected[~sources], kinds[~sources])

    for components in (1, 2):
        fisher = LinearDiscriminantAnalysis(n_components=components).fit(rows[sources], kinds[sources])
        turns = [np.linalg.qr(draw.normal(size=(rows.shape[1], components)))[0] for _ in range(50)]
        seen[name, components] = {
            "default": score(rows @ learnt(rows, kinds, sources, components)),
            "lpp": score(rows @ learnt(rows, kinds, sources, components, base_method="lpp")),
            "pca": score(rows @ learnt(rows, kinds, sources, components, base_method="pca")),
            "discriminant analysis": score(fisher.transform(rows)),
            "random": float(np.mean([score(rows @ turn) for turn in turns])),
        }
        chance = np.bincount(kinds[~sources]).max() / (~sources).sum()
        print(name, components, {key: round(value, 3) for key, value in seen[name, components].items()}, f"chance {chance:.2f}")
for scores in seen.values():
    assert scores["default"] < scores["random"] - 0.1 and scores["default"] < 0.55
    assert scores["discriminant analysis"] > 0.85 and scores["pca"] > 0.7
PYTHON
