#!/usr/bin/env bash
# Guess, written down first: the options of AlignedUMAP mean what they mean in UMAP, whose names and defaults they have: min_dist
# and spread (or a and b) say how tightly points lie, repulsion_strength, learning_rate, negative_sample_rate and init how the
# layout is found; and related points of two data sets are drawn to each other from both sides.
# Seen (umap-learn 0.5.12): none of these does anything: the coordinates are the same to the last bit with min_dist=.99 and
# spread=3 as with the defaults, where UMAP puts nearest points four times as far from each other. They are handed to
# the single UMAPs, whose layouts are thrown away. n_neighbors and alignment_regularisation act. The latter
# moves the second of two data sets alone: with .5 for .01 the first has the same coordinates to the last bit, so the
# alignment is one-sided, and the order of the data sets matters. The manual's own first example varies min_dist.
# So: tune n_neighbors; for a map with another min_dist join the data sets' graphs and lay them out by umap.UMAP.
# Source: umap/aligned_umap.py: optimize_layout_aligned_euclidean is called without a, b, gamma, initial_alpha and
# negative_sample_rate, and has defaults; spectral_layout is called whatever init is; expand_relations: i + j + 1 >=
# len(relation_dicts) leaves out the relation to the last data set (i + j is meant). The example: lmcinnes/umap issue 548.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
    pynndescent==0.7.0 umap-learn==0.5.12
NUMBA_NUM_THREADS=1 "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from sklearn.datasets import load_digits
from umap import UMAP, AlignedUMAP

print("umap-learn", version("umap-learn"))
digits = load_digits().data[:200]
sets = [digits[:130], digits[70:]]
relations = [{i + 70: i for i in range(60)}]
common = {"n_neighbors": 10, "random_state": 0, "n_epochs": 100}


def aligned(**options):
    return [np.array(e) for e in AlignedUMAP(**{**common, **options}).fit(sets, relations=relations).embeddings_]


def nearest(points):
    """Median distance from a point to the nearest other one."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


plain = aligned()
idle = [{"min_dist": 0.99}, {"spread": 3.0}, {"a": 0.3, "b": 1.5}, {"repulsion_strength": 20.0}, {"learning_rate": 0.01}]
idle += [{"negative_sample_rate": 30}, {"init": "random"}]
for options in [{}, *idle, {"n_neighbors": 30}, {"alignment_regularisation": 0.5}]:
    moved = [float(np.abs(new - old).max()) for new, old in zip(aligned(**options), plain, strict=True)]
    print(f"{options}: coordinates moved by {np.round(moved, 3)}")
    if "n_neighbors" in options:
        assert min(moved) > 0.1
    elif "alignment_regularisation" in options:
        assert moved[0] == 0 and moved[1] > 0.1
    else:
        assert max(moved) == 0
tight, loose = (nearest(UMAP(**common, min_dist=distance).fit_transform(sets[0])) for distance in (0.1, 0.99))
print(f"UMAP of the first set: nearest points {tight:.3f} apart with min_dist .1, {loose:.3f} with .99")
assert loose > 2 * tight
PYTHON
