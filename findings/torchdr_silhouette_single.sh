#!/usr/bin/env bash
# Guess, written down first: torchdr.silhouette_score is the silhouette of scikit-learn, and of the paper that its help
# cites: an item that is alone in its cluster counts 0, "neutral", so that more and more clusters do not pay.
# Seen (torchdr 0.5): such an item counts 1, the best value there is. Without one both programs agree to six digits. Of 150
# rows in three clear groups, cut by average linkage into 2 to 149 clusters, scikit-learn's is largest for three, .576,
# and .007 for 149; torchdr's is .576 for three and .993 for 149, and for pure noise it is .994. A warning says that the
# mean distance within the cluster is ill-defined; that the item then counts as perfect it does not say. Rare classes
# and single linkage have many such items.
# Also seen: torchdr fails to import without matplotlib, which it does not ask for.
# So: samples = torchdr.eval.silhouette.silhouette_samples(...), set those of single items to 0, then their mean.
# Source: torchdr/eval/silhouette.py (A is 0 for one item, so (B - A) / max(A, B) is 1); Rousseeuw 1987, section 2;
# scikit-learn pull request 7438 (the same, mended in 2016), NVIDIA/cuml issue 3584.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
    matplotlib==3.11.2 torchdr==0.5
MPLCONFIGDIR="$place" "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import silhouette_score
from torchdr.eval.silhouette import silhouette_samples
from torchdr.eval.silhouette import silhouette_score as by_torchdr

print("torchdr", version("torchdr"))
draw = np.random.default_rng(0)
noise = draw.normal(size=(150, 8))
groups = noise + 6 * np.repeat(np.eye(8)[:3], 50, axis=0)
seen = {}
for name, rows in (("three groups", groups), ("noise", noise)):
    tree = linkage(rows, "average")
    for count in (2, 3, 10, 50, 149):
        labels = fcluster(tree, count, "maxclust")
        sizes = np.bincount(labels)
        told = float(by_torchdr(torch.tensor(rows), torch.tensor(labels)))
        single = sizes[labels] == 1
        samples = np.where(single, 0, silhouette_samples(torch.tensor(rows), torch.tensor(labels)).numpy())
        right = float(silhouette_score(rows, labels))
        seen[name, count] = told, right
        print(f"{name}, {count} clusters, {single.sum()} items alone: torchdr {told:.3f}, scikit-learn {right:.3f}")
        assert abs(told - right - single.mean()) < 1e-5 and abs(samples.mean() - right) < 1e-5
for name in ("three groups", "noise"):
    assert max((2, 3, 10, 50, 149), key=lambda count: seen[name, count][0]) == 149 and seen[name, 149][0] > 0.98
assert max((2, 3, 10, 50, 149), key=lambda count: seen["three groups", count][1]) == 3
assert abs(seen["three groups", 3][0] - seen["three groups", 3][1]) < 1e-6
PYTHON
