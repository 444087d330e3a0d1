#!/usr/bin/env bash
# Guess, written down first: hit_rate and reciprocal_rank of torcheval count what stands before the target. Items with the target's
# score share its places, so that a model that tells nothing has the scores of chance; a model that has diverged has NaN or 0.
# Seen (torcheval 0.0.7): an item counts only if its score is greater. A constant model has hit rate @1 and reciprocal rank 1,
# those of a perfect one, and so has one whose scores are all NaN, since nothing is greater than NaN: a training that
# diverges ends with the best value there is, and early stopping keeps it. Half precision makes ties as well: of 5,000
# captions in a cone, with cosines of .93 to .99, the same embeddings have a hit rate @1 of .29 in single precision, .31 in
# float16 and .50 in bfloat16, where ties drawn by chance make .21; reciprocal rank .40, .43, .61 and .32. Nothing tells it.
# So: scores in single precision; refuse NaN; and ties drawn by chance, as below.
# Source: torcheval/metrics/functional/ranking/hit_rate.py and reciprocal_rank.py: torch.gt(input, y_score).sum(dim=-1).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torcheval==0.0.7 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from torch.nn.functional import normalize
from torcheval.metrics.functional import hit_rate, reciprocal_rank

print("torcheval", version("torcheval"), "torch", torch.__version__)
torch.manual_seed(0)
n, width = 5000, 64
target = torch.arange(n)


def told(scores):
    return [float(metric(scores, target).float().mean()) for metric in (lambda s, t: hit_rate(s, t, k=1), reciprocal_rank)]


def expected(scores):
    """Both, with ties drawn by chance."""
    own = scores.gather(1, target[:, None])
    greater, equal = (scores > own).sum(1), (scores == own).sum(1)
    inverse = torch.cat([torch.zeros(1), (1 / torch.arange(1, n + 1).double()).cumsum(0)])
    rank = (inverse[greater + equal] - inverse[greater]) / equal
    return [float(torch.where(greater == 0, 1 / equal, torch.zeros(n)).mean()), float(rank.mean())]


cone = 8 * normalize(torch.randn(1, width), dim=1)
shared = normalize(torch.randn(n, width), dim=1)
images, captions = (normalize(cone + shared + 1.2 * normalize(torch.randn(n, width), dim=1), dim=1) for _ in range(2))
seen = {}
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    scores = images.to(dtype) @ captions.to(dtype).T
    seen[dtype] = told(scores), expected(scores)
    print(f"{dtype}, cosines {float(scores.min()):.2f} to {float(scores.max()):.2f}: hit rate @1 and reciprocal rank "
          f"{seen[dtype][0][0]:.3f}, {seen[dtype][0][1]:.3f}; expected {seen[dtype][1][0]:.3f}, {seen[dtype][1][1]:.3f}")
for name, scores in (("constant", torch.zeros(n, n)), ("NaN", torch.full((n, n), torch.nan))):
    seen[name] = told(scores)
    print(f"{name}: {seen[name]}", f"expected {expected(scores)[0]:.4f}, {expected(scores)[1]:.4f}" if name == "constant" else "")
    assert seen[name] == [1, 1]
single, coarse = seen[torch.float32], seen[torch.bfloat16]
assert abs(single[0][0] - single[1][0]) < 0.002
assert all(low + 0.08 < high for low, high in zip(coarse[1], coarse[0])) and coarse[0][0] > single[0][0] + 0.15
PYTHON
