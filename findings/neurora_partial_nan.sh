#!/usr/bin/env bash
# Guess, written down first: rdms_partialcorr and fmrirdms_partialcorr of NeuroRA (new in 2.0) give for each model matrix its
# partial Spearman correlation with the data matrix, the others held fixed, and NaN only where it is undefined.
# Seen (NeuroRA 2.0.1 with pingouin 0.7.0, what pip installs): every value is NaN, with one model as with several, and so is
# every permutation of rdms_partialcorr_perm. pingouin renamed its column "p-val" to "p_val"; NeuroRA asks for the old name
# inside of a try whose except, meant for constant matrices, fills in NaN, the coefficient that was already there included.
# Nothing tells it. With pingouin 0.5.5 the values are right.
# So: pingouin==0.5.5 beside NeuroRA.
# Source: neurora/corr_cal_by_rdm.py, _compute_single_target_partialcorr: result["p-val"], except Exception.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cat > "$place/try.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from neurora.corr_cal_by_rdm import rdms_corr, rdms_partialcorr
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

print("NeuroRA", version("neurora"), "pingouin", version("pingouin"))
draw = np.random.default_rng(0)
first, second = draw.normal(size=(2, 12, 5))
models = np.stack([cdist(part, part) for part in (first, second)])
data = np.stack([cdist(part, part) for part in first + draw.normal(size=(6, 12, 5))])[:, None, None]
seen = rdms_partialcorr(models, data)[..., 0].reshape(6, 2)
alone = rdms_partialcorr(models[:1], data)[..., 0].ravel()
plain = rdms_corr(models, data)[..., 0].reshape(6, 2)
upper = np.triu_indices(12, 1)
right = []
for table in data[:, 0, 0]:
    d, a, b = np.corrcoef([rankdata(part[upper]) for part in (table, *models)])
    right.append(((d[1] - d[2] * a[2]) / np.sqrt((1 - d[2] ** 2) * (1 - a[2] ** 2)),
                  (d[2] - d[1] * a[2]) / np.sqrt((1 - d[1] ** 2) * (1 - a[2] ** 2))))
print("partial correlations", seen[0], "right", np.array(right[0]), "plain", plain[0])
assert np.isfinite(plain).all()
if sys.argv[1] == "new":
    assert np.isnan(seen).all() and np.isnan(alone).all()
else:
    assert np.allclose(seen, right) and np.allclose(alone, plain[:, 0])
PYTHON
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.8.0 pandas==2.3.3 \
  neurora==2.0.1 pingouin==0.7.0
"$place/env/bin/python" -W ignore "$place/try.py" new 2>/dev/null
"$place/env/bin/pip" install -q --disable-pip-version-check pingouin==0.5.5
"$place/env/bin/python" -W ignore "$place/try.py" old 2>/dev/null
