#!/usr/bin/env bash
# Guess, written down first: fuse(runs, method="rrf") of ranx gives a document 1 / (60 + its place by score), however the runs
# were filled: Run(dict) and Run() with add_score hold the same scores and are fused to the same ranking.
# Seen (ranx 0.3.21): a run filled by add_score is fused in the order in which documents were added. Two runs of reciprocal rank
# .48 and .49, added in the order of the documents' names, make .38 by rrf and .36 by bordafuse, where the same scores given as
# dictionaries make .70 and .72, and norm="rank" before a sum .35 for .72. Nothing tells it, and looking at it mends it:
# evaluate(qrels, run) sorts the run it is given, so that the same fusion gives .70 afterwards. norm="borda" leaves runs
# unsorted as well, of dictionaries too: "rrf" after it makes .09 to .20, by the draw of the process (PYTHONHASHSEED).
# So: Run(dict), add_multi, or run.sort() before fuse.
# Source: ranx/data_structures/run.py: add_score notes sorted = False, which evaluate reads and fuse does not.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: numpy==2.4.6 ranx==0.3.21
NUMBA_CACHE_DIR="$place/numba" "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from ranx import Qrels, Run, evaluate, fuse

print("ranx", version("ranx"))
queries, documents, kept = 20, 50, 20
qrels = Qrels({f"q{i}": {f"d{i}": 1} for i in range(queries)})


def scores(seed):
    found = np.random.default_rng(seed).normal(size=(queries, documents))
    found[np.arange(queries), np.arange(queries)] += 2
    return {f"q{i}": {f"d{j}": float(row[j]) for j in np.argsort(-row)[:kept]} for i, row in enumerate(found)}


def added(found):
    run = Run()
    for query, hits in found.items():
        for document in sorted(hits):
            run.add_score(query, document, hits[document])
    return run


def mrr(run):
    return round(float(evaluate(qrels, run, "mrr")), 3)


def by_hand(sides):
    fused = {}
    for query in sides[0]:
        fused[query] = {}
        for side in sides:
            for place, document in enumerate(sorted(side[query], key=side[query].get, reverse=True), 1):
                fused[query][document] = fused[query].get(document, 0) + 1 / (60 + place)
    return Run(fused)


sides = scores(1), scores(2)
print("each alone:", [mrr(Run(side)) for side in sides], "rrf by hand:", mrr(by_hand(sides)))
seen = {}
for name, options in (
    ("rrf", {"norm": None, "method": "rrf"}),
    ("bordafuse", {"norm": None, "method": "bordafuse"}),
    ("norm rank, then sum", {"norm": "rank", "method": "sum"}),
):
    fresh = [added(side) for side in sides]
    first = mrr(fuse(fresh, **options))
    alone = [mrr(run) for run in fresh]
    seen[name] = mrr(fuse([Run(side) for side in sides], **options)), first, mrr(fuse(fresh, **options))
    print(f"{name}: of dictionaries {seen[name][0]}, of add_score {seen[name][1]}, "
          f"the same runs once evaluated ({alone}) {seen[name][2]}")
seen["borda, rrf"] = mrr(fuse([Run(side) for side in sides], norm="borda", method="rrf"))
print("norm borda, then rrf, of dictionaries:", seen["borda, rrf"])
assert seen["rrf"][0] == mrr(by_hand(sides))
for name in ("rrf", "bordafuse", "norm rank, then sum"):
    right, told, after = seen[name]
    assert right > 0.65 and told < 0.45 and abs(after - right) < 0.05
assert seen["borda, rrf"] < 0.3
PYTHON
