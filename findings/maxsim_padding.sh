#!/usr/bin/env bash
# Guess, written down first: the late-interaction score of a query and a document (for each query vector the largest
# similarity to a vector of the document, summed) depends on these two alone, whoever else is scored in the same call.
# The functions take lists of documents of unequal length and pad them; mteb's help says that its two
# ways of doing so give the same scores.
# Seen (transformers 5.24.0, ColPaliProcessor.score_retrieval; mteb 2.26.24, similarity_functions.max_sim): rows of
# zeros are put behind shorter documents and win the maximum wherever all similarities are negative. Five documents of
# two unit vectors: beside one of forty each scores up to twice what it scores alone, and the best of the first three
# becomes the last. sentence-transformers 6.2.0 (util.maxsim) masks the padding and scores as defined; PyLate 1.6.0's
# colbert_scores, by its code, puts zeros in place of masked rows as well.
# Similarities below 0 are common between items that do not match, above all after centring.
# So: score documents of one length together, or by sentence-transformers' maxsim.
# Source: stanford-futuredata/ColBERT issue 62 (known there since 2021); lightonai/pylate pull request 10 ("no point in
# masking"); neuml/txtai pull request 1215, which mended the same.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 mteb==2.26.24 \
  sentence-transformers==6.2.0 numpy==2.4.6
HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from mteb.similarity_functions import max_sim
from sentence_transformers.util import maxsim
from transformers import ColPaliProcessor

print({name: version(name) for name in ("transformers", "mteb", "sentence-transformers")})
draw = torch.Generator().manual_seed(0)


def vectors(count):
    return torch.nn.functional.normalize(torch.randn(count, 16, generator=draw), dim=1)


query = [vectors(8)]
documents = [vectors(2) for _ in range(5)]
longer = vectors(40)
exact = torch.stack([(query[0] @ d.T).max(1).values.sum() for d in documents])


def rounded(scores):
    return [round(v, 3) for v in scores.tolist()]


def retrieval(queries, docs):
    return ColPaliProcessor.score_retrieval(None, queries, docs)  # a method that reads nothing of its processor


ways = {"transformers": retrieval, "mteb": max_sim, "sentence-transformers": maxsim}
print("by the definition", rounded(exact))
padded = torch.stack([(query[0] @ d.T).max(1).values.clamp(min=0).sum() for d in documents])
for name, way in ways.items():
    alone, beside = way(query, documents)[0], way(query, [*documents, longer])[0, :5]
    print(f"{name}: {rounded(alone)}, beside a longer document {rounded(beside)}")
    assert torch.allclose(alone, exact, atol=1e-5), name
    assert torch.allclose(beside, exact if name == "sentence-transformers" else padded, atol=1e-5), name
assert exact[:3].argmax() == padded[:3].argmin() == 2
PY
