#!/usr/bin/env bash
# Guess, written down first: a ranking measured by mteb or pytrec_eval depends on the order of the scores alone, so
# MRR@1 and nDCG@1 of the same run are equal where each query has one relevant document, and adding a constant changes
# nothing.
# Seen (mteb 2.26.24 with pytrec_eval-terrier 0.5.11): for a perfect ranking with the scores 2e7, 2e7 - 1, ... (a
# constant less the rank, a time, a sum of large terms) one result holds MRR@1 = 1 and nDCG@1 = .02. pytrec_eval takes
# the scores of Python (64 bits) and keeps 32 of them, as trec_eval does, which makes neighbours tied; ties are then
# ordered by the names of the documents, the last name first. mteb computes MRR itself from 64 bits, and says that it
# orders as pytrec_eval does. Probabilities near 1 lose as well: 1 and 1 - 1e-9 are one score.
# So: rank in double precision first and hand over small whole numbers (-rank).
# Source: usnistgov/trec_eval issue 34 (float sim in TEXT_RESULTS); mteb/_evaluators/retrieval_metrics.py, mrr.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" mteb==2.26.24 \
  pytrec_eval-terrier==0.5.11 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$place" python3 -W ignore - <<'PYTHON'
from importlib.metadata import version

import pytrec_eval
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores

print("mteb", version("mteb"), "pytrec_eval-terrier", version("pytrec_eval-terrier"))
n = 50
relevant = {f"q{i}": {f"d{i:02d}": 1} for i in range(n)}
seen = {}
for top in (0.0, 1e6, 2e7):
    run = {f"q{i}": {f"d{(i + rank) % n:02d}": top - rank for rank in range(n)} for i in range(n)}
    result = calculate_retrieval_scores(run, relevant, [1, 10])
    seen[top] = (result.mrr["MRR@1"], result.ndcg["NDCG@1"], result.ndcg["NDCG@10"])
    print(f"scores {top:.0f} - rank: MRR@1 {seen[top][0]}, nDCG@1 {seen[top][1]}, nDCG@10 {seen[top][2]}")
assert seen[0.0] == seen[1e6] == (1.0, 1.0, 1.0)
assert seen[2e7][0] == 1.0
assert seen[2e7][1] == 0.02
near = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank"}).evaluate({"q": {"a": 1.0, "z": 1 - 1e-9}})
print("the relevant document 1, the other 1 - 1e-9: reciprocal rank", near["q"]["recip_rank"])
assert near["q"]["recip_rank"] == 0.5
PYTHON
