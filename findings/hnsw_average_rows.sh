#!/usr/bin/env bash
# Guess, written down first: a handful of vectors near the mean of a set (empty captions, grey pictures, averages that
# somebody stored) costs an HNSW graph nothing but their own places in the answers.
# Seen (faiss-cpu 1.15.1, hnswlib 0.8.0): with 10 such rows among 10,000 unit vectors of 384 dimensions that have only
# their mean direction in common (mean cosine .25), more than three quarters of all stored vectors are no longer found when
# they themselves are the query, with a beam (efSearch) of 1,000: in faiss wherever in the order the ten stand, in hnswlib
# where they come first. Without them every vector is found. Each vector is nearer to the ten than to any other, so the pruning of neighbours (a candidate is dropped
# when it is nearer to a chosen neighbour than to the vector) leaves links to the ten alone, whose own lists are full: the
# rest of the graph cannot be entered. No number that the libraries print tells it.
# Vectors of real captions (256 dimensions, mean length .35) lost nothing: their neighbours are nearer than their mean is.
# So: query an index with a sample of its own rows, and remove or set aside average vectors before building.
# Source: Malkov, Yashunin 2016, arXiv 1603.09320, algorithm 4 (select-neighbours-heuristic).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 faiss-cpu==1.15.1 hnswlib==0.8.0
OMP_NUM_THREADS=1 "$place/env/bin/python" - <<'PYTHON'
import faiss
import hnswlib
import numpy as np

print("faiss", faiss.__version__)
n, d, averages = 10_000, 384, 10
draw = np.random.default_rng(0)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")


mean = np.eye(d)[:1]
own = draw.normal(size=(n, d))
own[:, 0] = 0
plain = unit(np.sqrt(0.75) * unit(own) + 0.5 * mean)
near = unit(mean + 0.05 * draw.normal(size=(averages, d)) / np.sqrt(d))


def by_faiss(x, queries):
    index = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    index.add(x)
    index.hnsw.efSearch = 1000
    return index.search(queries, 10)[1]


def by_hnswlib(x, queries):
    index = hnswlib.Index("ip", d)
    index.init_index(n, M=32, ef_construction=80, random_seed=1)
    index.add_items(x, num_threads=1)
    index.set_ef(1000)
    return index.knn_query(queries, 10, num_threads=1)[0]


for search in (by_faiss, by_hnswlib):
    for place in ("none", "first", "last") if search is by_faiss else ("none", "first"):
        x = plain.copy()
        if place != "none":
            x[np.arange(averages) if place == "first" else np.arange(n - averages, n)] = near
        rows = np.arange(200, 500)
        found = float(np.mean([row in hits for row, hits in zip(rows, search(x, x[rows]))]))
        print(f"{search.__name__}, average rows {place}: {found:.1%} of 300 vectors found by themselves")
        assert found == 1.0 if place == "none" else found < 0.25
PYTHON
