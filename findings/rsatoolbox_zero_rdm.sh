#!/usr/bin/env bash
# Guess, written down first: compare of rsatoolbox gives for two sets of dissimilarity matrices a table whose entry (i, j) is the
# similarity of the i-th and the j-th, the same as if both were compared alone.
# Seen (rsatoolbox 0.3.2): so it is until one matrix of either set is all zeros (equal activations), or for "corr" and "spearman"
# all one number (a model that does not tell conditions apart). Then by "cosine", "corr", "spearman" and both of them with _cov
# the similarities of the others are written to places that are not theirs: of four models and noisy copies of them, two to
# four have another copy as their nearest, where each alone has its own, with a correlation of .99; entries are up to 1.3 off. The row of zeros itself is right, and so are tau-a, tau-b and rho-a. Nothing tells it.
# So: leave constant matrices out before, or take "rho-a" or "tau-a".
# Source: rsatoolbox/rdm/compare.py, _cosine: np.putmask(cos, mask, cos_ok) fills by position in the whole table; np.place, or
# cos[mask] = cos_ok.ravel(), fill in order.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check rsatoolbox==0.3.2 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
    pandas==3.1.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from rsatoolbox.rdm import RDMs, compare

print("rsatoolbox", version("rsatoolbox"))
draw = np.random.default_rng(0)
conditions, models = 8, 4
pairs = conditions * (conditions - 1) // 2
truth = draw.random((models, pairs))
noisy = truth + 0.1 * draw.random((models, pairs))
seen = {}
for constant in (0.0, 0.5):
    measured = np.concatenate([np.full((1, pairs), constant), noisy])
    for method in ("cosine", "corr", "spearman", "cosine_cov", "corr_cov", "tau-a", "rho-a"):
        table = compare(RDMs(truth), RDMs(measured), method=method)
        turned = compare(RDMs(measured), RDMs(truth), method=method).T
        alone = np.array([[compare(RDMs(a[None]), RDMs(b[None]), method=method)[0, 0] for b in measured] for a in truth])
        without = compare(RDMs(truth), RDMs(noisy), method=method)
        assert np.allclose(without, alone[:, 1:], atol=0.01) and (without.argmax(1) == np.arange(models)).all()
        off = [float(np.abs(t - alone)[:, 1:].max()) for t in (table, turned)]
        named = [int((t[:, 1:].argmax(1) == np.arange(models)).sum()) for t in (table, turned, alone)]
        seen[constant, method] = off, named
        print(f"one matrix all {constant}, {method}: up to {off[0]:.2f} and {off[1]:.2f} off; models that have their copy as the "
              f"nearest {named[0]} and {named[1]} of {models}, compared alone {named[2]} (least {alone[:, 1:].diagonal().min():.2f})")
for (constant, method), (off, named) in seen.items():
    wrong = method in ("corr", "spearman", "corr_cov") or (constant == 0 and method.startswith("cosine"))
    assert named[2] == models and ((min(off) > 0.25 and max(named[:2]) < models) if wrong else max(off) < 0.01)
PYTHON
