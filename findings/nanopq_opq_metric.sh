#!/usr/bin/env bash
# Guess, from the help: nanopq.OPQ(M, Ks, metric="dot") scores codes by inner products, as nanopq.PQ with the same
# arguments does: the scores of adist are those of the query with the decoded rows, a larger one is better, and recall@10
# is about that of PQ, since a rotation leaves inner products as they are.
# Seen (nanopq 0.2.2): PQ does. OPQ says "dot" until fit, which makes a new PQ without the metric; from then on
# its .pq.metric is "l2", and adist gives squared distances, those of metric="l2" to the last bit, without a word. Sorted
# as inner products are, largest first, recall@10 is 0, since the farthest rows come first; smallest first it is
# .49 for unit vectors and 0 for rows of unequal length, where PQ has .49 and the inner products of OPQ's own decoded rows
# have .50.
# So: opq.pq.metric = "dot" after fit; the codes are right, since encoding is Euclidean for either metric (so its help).
# Source: nanopq/opq.py, fit, against the class's own help; matsui528/nanopq pull request 24, which brought the metric.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" nanopq==0.2.2 numpy==2.4.6 scipy==1.17.1
PYTHONPATH="$place" OMP_NUM_THREADS=1 python3 -W ignore - <<'PYTHON'
import nanopq
import numpy as np

print("nanopq", nanopq.__version__)
draw = np.random.default_rng(0)
unit = draw.normal(size=(3000, 32)).astype("float32")
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
unequal = unit * draw.uniform(1, 15, (3000, 1)).astype("float32")
queries = draw.normal(size=(100, 32)).astype("float32")


def recall(scores, exact):
    found, right = (np.argsort(-s, axis=1)[:, :10] for s in (scores, exact))
    return np.mean([len(set(f) & set(r)) / 10 for f, r in zip(found, right)])


def scores(model, codes):
    return np.array([model.dtable(query).adist(codes) for query in queries])


for name, rows in (("unequal lengths", unequal), ("unit vectors", unit)):
    exact = queries @ rows.T
    pq = nanopq.PQ(8, 64, metric="dot", verbose=False).fit(rows)
    codes = pq.encode(rows)
    plain = recall(scores(pq, codes), exact)
    assert np.allclose(scores(pq, codes), queries @ pq.decode(codes).T, atol=1e-3)

    opq = nanopq.OPQ(8, 64, metric="dot", verbose=False)
    assert opq.pq.metric == "dot"
    opq.fit(rows)
    codes = opq.encode(rows)
    said, decoded = scores(opq, codes), opq.decode(codes)
    reachable = recall(queries @ decoded.T, exact)
    largest, smallest = recall(said, exact), recall(-said, exact)
    print(f"{name}: PQ {plain:.2f}, OPQ largest first {largest:.2f}, smallest first {smallest:.2f}", end=", ")
    assert opq.pq.metric == "l2"
    assert np.allclose(said, ((queries[:, None] - decoded) ** 2).sum(2), rtol=1e-3, atol=1e-3)
    other = nanopq.OPQ(8, 64, metric="l2", verbose=False).fit(rows)
    assert np.array_equal(said, scores(other, other.encode(rows)))

    opq.pq.metric = "dot"
    mended = recall(scores(opq, codes), exact)
    print(f"by decoded rows {reachable:.2f}, with the metric set again {mended:.2f}")
    assert plain > 0.4 and reachable > 0.4
    assert abs(mended - reachable) < 0.01
    assert largest < 0.02
    assert smallest < 0.02 if name == "unequal lengths" else abs(smallest - reachable) < 0.1
PYTHON
