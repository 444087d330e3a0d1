#!/usr/bin/env bash
# Guess, written down first: an index of USearch with dtype="i8" keeps the numbers of single-precision rows in 8 bits,
# so that its exact search by "ip" and by "l2sq" finds nearly what it finds with dtype="f32", and distances are near
# those. Its README says that add and search down-cast by themselves, whatever the metric.
# Seen (usearch 2.26.6): every row and every query is scaled to length 127 first, without a word. With lengths between .2
# and 3, recall@10 of the exact search falls from 1 to below .5 by "ip" and by "l2sq", since both then rank by the
# cosine; distances are in units of those codes (-15179 for a true 1 - <a, b> of -6.4). By "cos" it is above .9, as
# guessed, and so is "bf16" by each metric. A half-way mend is worse to see: rows that come as int8 are kept as they are,
# but a float query asked of them is still scaled, so recall by "l2sq" lies between the two.
# So: "i8" for cosines only; else scale by one number for all, round to int8 yourself, and do the same to queries.
# Source: unum-cloud/USearch, python/README.md and README.md (Memory efficiency), which do not say it.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" usearch==2.26.6 numpy==2.4.6
PYTHONPATH="$place" python3 - <<'PYTHON'
import numpy as np
import usearch
from usearch.index import Index

print("usearch", usearch.__version__)
draw = np.random.default_rng(0)
n, width = 3000, 64
rows = draw.normal(size=(n, width)).astype("float32")
rows *= draw.uniform(0.2, 3, size=(n, 1)).astype("float32") / np.linalg.norm(rows, axis=1, keepdims=True)
queries = (rows[:200] + 0.05 * draw.normal(size=(200, width))).astype("float32")
unit, looking = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, queries))
distances = {
    "ip": 1 - queries @ rows.T,
    "l2sq": (queries**2).sum(1)[:, None] + (rows**2).sum(1) - 2 * queries @ rows.T,
    "cos": 1 - looking @ unit.T,
}
scale = 127 / np.abs(rows).max()
codes, asked = (np.round(x * scale).clip(-127, 127).astype("int8") for x in (rows, queries))


def search(metric, dtype, stored, queries):
    index = Index(ndim=width, metric=metric, dtype=dtype)
    index.add(np.arange(n), stored)
    found = index.search(queries, 10, exact=True)
    best = np.argsort(distances[metric], axis=1)[:, :10]
    recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found.keys.tolist(), best.tolist(), strict=True)])
    return float(recall), float(found.distances[0, 0])


seen = {}
for metric, true in distances.items():
    for name, case in {
        "f32": ("f32", rows, queries),
        "bf16": ("bf16", rows, queries),
        "i8": ("i8", rows, queries),
        "own codes": ("i8", codes, asked),
        "own codes, float query": ("i8", codes, queries),
    }.items():
        seen[metric, name] = search(metric, *case)
        print(metric, name, "recall@10 %.3f, first distance %.3f" % seen[metric, name], f"true {true[0].min():.3f}")
for metric in ("ip", "l2sq"):
    assert seen[metric, "f32"][0] > 0.99 and seen[metric, "bf16"][0] > 0.98
    assert seen[metric, "i8"][0] < 0.5
    assert seen[metric, "own codes"][0] > 0.9
    assert abs(seen[metric, "i8"][1]) > 100
assert 0.5 < seen["l2sq", "own codes, float query"][0] < 0.7
assert seen["cos", "i8"][0] > 0.9 and abs(seen["cos", "i8"][1] - seen["cos", "f32"][1]) < 0.01
PYTHON
