#!/usr/bin/env bash
# Guess, written down first: the time of an exact search (faiss.IndexFlatIP, IndexFlatL2) grows with the number of queries, and
# 2048 of them at once take as long as two times 1024.
# Seen (faiss-cpu 1.15.1, one thread, 32768 rows of 64 columns, k = 18): 1950 queries take 481 ms and 2000 of them 169 ms, by
# Euclidean distance 467 and 185; two halves of 2048 take three times as long as all at once, and so do two halves of 280
# queries of 512 columns. faiss-cpu 1.13.2 does what was guessed. From 1.14.2 on BLAS is left where queries x columns
# < 128000 (it was queries < 20), which was chosen for many threads; with one, as under a process pool, it is the wrong way.
# So: search in batches of 128000 / columns and more, or, before the first search and where few threads are used,
# faiss.cvar.distance_compute_blas_threshold = 1000.
# Source: facebookresearch/faiss pull requests 5022 (merged) and 5109 (open: with one thread BLAS wins from about 1000 on).
# Fails when that changes. Takes processor time of one thread; other programs make both sides slower alike.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for version in 1.13.2 1.15.1; do
  python3 -m venv "$place/$version"
  "$place/$version/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 "faiss-cpu==$version"
  OMP_NUM_THREADS=1 "$place/$version/bin/python" - <<'PYTHON'
import statistics
import time

import faiss
import numpy as np

draw = np.random.default_rng(0)
new = faiss.__version__ == "1.15.1"


def seconds(index, *batches):
    spent = []
    for _ in range(6):
        start = time.process_time()
        for queries in batches:
            index.search(queries, 18)
        spent.append(time.process_time() - start)
    return statistics.median(spent[1:])


def halved(d, kind):
    """Time of queries in two halves over that of all at once, which are just enough for BLAS."""
    index = kind(d)
    index.add(draw.standard_normal((32768, d), dtype=np.float32))
    queries = draw.standard_normal((128000 // d + 30, d), dtype=np.float32)
    half = len(queries) // 2
    return seconds(index, queries[:half], queries[half:]) / seconds(index, queries)


ratios = {(d, kind.__name__): halved(d, kind) for d in (64, 512) for kind in (faiss.IndexFlatIP, faiss.IndexFlatL2)}
print("faiss", faiss.__version__, {k: round(v, 2) for k, v in ratios.items()})
assert all((ratio > 1.6) == new for ratio in ratios.values())
if new:
    faiss.cvar.distance_compute_blas_threshold = 1000
    cured = halved(64, faiss.IndexFlatIP)
    print("with another threshold", round(cured, 2))
    assert cured < 1.4
PYTHON
done
