#!/usr/bin/env bash
# Guess, written down first: a.join(b, exact=True) of two USearch indexes of 300 vectors each is a stable matching ("stable
# marriages", says its help): all 300 are matched, and no two vectors are nearer to each other than both are to their
# partners; max_proposals, "limit on candidates evaluated per vector, defaults to 0", means no limit when it is 0.
# Seen (usearch 2.26.6): 269 pairs, and 966 couples that would both rather have each other. 0 stands for a
# small limit (here the result is that of 7), and who has used it up stays single, without a word; exact only
# says that the neighbours are searched exactly, and changes nothing here. With max_proposals=300 the matching is the
# stable one, that of taking the nearest couple of all again and again. Where one side is a third as large nothing is lost.
# So: give max_proposals the size of the larger index, and count the pairs that come back.
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
draw = np.random.default_rng(1)
n, width = 300, 32
sides = [draw.normal(size=(n, width)).astype("float32") for _ in range(2)]
left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in sides)
cosine = left @ right.T


def index(rows):
    made = Index(ndim=width, metric="cos", dtype="f32")
    made.add(np.arange(len(rows)), rows)
    return made


def unstable(pairs):
    mine, theirs = np.full(n, -2.0), np.full(n, -2.0)
    for i, j in pairs.items():
        mine[i] = theirs[j] = cosine[i, j]
    return int(((cosine > mine[:, None] + 1e-6) & (cosine > theirs[None] + 1e-6)).sum())


stable = {}
for i, j in zip(*np.unravel_index(np.argsort(-cosine, axis=None), cosine.shape), strict=True):
    if i not in stable and j not in stable.values():
        stable[int(i)] = int(j)
seen = {}
for name, options in {"as it comes": {}, "exact": {"exact": True}, "all": {"exact": True, "max_proposals": n}}.items():
    seen[name] = index(left).join(index(right), **options)
    print(name, options, len(seen[name]), "pairs,", unstable(seen[name]), "couples would rather have each other")
fewer = index(left).join(index(right[:100]), exact=True)
print("300 and 100 vectors:", len(fewer), "pairs; nearest couple first:", len(stable), "pairs,", unstable(stable))
for name in ("as it comes", "exact"):
    assert 200 < len(seen[name]) < n and unstable(seen[name]) > 0
assert seen["all"] == stable and unstable(stable) == 0
assert len(fewer) == 100
PYTHON
