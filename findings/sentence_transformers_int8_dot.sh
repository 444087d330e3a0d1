#!/usr/bin/env bash
# Guess, written down first: util.semantic_search of sentence-transformers over vectors that its own quantize_embeddings
# made 8-bit integers ranks as the same codes in floats do, or refuses them, as it does with its default, the cosine.
# Seen (sentence-transformers 6.2.0, torch 2.13.0): by util.dot_score recall@10 is that of chance, .005, where the same
# codes as floats have .95, without a word. Products and sums are kept in 8 bits: the score of a vector with itself is
# 11 or -94 where 295,435 and 295,842 are right, and many answers have the score 127. uint8 is the same, and so is
# util.pairwise_dot_score, whose products are. Halves are turned to floats first, integers are not. The cosine and the
# two distances raise.
# So: .astype("float32") before dot_score, or search codes by faiss or usearch.
# Source: sentence-transformers issue 3121 and pull request 3131 (of the cosine, which raises: the help of
# model.similarity asks for floats since; that of dot_score and semantic_search does not).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" torch==2.13.0 sentence-transformers==6.2.0 \
  numpy==2.4.6
PYTHONPATH="$place" HF_HUB_OFFLINE=1 python3 -W ignore - <<'PYTHON'
import numpy as np
import sentence_transformers
from sentence_transformers import util
from sentence_transformers.util import quantize_embeddings

print("sentence-transformers", sentence_transformers.__version__)
draw = np.random.default_rng(0)
n, width = 2000, 384


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")


rows = unit(draw.normal(size=(n, width)))
queries = unit(rows[:100] + draw.normal(size=(100, width)) / np.sqrt(width))
limits = np.array([[-1.0], [1.0]]) * np.full(width, np.abs(rows).max())
best = np.argsort(-queries @ rows.T, axis=1)[:, :10]


def recall(queries, rows):
    answers = util.semantic_search(queries, rows, score_function=util.dot_score, top_k=10)
    return float(np.mean([len({a["corpus_id"] for a in got} & {*b}) / 10 for got, b in zip(answers, best.tolist())]))


assert recall(queries, rows) > 0.999
for kind in ("int8", "uint8"):
    stored, asked = (quantize_embeddings(x, kind, ranges=limits) for x in (rows, queries))
    codes, floats = recall(asked, stored), recall(asked.astype("float32"), stored.astype("float32"))
    own = util.dot_score(stored[:3], stored[:3]).diagonal().tolist()
    right = (stored[:3].astype(int) ** 2).sum(1).tolist()
    print(f"{kind}: recall@10 {codes:.3f}; three scores with themselves {own}, right {right}")
    assert codes < 0.03
    assert all(abs(a) < 256 < b for a, b in zip(own, right))
    assert all(a != b for a, b in zip(util.pairwise_dot_score(stored[:3], stored[:3]).tolist(), right))
    if kind == "int8":  # of uint8 the zero of the codes is 128, so that their products say little
        print(f"  the same codes as floats {floats:.3f}")
        assert floats > 0.9
    for function in (util.cos_sim, util.euclidean_sim, util.manhattan_sim):
        try:
            function(asked, stored)
        except (RuntimeError, NotImplementedError):
            continue
        raise SystemExit(f"{function.__name__} takes {kind}")
PYTHON
