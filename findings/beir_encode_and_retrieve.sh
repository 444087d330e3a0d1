#!/usr/bin/env bash
# Guess, written down first: EvaluateRetrieval(DenseRetrievalExactSearch(model), score_function="cos_sim").encode_and_retrieve of
# beir, which keeps the embeddings in files, finds what its retrieve finds; another model has results of its own; and
# top_k (1000, its default) may be more than there are documents, as in retrieve.
# Seen (beir 2.2.0): three differences, none of which is told (lines of a log at level info for the second).
# - score_function is dropped, inner products decide: 300 documents of unequal length, nDCG@10 .28 for 1.00.
# - files are known by their names alone, and the default folder is ./embeddings/: a second model in the same folder, or a
#   second data set, is not run; its results are those of the first: .994 for a random model, right .018.
# - of fewer documents than top_k, one, the last by length of its text, has the score -3.4e38: it is the last of 300 for
#   each query, also for its own.
# So: a new folder for each model and data set, or overwrite=True; unit vectors; k_values up to the number of documents.
# Source: beir/retrieval/evaluation.py (no score_function in encode_and_retrieve), search/dense/exact_search.py (os.path.exists;
# faiss names missing rows -1, and all_corpus_ids[-1] is the last document).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 faiss-cpu==1.15.1 tqdm==4.68.3 \
  pytrec_eval-terrier==0.5.11 datasets==5.2.0
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps beir==2.2.0
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from beir.retrieval.evaluation import EvaluateRetrieval
from beir.retrieval.search.dense import DenseRetrievalExactSearch

print("beir", version("beir"))
n, width = 300, 32
corpus = {f"d{i}": {"text": f"{i} " + "a" * (n - i)} for i in range(n)}
queries = {f"q{i}": str(i) for i in range(n)}
relevant = {f"q{i}": {f"d{i}": 1} for i in range(n)}


class Model:
    """Embeds a text by the number it begins with."""

    def __init__(self, seed, lengths=True, noise=0.8):
        draw = np.random.default_rng(seed)
        scale = draw.lognormal(size=(n, 1)) if lengths else 1.0
        unit = draw.normal(size=(n, width))
        self.documents = (unit / np.linalg.norm(unit, axis=1, keepdims=True) * scale).astype("float32")
        self.queries = (unit + noise * draw.normal(size=unit.shape)).astype("float32")

    def encode_queries(self, texts, **options):
        return self.queries[[int(text) for text in texts]]

    def encode_corpus(self, rows, **options):
        return self.documents[[int(row["text"].split()[0]) for row in rows]]


def searched(model, folder=None, score_function="cos_sim", k_values=(1, 10, 1000)):
    evaluator = EvaluateRetrieval(
        DenseRetrievalExactSearch(model, show_progress_bar=False), score_function=score_function, k_values=list(k_values)
    )
    if folder is None:
        found = evaluator.retrieve(corpus, queries)
    else:
        found = evaluator.encode_and_retrieve(corpus, queries, encode_output_path=folder)
    return found, evaluator.evaluate(relevant, found, [10])[0]["NDCG@10"]


cosine, product = (searched(Model(0), score_function=by)[1] for by in ("cos_sim", "dot"))
filed = searched(Model(0), "first")[1]
print(f"nDCG@10 of retrieve by cosine {cosine:.3f}, by inner product {product:.3f}; of encode_and_retrieve by cosine {filed:.3f}")
assert abs(filed - product) < 0.01 and cosine > product + 0.3

good, bad = Model(1, lengths=False), Model(2, lengths=False, noise=100.0)
own = [searched(model)[1] for model in (good, bad)]
shared = [searched(model, "shared")[1] for model in (good, bad)]
print("two models, retrieve:", own, "encode_and_retrieve in one folder:", shared)
assert own[0] > 0.8 and own[1] < 0.1 and shared[0] == shared[1]

last = f"d{n - 1}"
places = {}
for name, found in (("retrieve", searched(good)[0]), ("encode_and_retrieve", searched(good, "shared")[0])):
    order = [sorted(hits, key=hits.get, reverse=True).index(last) + 1 for hits in found.values()]
    places[name] = order
    print(f"{name}: place of {last} for its own query {order[-1]}, at best {min(order)}; score {found[f'q{n - 1}'][last]:.3g}")
assert places["retrieve"][-1] == 1 and set(places["encode_and_retrieve"]) == {n}
exact = searched(good, "few", k_values=(1, 10, n))[0]
assert sorted(hits := exact[f"q{n - 1}"], key=hits.get, reverse=True)[0] == last
PYTHON
