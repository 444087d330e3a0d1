#!/usr/bin/env bash
# Guess, written down first: beir evaluates a search across modalities, where caption 17 asks for image 17 (ids count from 0 on both
# sides), once evaluate is told ignore_identical_ids=False; evaluating changes nothing of what is evaluated; and a query
# without an answer counts 0 in every measure.
# Seen (beir 2.2.0): a perfect model has nDCG@10, MRR@10 and accuracy of 0, also with ignore_identical_ids=False: retrieve itself
# leaves out what has the id of the query, and has no setting for it. encode_and_retrieve, of the same class, leaves it in: 1.0.
# The default of evaluate takes these answers out of the results that it is given: MRR@10 of the same object is 1.0 before and 0
# after. Queries that are missing from the results count 0 for MRR and accuracy (.5 where half of them are answered, all
# rightly), and not at all for nDCG, MAP, recall and precision (1.0).
# So: ids that differ, as "caption-17"; an empty answer, {}, for each query without one.
# Source: beir/retrieval/search/dense/exact_search.py (if corpus_id != query_id), the same in search/lexical and search/sparse;
# evaluation.py (results[qid].pop(pid), / len(scores)), custom_metrics.py (/ len(qrels)).
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
n = 100
vectors = np.random.default_rng(0).normal(size=(n, 16)).astype("float32")
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)


class Perfect:
    def encode_queries(self, texts, **options):
        return vectors[[int(text) for text in texts]]

    def encode_corpus(self, rows, **options):
        return vectors[[int(row["text"]) for row in rows]]


def told(relevant, found, **options):
    """MRR, accuracy, nDCG and MRR again."""
    first, accuracy = (EvaluateRetrieval.evaluate_custom(relevant, found, [10], name) for name in ("mrr", "accuracy"))
    gain = EvaluateRetrieval.evaluate(relevant, found, [10], **options)[0]
    again = EvaluateRetrieval.evaluate_custom(relevant, found, [10], "mrr")
    return [next(iter(values.values())) for values in (first, accuracy, gain, again)]


def searched(caption, image, **options):
    corpus, queries = {f"{image}{i}": {"text": str(i)} for i in range(n)}, {f"{caption}{i}": str(i) for i in range(n)}
    relevant = {f"{caption}{i}": {f"{image}{i}": 1} for i in range(n)}
    evaluator = EvaluateRetrieval(DenseRetrievalExactSearch(Perfect(), show_progress_bar=False), k_values=[n])
    folder = f"files{caption}"
    return relevant, evaluator.retrieve(corpus, queries), evaluator.encode_and_retrieve(corpus, queries, encode_output_path=folder)


keep = {"ignore_identical_ids": False}
relevant, found, filed = searched("", "")
shared, apart = told(relevant, found, **keep), searched("caption-", "image-")
print("MRR, accuracy, nDCG and MRR again; shared ids, retrieve:", shared)
stored = told(relevant, {query: dict(hits) for query, hits in filed.items()}, **keep)
print("    encode_and_retrieve:", stored)
changed = told(relevant, filed)
print("    the same, without ignore_identical_ids=False:", changed)
print("other ids, retrieve:", told(*apart[:2]))
half = told(apart[0], {query: hits for query, hits in list(apart[1].items())[: n // 2]})
print("    half of the queries answered:", half)
assert shared == [0, 0, 0, 0] and stored == [1, 1, 1, 1] and changed == [1, 1, 0, 0]
assert told(*apart[:2]) == [1, 1, 1, 1] and half == [0.5, 0.5, 1, 0.5]
PYTHON
