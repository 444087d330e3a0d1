#!/usr/bin/env bash
# Guess, written down first: a row of zeros (an empty caption, an item without that modality) has no direction, so a
# search by cosine gives it the similarity 0 or leaves it out; it never stands before a row that points the same way as
# the query.
# Seen (sqlite-vec 0.1.9): its distance is NULL, and ten rows of zeros that were added first fill all ten places of
# every answer of a vec0 table with distance_metric=cosine: recall@10 falls from 1 to 0. The same ten added last change
# nothing, so the answer depends on the order of insertion. ORDER BY of vec_distance_cosine puts them first wherever
# they stand.
# Seen (duckdb 2.0.1): array_cosine_similarity is NaN, which DuckDB orders above all numbers, so ORDER BY similarity
# DESC and arg_max give the rows of zeros first, while ORDER BY array_cosine_distance gives them last: the same search,
# two answers.
# By contrast chromadb 1.5, qdrant-client 1.20 (in memory), hnswlib 0.8 and scikit-learn 1.9 say similarity 0, lancedb
# 0.40 leaves the row out.
# So: keep rows of zeros out of a store, or store a marker beside the vector and filter by it.
# Source: vlasky/sqlite-vec issue 8 (mended in that fork alone); DuckDB's rules of NaN in comparisons.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" numpy==2.4.6 sqlite-vec==0.1.9 \
  apsw==3.54.1.0 duckdb==2.0.1
PYTHONPATH="$place" python3 - <<'PYTHON'
import apsw
import duckdb
import numpy as np
import sqlite_vec

print("sqlite-vec", sqlite_vec.__version__, "duckdb", duckdb.__version__)
n, d, k = 1000, 32, 10
draw = np.random.default_rng(0)
rows = draw.normal(size=(n, d)).astype("float32")
queries = draw.normal(size=(20, d)).astype("float32")
zeros = np.zeros((k, d), dtype="float32")
unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
best = [set(np.argsort(-(unit @ q))[:k].tolist()) for q in queries]


def by_sqlite(ids, vectors):
    base = apsw.Connection(":memory:")
    base.enable_load_extension(True)
    base.load_extension(sqlite_vec.loadable_path())
    base.execute(f"create virtual table t using vec0(id integer primary key, v float[{d}] distance_metric=cosine)")
    with base:
        for i, v in zip(ids, vectors, strict=True):
            base.execute("insert into t values (?, ?)", (i, v.tobytes()))
    ask = "select id from t where v match ? and k = ?"
    found = [{i for (i,) in base.execute(ask, (q.tobytes(), k))} for q in queries]
    plain = "select id from t order by vec_distance_cosine(v, ?) limit ?"
    sorted_ = [{i for (i,) in base.execute(plain, (q.tobytes(), k))} for q in queries]
    return [round(float(np.mean([len(f & b) / k for f, b in zip(s, best, strict=True)])), 3) for s in (found, sorted_)]


own, added = list(range(n)), list(range(n, n + k))
clean = by_sqlite(own, rows)
first = by_sqlite(added + own, np.vstack([zeros, rows]))
last = by_sqlite(own + added, np.vstack([rows, zeros]))
print("sqlite-vec, recall@10 of the table and of ORDER BY: without", clean, "zeros first", first, "zeros last", last)
assert clean == [1.0, 1.0]
assert first == [0.0, 0.0]
assert last == [1.0, 0.0]

duck = duckdb.connect()
duck.execute("create table t (id integer, v float[2])")
duck.execute("insert into t values (1, [1, 0]), (2, [0.6, 0.8]), (3, [0, 0]), (4, [-1, 0])")
similar = duck.execute("select id from t order by array_cosine_similarity(v, [1, 0]::float[2]) desc").fetchall()
distant = duck.execute("select id from t order by array_cosine_distance(v, [1, 0]::float[2])").fetchall()
most = duck.execute("select arg_max(id, array_cosine_similarity(v, [1, 0]::float[2])) from t").fetchone()
print("duckdb, row 3 is zeros: by similarity", similar, "by distance", distant, "arg_max", most)
assert [i for (i,) in similar] == [3, 1, 2, 4]
assert [i for (i,) in distant] == [1, 2, 4, 3]
assert most == (3,)
PYTHON
