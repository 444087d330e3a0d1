#!/usr/bin/env bash
# Guess, written down first: NearestNeighborReweight of skada weighs each source by how many targets have it among their n_neighbors
# nearest, in whatever order the rows come; more neighbours make smoother weights.
# Seen (skada 0.6.0): right for one neighbour. With more, each target counts for one source alone, that of its neighbours which
# comes first in the table: neighbours vote on their own numbers, and a tie goes to the smallest. With 5 of 300 sources .83
# have the weight 0, where .50 have it by counting, with 20 .94 where .37 have it, and the first tenth of the rows
# holds .71 of all weight; shuffled rows get other weights (correlation .27 and -.02 with those before). More neighbours make
# the weights rougher: the largest is 78 where 6.9 is right. Nothing tells it.
# So: n_neighbors=1, or count as below.
# Source: skada/_reweight.py: KNeighborsClassifier fitted on np.arange(len(Xs)) as labels, and its predict.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check skada==0.6.0 POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1 \
    scikit-learn==1.9.1 pandas==3.1.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import skada

print("skada", skada.__version__)
draw = np.random.default_rng(0)
n = 300
sources, targets = draw.normal(size=(n, 2)), draw.normal(size=(n, 2)) * 0.5 + [1, 0]
domains = np.repeat([1, -2], n)
order = draw.permutation(n)
nearest = np.argsort(((targets[:, None] - sources) ** 2).sum(-1), axis=1)


def weights(rows, neighbours):
    rows = np.concatenate([rows, targets])
    adapter = skada.NearestNeighborReweightAdapter(n_neighbors=neighbours).fit(rows, sample_domain=domains)
    return adapter.compute_weights(rows, sample_domain=domains)[:n]


seen = {}
for neighbours in (1, 5, 20):
    told, again = weights(sources, neighbours), np.empty(n)
    again[order] = weights(sources[order], neighbours)
    counted = np.bincount(nearest[:, :neighbours].ravel(), minlength=n) / neighbours
    first = np.bincount(nearest[:, :neighbours].min(1), minlength=n)
    assert (told == first).all()
    seen[neighbours] = float(np.corrcoef(told, again)[0, 1]), float((told == 0).mean()), float((counted == 0).mean())
    print(f"{neighbours} neighbours: weights of shuffled rows correlate {seen[neighbours][0]:.2f} with those before; weight 0 for "
          f"{seen[neighbours][1]:.2f} of sources, by counting {seen[neighbours][2]:.2f}; largest {told.max():.1f}, by counting "
          f"{counted.max():.1f}; the first tenth holds {told[:30].sum() / told.sum():.2f}, by counting {counted[:30].sum() / n:.2f}")
assert seen[1][0] > 0.999 and seen[1][1] == seen[1][2]
assert seen[5][0] < 0.5 and seen[20][0] < 0.2 and seen[20][1] > 0.9 and seen[20][2] < 0.5
PYTHON
