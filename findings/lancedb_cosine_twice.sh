#!/usr/bin/env bash
# Guess, written down first: _distance of a LanceDB search by cosine is 1 - cosine, up to the error of the codes, with and
# without an index, so that a threshold (distance_range) chosen on a small table holds for the indexed one.
# Seen (lancedb 0.40.0): with an index of scalar or rotated one-bit codes (IVF_SQ, IVF_HNSW_SQ, roughly IVF_RQ) it is 2 (1 - cosine),
# the squared distance of the unit vectors; without an index, with IVF_FLAT, with refine_factor, and as soon as one row was
# added that no index knows yet, it is 1 - cosine. So the same query gives distances that double when the index is built,
# halve when a row is added, and double again after optimize(); a fixed distance_range loses neighbours in between.
# So: score the vectors that come back, or ask with refine_factor(1), before distances are compared with a number.
# Source: lancedb's options of an index say of "cosine" that the distance lies between 0 and 2.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check lancedb==0.40.0 numpy==2.4.6 pyarrow==26.0.1
PLACE="$place/db" "$place/env/bin/python" -W ignore - <<'PYTHON'
import os

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import HnswSq, IvfFlat, IvfRq, IvfSq

print("lancedb", lancedb.__version__)
n, d = 2000, 64
draw = np.random.default_rng(0)
x = draw.normal(size=(n + 1, d)).astype("float32")
query = x[5] + 0.5 * draw.normal(size=d).astype("float32")
true = 1 - x @ query / np.linalg.norm(x, axis=1) / np.linalg.norm(query)


def rows(numbers):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x[numbers].ravel()), d)
    return pa.table({"id": numbers, "vector": vectors})


def ratio(table, refine=None):
    asked = table.search(query).distance_type("cosine").nprobes(1).limit(5)
    hits = (asked if refine is None else asked.refine_factor(refine)).to_list()
    return float(np.median([hit["_distance"] / true[hit["id"]] for hit in hits]))


def within(table, most):
    asked = table.search(query).distance_type("cosine").nprobes(1).distance_range(upper_bound=most)
    return len(asked.limit(50).to_list())


database = lancedb.connect(os.environ["PLACE"])
for name, kind in (("IVF_FLAT", IvfFlat), ("IVF_SQ", IvfSq), ("IVF_HNSW_SQ", HnswSq), ("IVF_RQ", IvfRq)):
    table = database.create_table(name, rows(np.arange(n)))
    before, many = ratio(table), within(table, 0.7)
    table.create_index("vector", config=kind(distance_type="cosine", num_partitions=1))
    indexed, few, refined = ratio(table), within(table, 0.7), ratio(table, 1)
    table.add(rows(np.array([n])))
    added = ratio(table)
    table.optimize()
    print(f"{name}: _distance / (1 - cosine): no index {before:.2f}, index {indexed:.2f}, refined {refined:.2f}, "
          f"one row added {added:.2f}, optimised {ratio(table):.2f}; within .7: {many} then {few} rows")
    assert abs(before - 1) < 0.01 and abs(refined - 1) < 0.01 and abs(added - 1) < 0.01
    low, high = {"IVF_FLAT": (0.99, 1.01), "IVF_RQ": (1.3, 2.7)}.get(name, (1.9, 2.1))
    assert low < indexed < high and low < ratio(table) < high
    assert few == many if name == "IVF_FLAT" else few < many
PYTHON
