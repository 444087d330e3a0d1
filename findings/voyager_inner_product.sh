#!/usr/bin/env bash
# Guess, written down first: an index of Voyager by inner product, which turns it into a distance by one more coordinate
# (order-preserving), loses no more than the graph of faiss by plain inner products does, in whatever order rows of
# unequal length come; and get_distance(a, b) is the 1 - <a, b> that a query reports.
# Seen (voyager 2.2.3, faiss-cpu 1.15.1): 3,000 rows of 64 dimensions, lengths spread evenly from .2 to 3, in random
# order: recall@10 is below .6 with a beam of 50 and below .8 with 300, where faiss has more than .95 and .99 with as many
# links. The same rows sorted by length, longest first or shortest first, and rows of one length reach what faiss reaches
# with the beam of 300; the longest row alone put first changes nothing. get_distance lengthens both of its vectors by the
# coordinate, a query only the stored one, so it says up to the squared largest length less than the query does, and
# changes with whatever else is in the index. Nothing of this is in the answers, whose distances are right.
# So: sort rows by length before adding them, or index rows of one length, and take no distance from get_distance.
# Source: spotify/voyager pull request 25; Morozov, Babenko 2018 (Non-metric similarity graphs for maximum inner product
# search) say why a graph by inner products outdoes this reduction.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" voyager==2.2.3 faiss-cpu==1.15.1 numpy==2.4.6
PYTHONPATH="$place" python3 - <<'PYTHON'
from importlib.metadata import version

import faiss
import numpy as np
from voyager import Index, Space

print("voyager", version("voyager"), "faiss-cpu", faiss.__version__)
draw = np.random.default_rng(0)
n, width = 3000, 64
rows = draw.normal(size=(n, width)).astype("float32")
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
unit = rows.copy()
rows *= draw.uniform(0.2, 3, size=(n, 1)).astype("float32")
queries = draw.normal(size=(200, width)).astype("float32")
queries /= np.linalg.norm(queries, axis=1, keepdims=True)


def recall(rows, found):
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found.tolist(), best.tolist(), strict=True)]))


def voyager(rows, order):
    index = Index(Space.InnerProduct, num_dimensions=width, M=16, ef_construction=200)
    index.add_items(rows[order], ids=order)
    return index, [recall(rows, index.query(queries, k=10, query_ef=beam)[0]) for beam in (50, 300)]


graph = faiss.IndexHNSWFlat(width, 16, faiss.METRIC_INNER_PRODUCT)
graph.hnsw.efConstruction = 200
graph.add(rows)
by_faiss = []
for beam in (50, 300):
    graph.hnsw.efSearch = beam
    by_faiss.append(recall(rows, graph.search(queries, 10)[1]))
lengths = np.linalg.norm(rows, axis=1)
order = np.arange(n)
index, as_drawn = voyager(rows, order)
_, longest_first = voyager(rows, np.argsort(-lengths))
_, shortest_first = voyager(rows, np.argsort(lengths))
_, one_length = voyager(unit, order)
print("recall@10, beams of 50 and 300: faiss", by_faiss, "voyager as drawn", as_drawn)
print("voyager, longest first", longest_first, "shortest first", shortest_first, "one length", one_length)
found, distance = index.query(rows[0], k=100, query_ef=1000)
told, true = index.get_distance(rows[0], rows[found[-1]]), 1 - float(rows[0] @ rows[found[-1]])
print(f"two rows: 1 - <a, b> {true:.3f}, by the query {distance[-1]:.3f}, by get_distance {told:.3f}")
assert by_faiss[0] > 0.95 and by_faiss[1] > 0.99
assert as_drawn[0] < 0.6 and as_drawn[1] < 0.8
assert longest_first[1] > 0.98 and shortest_first[1] > 0.98
assert one_length[1] > 0.98
assert abs(distance[-1] - true) < 1e-4
assert told < true - 1
PYTHON
