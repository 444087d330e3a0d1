#!/usr/bin/env bash
# Guess, written down first: a measure of ir_measures depends on judgements and scores, not on how queries are named: a
# query_id is a string. So nDCG(dcg="exp-log2")@10 and ERR@10 are the same for queries "1" to "6", "q-1" to "q-6", and
# "img-1" to "img-3" with "txt-1" to "txt-3".
# Seen (ir-measures 0.4.3): nDCG(dcg="exp-log2")@10 is .365, .183 and .146, and ERR@10 .235, .118 and .140, without a
# word; nDCG@10, AP and the rest do not change. What stands before the last hyphen is cut off: "q-1" comes back as a
# query "1" that nobody gave, and each real query is added with 0, so that the mean is halved. "img-1" and "txt-1" become
# one query, whose documents are ranked together; where both sides name their documents alike, as those of paired data
# do, judgements overwrite each other as well. "2026-11-05" becomes "05". Only a name without a number at its end is
# refused, with the exit status of a Perl program.
# So: number the queries before these two measures, and compare the queries of iter_calc with those given.
# Source: ir_measures/providers/gdeval_provider.py, which takes TREC's gdeval.pl for both; that strips "wt09-" from "wt09-1";
# terrierteam/ir_measures issue 50 (open) met the refusal of "Q0".
# Fails when that changes. Needs perl: it says so and ends where there is none.
set -eu
if ! command -v perl >/dev/null; then
    echo "nothing to see here: needs perl"
    exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check ir-measures==0.4.3 numpy==2.4.6
IR_DATASETS_HOME="$place" "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import ir_measures
import numpy as np
from ir_measures import AP, ERR, Qrel, ScoredDoc, nDCG

print("ir-measures", version("ir-measures"))
draw = np.random.default_rng(0)
grades = draw.integers(0, 5, (6, 20)) * (draw.random((6, 20)) < 0.4)
scores = draw.random((6, 20))


def gain(row):
    return sum((2.0**grade - 1) / np.log2(i + 2) for i, grade in enumerate(row[:10]))


true = [gain(g[np.argsort(-s)]) / gain(-np.sort(-g)) for g, s in zip(grades, scores)]
print(f"nDCG@10 with exponential gains, by its formula: {np.mean(true):.3f}")
exponential = nDCG(dcg="exp-log2") @ 10
names = {
    "1 to 6": [str(i) for i in range(1, 7)],
    "q-1 to q-6": [f"q-{i}" for i in range(1, 7)],
    "img-1 to img-3, txt-1 to txt-3": [f"{side}-{i}" for side in ("img", "txt") for i in range(1, 4)],
}
seen = {}
for name, queries in names.items():
    judged = [Qrel(q, f"d{j}", int(g)) for q, row in zip(queries, grades) for j, g in enumerate(row)]
    run = [ScoredDoc(q, f"d{j}", float(s)) for q, row in zip(queries, scores) for j, s in enumerate(row)]
    told = ir_measures.calc_aggregate([exponential, ERR @ 10, nDCG @ 10, AP], judged, run)
    single = {m.query_id: m.value for m in ir_measures.iter_calc([exponential], judged, run)}
    seen[name] = told, single
    print(name, {str(k): round(v, 3) for k, v in told.items()}, "not asked for:", sorted(set(single) - set(queries)))
plain, prefixed, merged = (seen[name] for name in names)
assert abs(plain[0][exponential] - np.mean(true)) < 1e-4 and np.allclose(list(plain[1].values()), true, atol=1e-4)
for measure in (exponential, ERR @ 10):
    assert abs(prefixed[0][measure] / plain[0][measure] - 0.5) < 1e-3 and merged[0][measure] < 0.7 * plain[0][measure]
assert sorted(set(prefixed[1]) - set(names["q-1 to q-6"])) == ["1", "2", "3", "4", "5", "6"]
assert max(merged[1][query] for query in names["img-1 to img-3, txt-1 to txt-3"]) == 0
for measure in (nDCG @ 10, AP):
    assert prefixed[0][measure] == merged[0][measure] == plain[0][measure]
PYTHON
