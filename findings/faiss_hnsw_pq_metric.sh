#!/usr/bin/env bash
# Guess, written down first: faiss.index_factory(d, "HNSW16,PQ16x4", METRIC_INNER_PRODUCT) searches by inner products, as
# "PQ16x4", "HNSW16,Flat" and "HNSW16,SQ8" with the same metric do, or it refuses, as "LSH" does. (The metric is the third
# argument of the factory, and its index says .metric_type.)
# Seen (faiss-cpu 1.15.1): the metric is dropped without a word, and the index searches by Euclidean distance: its .metric_type
# is METRIC_L2, its answers are squared distances, nearest first, and with rows of unequal length recall@10 by inner
# product is 0 for a beam that reads all, where "PQ16x4" has the .6 that such codes allow. A caller who takes the scores for
# similarities and sorts them downwards puts the farthest of the ten first; for rows of one length that is all the harm.
# So: build it as faiss.IndexHNSWPQ(d, 16, 16, 4, faiss.METRIC_INNER_PRODUCT), which keeps the metric, and assert
# index.metric_type after any index_factory.
# Source: facebookresearch/faiss issue 1621; opensearch-project/k-NN issue 222 met it in 2021.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 faiss-cpu==1.15.1
OMP_NUM_THREADS=1 "$place/env/bin/python" - <<'PYTHON'
import faiss
import numpy as np

print("faiss", faiss.__version__)
n, d = 1500, 32
draw = np.random.default_rng(0)
x = (draw.normal(size=(n, d)) * draw.uniform(0.2, 3, size=(n, 1))).astype("float32")
queries = draw.normal(size=(100, d)).astype("float32")
true = np.argsort(-(queries @ x.T), axis=1)[:, :10]


def search(index):
    index.train(x)
    index.add(x)
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = n
    scores, found = index.search(queries, 10)
    recall = float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(true, found)]))
    return recall, bool((np.diff(scores) <= 0).all())


try:
    faiss.index_factory(d, "LSH", faiss.METRIC_INNER_PRODUCT)
    raise AssertionError("LSH takes inner products now")
except RuntimeError as problem:
    print("LSH:", str(problem).split("Error: ")[-1])
seen = {}
for key in ("PQ16x4", "HNSW16,Flat", "HNSW16,SQ8", "HNSW16,PQ16x4"):
    index = faiss.index_factory(d, key, faiss.METRIC_INNER_PRODUCT)
    seen[key] = (index.metric_type == faiss.METRIC_INNER_PRODUCT, *search(index))
by_hand = faiss.IndexHNSWPQ(d, 16, 16, 4, faiss.METRIC_INNER_PRODUCT)
seen["IndexHNSWPQ"] = (by_hand.metric_type == faiss.METRIC_INNER_PRODUCT, *search(by_hand))
for key, (kept, recall, downwards) in seen.items():
    print(f"{key}: metric kept {kept}, recall@10 {recall:.3f}, scores go {'down' if downwards else 'up'}")
wrong = seen.pop("HNSW16,PQ16x4")
assert all(kept and downwards for kept, _, downwards in seen.values())
assert seen["HNSW16,Flat"][1] > 0.99 and seen["HNSW16,SQ8"][1] > 0.9
assert seen["PQ16x4"][1] > 0.5 and seen["IndexHNSWPQ"][1] > 0.5
assert not wrong[0] and not wrong[2] and wrong[1] < 0.05
PYTHON
