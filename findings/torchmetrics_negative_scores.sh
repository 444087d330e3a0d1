#!/usr/bin/env bash
# Guess, written down first: RetrievalMRR and RetrievalMAP of torchmetrics rank by score alone, so adding a constant to
# all scores of a query changes nothing; a perfect ranking scores 1.
# Seen (torchmetrics 1.9.0): relevant items with a score of 0 or less count as not relevant, so a perfect ranking by
# negative scores (cosines, log-probabilities) has MRR, MAP and recall@k of 0, while hit rate and nDCG of it are 1.
# Also seen: procrustes_disparity of a set of equal points warns and returns 0, the best value, where scipy raises; and it
# returns a tuple there, though only the disparity was asked for.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/env/bin/python" - <<'PYTHON'
import torch
import torchmetrics
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_normalized_dcg, retrieval_recall
from torchmetrics.functional.shape import procrustes_disparity
from torchmetrics.retrieval import RetrievalMAP, RetrievalMRR

print("torchmetrics", torchmetrics.__version__)
scores, relevant, query = torch.tensor([-0.1, -0.2, -0.3]), torch.tensor([1, 0, 0]), torch.zeros(3).long()
for metric in (RetrievalMRR, RetrievalMAP):
    low, high = float(metric()(scores, relevant, query)), float(metric()(scores + 1, relevant, query))
    print(metric.__name__, "of scores below 0:", low, "of the same plus 1:", high)
    assert (low, high) == (0.0, 1.0)
assert float(retrieval_recall(scores, relevant, top_k=1)) == 0.0
assert float(retrieval_hit_rate(scores, relevant, top_k=1)) == float(retrieval_normalized_dcg(scores, relevant)) == 1.0
points = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 0.0]]])
collapsed = procrustes_disparity(points, torch.ones_like(points))
print("procrustes_disparity of a set of equal points:", collapsed)
assert isinstance(collapsed, tuple)
assert float(collapsed[0]) == 0.0
PYTHON
