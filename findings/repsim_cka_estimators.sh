#!/usr/bin/env bash
# Guess, written down first: repsim.cka([x, y], "linear", estimator="song") is the centred kernel alignment by the
# unbiased estimate of HSIC, HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)): 1 for two copies of x, however few the items.
# Seen (repsim 0.1.5): two copies of 50 random rows of 768 columns have .06, beside a diagonal of ones; of 100 rows of
# 256: .27; of 1,000 rows of 10: .99. The same for estimator="lange" and for the kernel "rbf"; "gretton" is right. The
# numerator is by the estimate asked for, the denominator by the biased one, whatever was asked. So fewer items make all
# representations dissimilar, which is what the estimate is meant to mend. repsim.hsic by the same estimate is right, so
# the ratio can be formed from it (below).
# Also seen: linear CKA by "gretton" falls from .68 to .01 when both sides are multiplied by .0001.
# Source: Song et al. 2012, JMLR 13; Nguyen, Raghu, Kornblith 2021, arXiv 2010.15327, for CKA by that estimate.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" repsim==0.1.5 numpy==2.4.6
PYTHONPATH="$place" python3 - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import repsim

print("repsim", version("repsim"))
draw = np.random.default_rng(0)


def unbiased(x, y):
    """HSIC of Song et al., by its definition, with linear kernels."""
    n = len(x)
    k, l = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    whole = (k * l).sum() + k.sum() * l.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * k.sum(0) @ l.sum(0)
    return whole / (n * (n - 3))


def by_definition(x, y):
    return unbiased(x, y) / np.sqrt(unbiased(x, x) * unbiased(y, y))


def cka(x, y, estimator, kernel="linear"):
    return float(repsim.cka([x, y], kernel, estimator)[0, 1])


for n, width, seen in ((1000, 10, 0.989), (100, 256, 0.27), (50, 768, 0.06)):
    x = draw.normal(size=(n, width))
    copies = {e: cka(x, x.copy(), e) for e in ("gretton", "song", "lange")}
    print(f"two copies of {n} rows of {width}:", {e: round(v, 3) for e, v in copies.items()})
    assert abs(copies["gretton"] - 1) < 1e-9
    assert abs(copies["song"] - seen) < 0.02
    assert abs(copies["lange"] - seen) < 0.03
    assert cka(x, x.copy(), "song", "rbf") < 0.99
    assert repsim.cka([x, x.copy()], "linear", "song")[0, 0] == 1

x = draw.normal(size=(100, 64))
y = x + draw.normal(size=x.shape)
right, said = by_definition(x, y), cka(x, y, "song")
hsic, biased = (repsim.hsic([x, y], "linear", e) for e in ("song", "gretton"))
print(f"x and x + noise, 100 rows of 64: {said:.3f}, right {right:.3f}, biased {cka(x, y, 'gretton'):.3f}")
assert abs(hsic[0, 1] - unbiased(x, y)) < 1e-9 * abs(hsic[0, 1])
assert abs(hsic[0, 1] / np.sqrt(hsic[0, 0] * hsic[1, 1]) - right) < 1e-9
assert abs(hsic[0, 1] / np.sqrt(biased[0, 0] * biased[1, 1]) - said) < 1e-9
assert said < 0.75 * right

small, whole = cka(x * 1e-4, y * 1e-4, "gretton"), cka(x, y, "gretton")
print(f"by the biased estimate of both x .0001: {small:.3f} for {whole:.3f}")
assert small < 0.1 * whole
PYTHON
