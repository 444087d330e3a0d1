#!/usr/bin/env bash
# Guess, written down first: pairwise_euclidean_distance of torchmetrics is 0, or nearly, for two equal rows, so a query that is a
# stored row finds it first, and no distance is NaN.
# Seen (torchmetrics 1.9.0): of 2,000 unit rows of 64 columns .06 have a distance of NaN to themselves in single precision, .34 in
# double: |x|^2 + |y|^2 - 2 x y is a little below 0 after rounding, and the root is taken of it as it is. NaN is sorted
# behind all numbers: these queries find their own row last of 2,000 (torch.cdist: all first), and reduction="mean" is NaN for them.
# Without a second set of rows the diagonal alone is set to 0; among 2,000 rows and 200 of them again, as of frames of a film
# or captions that repeat, NaN stands for the distance of .06 of the equal pairs (.34). Halves have none, since the value is rounded to 0.
# So: torch.cdist, or .nan_to_num(0) where no input is NaN.
# Source: torchmetrics/functional/pairwise/euclidean.py: distance.sqrt() of a value that is not held at 0 or above. Lightning-AI/torchmetrics
# issue 1351 met NaN in 2022 and was closed by the sums in double precision.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import torch
import torchmetrics
from torchmetrics.functional import pairwise_euclidean_distance

print("torchmetrics", torchmetrics.__version__)
torch.manual_seed(0)
n, again = 2000, 200
for kind in (torch.float32, torch.float64):
    rows = torch.nn.functional.normalize(torch.randn(n, 64, dtype=kind), dim=1)
    distances, right = pairwise_euclidean_distance(rows, rows.clone()), torch.cdist(rows, rows)
    lost = distances.isnan()
    place = (distances.argsort(1) == torch.arange(n)[:, None]).int().argmax(1)
    means = pairwise_euclidean_distance(rows, rows.clone(), reduction="mean").isnan()
    repeated = pairwise_euclidean_distance(torch.cat([rows, rows[:again]])).isnan()[torch.arange(again), n + torch.arange(again)]
    print(f"{kind}: NaN for itself {lost.diagonal().float().mean():.3f}, elsewhere {int(lost.sum() - lost.diagonal().sum())}; own row first "
          f"{(place == 0).float().mean():.3f}, last {(place == n - 1).float().mean():.3f}, by cdist first "
          f"{(right.argmin(1) == torch.arange(n)).float().mean():.3f}; means that are NaN {means.float().mean():.3f}; "
          f"NaN for rows that come again {repeated.float().mean():.3f}")
    share = lost.diagonal().float().mean()
    assert 0.02 < share < 0.5 and lost.sum() == lost.diagonal().sum() and torch.equal(means, lost.diagonal())
    assert torch.equal(place == n - 1, lost.diagonal()) and (right.argmin(1) == torch.arange(n)).all()
    assert 0.02 < repeated.float().mean() < 0.5
half = torch.nn.functional.normalize(torch.randn(n, 64), dim=1).half()
assert not pairwise_euclidean_distance(half, half.clone()).isnan().any()
PYTHON
