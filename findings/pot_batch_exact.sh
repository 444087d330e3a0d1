#!/usr/bin/env bash
# Guess, from the help: ot.solve_batch(M) without reg, which its help says solves the unregularised problem by a
# proximal point method, is near ot.emd2 of each cost matrix, say within 5 %; at least it is far from the plan that sends
# every point everywhere, and one more iteration changes little.
# Seen (POT 0.9.7.post1), five times 10 against 15 normal points, the example of its help: the plan is the product of
# the marginals, to the last digits, and value its mean cost, 1.6 to 2.1 times the exact one for "euclidean" and 2.5 to
# 4.7 times for "sqeuclidean". Nothing warns, and the marginals are perfect. The last plan enters each step with the
# wrong sign, so that every second step takes the costs out again; whether the last is one of these depends on max_iter
# alone. With 1001 steps instead of 1000 it is Sinkhorn's plan for inner_reg, .001, far from converged: rows with up to
# 2.7 times their mass and a value below the minimum (that stays with the sign put right by hand; inner_reg=.1 is then
# exact to 4 %). Where it stops before 1000 (only steps with costs are looked at) it has found the entropic plan of .001:
# for costs of mean .002 that is 1.5 to 2.7 times the exact value. ot.batch.solve_sample_batch shares it.
# Also seen: dist_batch(X, metric="euclidean") of points with themselves has NaN on the diagonal where rounding made a
# square negative (numpy warns of a root, nobody of the value), and solve_batch's value is NaN then; ot.dist has 0.
# So: ot.emd2 in a loop, or a small reg with max_iter=10000 (below); no "euclidean" for clouds that share points.
# Source: PythonOT/POT issue 842 (the sign; pull request 844 mends it after this release); Xie et al. 2020, UAI,
# algorithm 1.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1
PYTHONPATH="$place" OMP_NUM_THREADS=1 python3 -W ignore - <<'PYTHON'
import numpy as np
import ot

print("POT", ot.__version__)
draw = np.random.default_rng(0)
x, y = draw.normal(size=(5, 10, 3)), draw.normal(size=(5, 15, 3))


def over(values, costs):
    return values / np.array([ot.emd2([], [], m) for m in costs])


for metric, least in (("euclidean", 1.5), ("sqeuclidean", 2.4)):
    costs = ot.dist_batch(x, y, metric)
    said, odd = ot.solve_batch(costs), ot.solve_batch(costs, max_iter=1001)
    mass = odd.plan.sum(2).max() * 10
    print(metric, "value / exact:", over(said.value, costs).round(2), "with 1001 steps", over(odd.value, costs).round(2))
    print(f"  plan / product of the marginals: {150 * said.plan.min():.6f} to {150 * said.plan.max():.6f}")
    print(f"  largest mass of a row with 1001 steps: {mass:.2f} of what it should be")
    assert np.abs(150 * said.plan - 1).max() < 1e-6
    assert np.allclose(said.value, costs.mean((1, 2)))
    assert over(said.value, costs).min() > least
    assert over(odd.value, costs).max() < 1
    assert mass > 1.5
    assert np.allclose(ot.batch.solve_sample_batch(x, y, metric=metric).value, said.value)
    cured = ot.solve_batch(costs, reg=0.01 * costs.mean(), max_iter=10000)
    print("  with a small reg:", over(cured.value_linear, costs).round(3))
    assert np.abs(over(cured.value_linear, costs) - 1).max() < 0.02

small = ot.dist_batch(x, y) * 0.002 / ot.dist_batch(x, y).mean()
said = ot.solve_batch(small)
print("costs of mean .002:", over(said.value, small).round(2), "after", said.log["n_iter"], "steps")
assert said.log["n_iter"] < 900
assert over(said.value, small).min() > 1.3
entropic = [ot.solve(m, reg=0.001, reg_type="entropy", max_iter=10000, tol=1e-9).value_linear for m in small]
assert np.allclose(said.value, entropic, rtol=1e-3)

clouds = draw.normal(size=(20, 50, 64))
costs = ot.dist_batch(clouds, metric="euclidean")
lost = np.isnan(costs).sum((1, 2))
print("NaN among the 50 distances of points to themselves:", lost.min(), "to", lost.max())
assert lost.sum() > 0 and lost.sum() == np.isnan(np.einsum("bii->bi", costs)).sum()
assert not any(np.isnan(ot.dist(c, metric="euclidean")).any() for c in clouds)
assert (np.isnan(ot.solve_batch(costs, reg=0.1).value) == (lost > 0)).all()
PYTHON
