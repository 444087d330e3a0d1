#!/usr/bin/env bash
# Guess, written down first: mine_hard_negatives of sentence-transformers finds the documents that the model itself scores
# highest after the right one, by its own similarity function (its help of output_scores: what the model computes), and
# use_faiss=True is the same search, only faster.
# Seen (sentence-transformers 6.2.0): embeddings are normalised first, whatever similarity_fn_name is. For a model of dot
# products whose lengths differ by a factor of ten two fifths of the five hardest negatives are found, and the scores
# that come back, which losses such as MarginMSE take as targets, are cosines; by euclidean and manhattan about half are
# found. With use_faiss=True negatives get inner products while the right documents keep -distance: for those two each
# margin is measured between a number below 0 and one above, so absolute_margin=.1 or relative_margin=.05 leaves none of
# 1,350 negatives and more, with a remark that not enough were found. By cosine all is as guessed.
# So: mine with your own search where the model is not one of cosines, and never mix use_faiss with distances.
# Source: sentence_transformers/util/hard_negatives.py (normalize_embeddings=True, IndexFlatIP, similarity_pairwise);
# huggingface/sentence-transformers pull request 2944, which brought the normalising for faiss.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: \
    numpy==2.4.6 torch==2.13.0 sentence-transformers==6.2.0 datasets==5.2.0 faiss-cpu==1.15.1
HF_HUB_OFFLINE=1 "$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
from importlib.metadata import version

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

logging.disable(logging.CRITICAL)
disable_progress_bars()
print("sentence-transformers", version("sentence-transformers"))
draw = np.random.default_rng(0)
n, width, wanted = 300, 16, 5
documents = draw.normal(size=(n, width))
documents *= draw.uniform(0.3, 3, size=(n, 1)) / np.linalg.norm(documents, axis=1, keepdims=True)
queries = documents + 0.3 * draw.normal(size=(n, width))
rows = torch.tensor(np.concatenate([queries, documents]), dtype=torch.float32)
asked, told = [f"q{i}" for i in range(n)], [f"d{i}" for i in range(n)]


class Table(torch.nn.Module):
    """An encoder that looks its vectors up: q7 and d7 are the eighth query and document."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def preprocess(self, texts, **_):
        return {"row": torch.tensor([int(text[1:]) + n * (text[0] == "d") for text in texts])}

    tokenize = preprocess

    def forward(self, features, **_):
        return features | {"sentence_embedding": rows[features["row"]]}

    def get_embedding_dimension(self):
        return width

    get_sentence_embedding_dimension = get_embedding_dimension


seen = {}
for metric in ("cosine", "dot", "euclidean", "manhattan"):
    model = SentenceTransformer(modules=[Table()], similarity_fn_name=metric, device="cpu")
    scores = model.similarity(model.encode(asked), model.encode(told)).numpy()
    hardest = np.argsort(-np.where(np.eye(n), -np.inf, scores), axis=1)[:, :wanted]
    for use_faiss in (False, True):
        for margin in ({}, {"absolute_margin": 0.1}, {"relative_margin": 0.05}):
            mined = mine_hard_negatives(
                Dataset.from_dict({"query": asked, "document": told}), model, num_negatives=wanted, range_max=30,
                use_faiss=use_faiss, output_scores=True, verbose=False, **margin,
            )
            found = {(int(q[1:]), int(d[1:])) for q, d in zip(mined["query"], mined["negative"])}
            share = np.mean([(i, j) in found for i, row in enumerate(hardest.tolist()) for j in row])
            off = max((abs(s[1] - scores[int(q[1:]), int(d[1:])])
                       for q, d, s in zip(mined["query"], mined["negative"], mined["scores"])), default=0.0)
            seen[metric, use_faiss, *margin] = len(mined), float(share), float(off)
            print(f"{metric}, use_faiss={use_faiss}, {margin}: {len(mined)} negatives, of the hardest {share:.2f}, "
                  f"scores off by {off:.2f} at most", flush=True)
for use_faiss in (False, True):
    count, share, off = seen["cosine", use_faiss]
    assert count == wanted * n and share == 1 and off < 1e-5
    for metric in ("dot", "euclidean", "manhattan"):
        count, share, off = seen[metric, use_faiss]
        assert count == wanted * n and share < 0.65 and off > 1
    for margin in ("absolute_margin", "relative_margin"):
        assert seen["cosine", use_faiss, margin][0] > 1300
        for metric in ("euclidean", "manhattan"):
            assert (seen[metric, use_faiss, margin][0] == 0) == use_faiss
PYTHON
