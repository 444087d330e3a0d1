#!/usr/bin/env bash
# Guess, written down first: a collapsed model, for which all documents are alike, is at chance in every measure of the
# two rerankers' evaluators of sentence-transformers: the expected reciprocal rank of 1 positive among 10 is .293.
# Seen (sentence-transformers 6.2.0): RerankingEvaluator reports MRR@10 of 1.0, the best value, beside MAP .10 and
# nDCG@10 .454 of the same scores; CrossEncoderRerankingEvaluator reports MRR@10 of .10 for the same. MAP and nDCG share
# tied places out, MRR takes the first of one sort of the documents, where the positives were put first; the one sort
# keeps that order, the other turns it round. From 17 documents on torch's sort keeps no order, and MRR is 0 or whatever
# it happens to be. Ties are no rarity: vectors of bits, scores in half precision, documents that are equal.
# So: read MAP or nDCG of these evaluators, or add noise far below the resolution of the scores before MRR is read.
# Source: huggingface/sentence-transformers pull request 3989 (left as it is); mteb mended its own in pull request 5136.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" sentence-transformers==6.2.0 \
  torch==2.13.0 numpy==2.4.6
PYTHONPATH="$place" python3 -W ignore - <<'PYTHON'
import numpy as np
import sentence_transformers
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.sentence_transformer.evaluation import RerankingEvaluator
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

print("sentence-transformers", sentence_transformers.__version__)
words = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
one_point = SentenceTransformer(modules=[StaticEmbedding(words, embedding_weights=np.ones((1, 8), dtype="float32"))])


class OneScore(CrossEncoder):
    def __init__(self):
        torch.nn.Module.__init__(self)

    def predict(self, pairs, **_):
        return np.full(len(pairs), 0.5, dtype="float32")

    class model_card_data:
        @staticmethod
        def set_evaluation_metrics(*_, **__): ...


chance = np.mean([1 / (1 + i) for i in range(10)])
samples = [{"query": f"q{i}", "positive": [f"p{i}"], "negative": [f"n{i}{j}" for j in range(9)]} for i in range(20)]
by_points = RerankingEvaluator(samples, write_csv=False, show_progress_bar=False)(one_point)
by_scores = CrossEncoderRerankingEvaluator(samples, write_csv=False, show_progress_bar=False)(OneScore())
print("expected reciprocal rank", round(float(chance), 3))
for name, seen in (("embeddings", by_points), ("cross-encoder", by_scores)):
    print(name, {k: round(float(v), 3) for k, v in seen.items()})
assert by_points["mrr@10"] == 1.0
assert abs(by_scores["mrr@10"] - 0.1) < 1e-6
for seen in (by_points, by_scores):
    assert abs(seen["map"] - 0.1) < 1e-6
    assert abs(seen["ndcg@10"] - 0.454) < 1e-3
PYTHON
