#!/usr/bin/env bash
# Guess, written down first: pearson_corrcoef of torchmetrics is Pearson's correlation where both columns vary, as scipy has it, and NaN,
# with the warning about it, where one is constant or nearly so. Units do not matter, and one large value neither.
# Seen (torchmetrics 1.9.0): a column counts as constant where its variance is below .00035 of the square of its largest deviation.
# One outlier of 3,000 numbers does that: NaN for 1.000; three rare labels of 10,000, of which the other column has one more: NaN for
# .866; sizes whose logarithms are normal (deviation 3), 10,000 of them: NaN for .979. 1,000 of each are right, so a metric that was
# right for one batch is NaN for a whole set. The concordance coefficient is built on it and has the same. In double precision the
# limit is 1.5e-8 and all are right.
# So: .double() before it, or scipy.stats.pearsonr.
# Source: torchmetrics/functional/regression/pearson.py: var_x * max_abs_dev_x ** -2 is compared with sqrt(eps); Lightning-AI/torchmetrics
# issue 3150 (small units) and pull request 3152, which brought the deviation.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 scipy==1.17.1 torchmetrics==1.9.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
import torchmetrics
from scipy.stats import pearsonr
from torchmetrics.functional import concordance_corrcoef, pearson_corrcoef

print("torchmetrics", torchmetrics.__version__)


def outlier(n):
    draw = np.random.default_rng(0)
    first = draw.normal(size=n)
    first[0] = 1000
    return first, first + 0.1 * draw.normal(size=n)


def rare(n):
    return (np.arange(n) < 3).astype(float), (np.arange(n) < 4).astype(float)


def sizes(n):
    draw = np.random.default_rng(0)
    first = np.exp(3 * draw.normal(size=n))
    return first, first * np.exp(0.3 * draw.normal(size=n))


for make, large in ((outlier, 3000), (rare, 10000), (sizes, 10000)):
    for n in (1000, large):
        pair = [torch.tensor(column, dtype=torch.float32) for column in make(n)]
        right = pearsonr(*(column.double().numpy() for column in pair))[0]
        seen, concordance = float(pearson_corrcoef(*pair)), float(concordance_corrcoef(*pair))
        double = float(pearson_corrcoef(*(column.double() for column in pair)))
        print(f"{make.__name__}, {n}: {seen:.3f}, concordance {concordance:.3f}, in double precision {double:.3f}, scipy {right:.3f}")
        assert abs(double - right) < 1e-6 and np.isnan(concordance) == np.isnan(seen)
        assert np.isnan(seen) if n == large else abs(seen - right) < 1e-3
PYTHON
