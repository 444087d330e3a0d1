#!/usr/bin/env bash
# Guess, written down first: RetrievalMAP(top_k=5) of torchmetrics is MAP@5 as trec_eval's map_cut_5, ranx and
# sentence-transformers have it: precisions at the hits among the first five, over the number of relevant items, here
# five; so who finds more does not score less. RetrievalAUROC(top_k=5) is best, 1, for a perfect ranking.
# Seen (torchmetrics 1.9.0): the sum is divided by the hits among the first k alone, so what is missed costs nothing. Of
# pictures with five captions each, a model that puts one caption first and loses the other four has MAP@5 .99 and
# trec_eval says .21; one that has 3.4 of the five among the first five has .95, trec_eval .64: the order of the two is
# turned round. Without top_k it is as elsewhere. RetrievalAUROC(top_k=5) of a perfect ranking is 0, the worst value,
# since there is no wrong item among the five.
# So: MAP without top_k, or another program's, where an item has more than one partner; and no AUROC of the first k.
# Source: torchmetrics/functional/retrieval/average_precision.py (mean over positions of hits) and auroc.py;
# pyg-team/pytorch_geometric issue 9989 met the difference and left open who is right; torchmetrics pull request 1501.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0 \
    pytrec_eval-terrier==0.5.11
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pytrec_eval
import torch
import torchmetrics
from torchmetrics.retrieval import RetrievalAUROC, RetrievalMAP

print("torchmetrics", torchmetrics.__version__)
draw = np.random.default_rng(0)
pictures, each = 100, 5
owner = np.repeat(np.arange(pictures), each)
relevant = owner == np.arange(pictures)[:, None]
chance = draw.uniform(0.1, 0.5, size=relevant.shape)
one = chance + 0.5 * (relevant & (np.arange(len(owner)) % each == 0))
most = draw.normal(size=relevant.shape)
most = 0.05 + 0.1 * (most - most.min() + 3.2 * relevant)
perfect = chance + relevant


def torch_metric(metric, scores):
    query = torch.arange(pictures)[:, None].expand(-1, len(owner))
    return float(metric(torch.tensor(scores, dtype=torch.float32), torch.tensor(relevant), query))


def trec(name, scores):
    judged = {str(i): {str(j): int(v) for j, v in enumerate(row)} for i, row in enumerate(relevant)}
    run = {str(i): {str(j): float(v) for j, v in enumerate(row)} for i, row in enumerate(scores)}
    told = pytrec_eval.RelevanceEvaluator(judged, {"map", "map_cut.5", "recall.5"}).evaluate(run)
    return float(np.mean([row[name] for row in told.values()]))


seen = {}
for name, scores in (("one caption of five", one), ("most of them", most), ("perfect", perfect)):
    cut, full = torch_metric(RetrievalMAP(top_k=5), scores), torch_metric(RetrievalMAP(), scores)
    area = torch_metric(RetrievalAUROC(top_k=5), scores)
    seen[name] = cut, trec("map_cut_5", scores), full, trec("map", scores), trec("recall_5", scores), area
    print(f"{name}: MAP@5 %.2f, trec_eval %.2f; MAP %.3f, trec_eval %.3f; recall@5 %.2f; AUROC@5 %.2f" % seen[name])
    assert abs(full - seen[name][3]) < 1e-4
one, most = seen["one caption of five"], seen["most of them"]
assert one[0] > most[0] + 0.02 and one[1] < most[1] - 0.35 and one[4] < most[4] - 0.35
assert seen["perfect"][:2] == (1.0, 1.0) and seen["perfect"][5] == 0.0
PYTHON
