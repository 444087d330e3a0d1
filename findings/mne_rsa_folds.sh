#!/usr/bin/env bash
# Guess, written down first: compute_rdm_cv of mne-rsa (and rdm_array, rsa_array and the rsa_* functions with n_folds above 1)
# measures each fold against the mean of all others, as its help says, and ignore_nan of rsa leaves out, for each matrix, the pairs that are NaN in it.
# Seen (mne-rsa 1.0): the mean that it takes leans towards the test fold instead of leaving it out: the sign of the correction
# is wrong. With two folds the training fold is the test fold, bit by bit, and the result the mean of both folds' own matrices:
# what the items of a fold share, drift over a recording, which cross-validation is asked for against, stays in. Of ten items
# that drift in each fold the distances correlate .63 with the time between them and .21 with the true distances, by hand -.07
# and .33; without folds .48 and .31. From three folds on it is between, with twenty still .33 for .00. NaN pairs of one matrix
# stay left out for all that come after it in the list: a model's correlation with the second matrix is -.51 for -.35; with
# n_jobs=2 it is right.
# So: the mean of cdist(mean of other folds, fold) by hand, and one call of rsa for each matrix with NaN.
# Source: mne_rsa/rdm.py, compute_rdm_cv: X_mean - (X_mean - X_test) / (n_folds - 1), where + is meant; mne_rsa/rsa.py, rsa_gen:
# masks = [m & data_mask for m in masks] inside of the loop.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 mne==1.13.2 nibabel==5.4.2
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps mne-rsa==1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from mne_rsa import compute_rdm, compute_rdm_cv, rsa
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

print("mne-rsa", version("mne-rsa"))
upper = np.triu_indices(10, 1)


def by_hand(folds, metric):
    tables = [cdist(np.delete(folds, i, axis=0).mean(0), folds[i], metric)[upper] for i in range(len(folds))]
    return np.mean(tables, axis=0)


draw = np.random.default_rng(0)
apart = upper[1] - upper[0]
for count in (2, 3, 5, 20):
    found = []
    for repeat in range(60):
        items = draw.normal(size=(10, 20))
        true = compute_rdm(items)
        folds = items + draw.normal(size=(count, 10, 20)).cumsum(1)
        seen, meant = compute_rdm_cv(folds), by_hand(folds, "correlation")
        tables = seen, meant, compute_rdm(folds.mean(0))
        found.append([spearmanr(table, other)[0] for table in tables for other in (apart, true)])
        if count == 2:
            assert np.allclose(seen, np.mean([compute_rdm(fold) for fold in folds], axis=0), rtol=1e-9)
            assert np.allclose(compute_rdm_cv(folds, "sqeuclidean"), np.mean([compute_rdm(fold, "sqeuclidean") for fold in folds], 0))
    seen, meant, whole = np.mean(found, axis=0).reshape(3, 2)
    print(f"{count} folds: correlation with time {seen[0]:.2f}, with the true distances {seen[1]:.2f}; by hand {meant[0]:.2f}, "
          f"{meant[1]:.2f}; of the mean of all {whole[0]:.2f}, {whole[1]:.2f}")
    assert seen[0] > whole[0] + 0.1 and abs(meant[0]) < 0.15 and meant[1] > seen[1] + 0.05

gaps, whole, model = draw.random((3, 45))
gaps[:30] = np.nan
alone = rsa(whole, model, ignore_nan=True)
second, first = rsa([gaps, whole], model, ignore_nan=True)[1], rsa([whole, gaps], model, ignore_nan=True)[0]
print(f"a matrix without NaN: alone {alone:.3f}, before one with NaN {first:.3f}, behind it {second:.3f}, by scipy on the "
      f"15 pairs of the other {spearmanr(whole[30:], model[30:])[0]:.3f}")
assert np.isclose(alone, first) and np.isclose(alone, spearmanr(whole, model)[0])
assert abs(second - alone) > 0.05 and np.isclose(second, spearmanr(whole[30:], model[30:])[0])
PYTHON
