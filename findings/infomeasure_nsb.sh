#!/usr/bin/env bash
# Guess, written down first: entropy(approach="nsb") of infomeasure is the estimate of Nemenman, Shafee and Bialek: the mean of
# the entropy under a prior that is nearly uniform in it, over Dirichlet parameters from 0 on without an end; for few data
# nearer to the truth than that of the frequencies, and NaN, as its help says, where no value occurs twice.
# kullback_leiber_divergence is never negative, and infinite where the second sample lacks a value of the first.
# Seen (infomeasure 0.6.3): NaN for all samples of 200 observations and more that were tried, 200 coin tosses too, and for some
# of 150; mutual information by "nsb" with it. Below that it is about the entropy of the frequencies, whose bias it is to mend:
# of 100 draws of 50 equal values 3.69, by frequencies 3.65, by the integral 3.86, true 3.91; of 50 draws of 10 values 2.20,
# 2.21, 2.25 and 2.30. Each value weighs its count once more in the likelihood, the parameter is integrated from 0 to log(K),
# which is the range of the entropy, and what is taken off against overflow is the extremum of another function. The divergence
# leaves values out that the second sample lacks: -.64 for 3 values against 2 of them.
# So: approach="grassberger" or "chao_shen" for few data; supports compared before divergences are.
# Source: infomeasure/estimators/entropy/nsb.py, _neg_log_rho: counts * (...), _simple_entropy: quad(..., 0, log_K), _find_l0;
# discrete.py, _cross_entropy: intersection.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check infomeasure==0.6.3 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
from importlib.metadata import version

import infomeasure
import numpy as np
from scipy.special import gammaln, polygamma, psi

logging.disable(logging.CRITICAL)
print("infomeasure", version("infomeasure"))


def integral(sample, size):
    """NSB's mean of the entropy, on a grid of logarithms of the parameter."""
    counts = np.bincount(sample, minlength=size)[:, None]
    log = np.linspace(-12, 12, 20001)
    beta, total = np.exp(log), len(sample)
    prior = np.log(size * polygamma(1, size * beta + 1) - polygamma(1, beta + 1)) + log
    weight = prior + gammaln(size * beta) - gammaln(total + size * beta) + (gammaln(counts + beta) - gammaln(beta)).sum(0)
    weight = np.exp(weight - weight.max())
    share = (counts + beta) / (total + size * beta)
    mean = psi(total + size * beta + 1) - (share * psi(counts + beta + 1)).sum(0)
    return float((weight * mean).sum() / weight.sum())


draw = np.random.default_rng(0)
for size, total in ((10, 30), (10, 50), (10, 100), (50, 100)):
    told, plain, right = [], [], []
    for _ in range(20):
        sample = draw.integers(size, size=total)
        told.append(infomeasure.entropy(sample, approach="nsb", K=size))
        plain.append(infomeasure.entropy(sample, approach="discrete"))
        right.append(integral(sample, size))
    print(f"{total} draws of {size} values: nsb {np.mean(told):.3f}, frequencies {np.mean(plain):.3f}, the integral {np.mean(right):.3f}, "
          f"true {np.log(size):.3f}")
    assert np.mean(told) < np.mean(right) - 0.008 and np.mean(plain) < np.mean(right) < np.log(size) + 0.02
for size, total in ((2, 200), (10, 200), (50, 1000)):
    sample = draw.integers(size, size=total)
    told = infomeasure.entropy(sample, approach="nsb", K=size)
    print(f"{total} draws of {size} values: nsb {told}, the integral {integral(sample, size):.3f}")
    assert np.isnan(told)
told = infomeasure.mutual_information(sample, sample, approach="nsb")
assert np.isnan(told)
told = infomeasure.kullback_leiber_divergence(np.tile([0, 1, 2], 40), np.tile([0, 1], 60), approach="discrete")
print(f"divergence of 3 values from 2 of them: {told:.3f}")
assert told < -0.5
PYTHON
