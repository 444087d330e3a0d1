#!/usr/bin/env bash
# Guess, written down first: POT's distances to the uniform distribution on the circle and the sphere, which tell how
# evenly unit vectors are spread, stay the same when a point of weight k / n is written k times, and in whatever order
# the points come.
# Seen (POT 0.9.7.post1): with weights they do not. ot.sliced_wasserstein_sphere_unif of 400 points of the sphere, the
# northern half with nine times the weight, is .028 where the copies have .091 and equal weights .021; the same rows
# sorted by height: .117. ot.semidiscrete_wasserstein2_unif_circle, which it averages, sorts the values and leaves the
# weights as they came: .0090 for .0036 of 20 random points, as a linear program measures it. Sorted points are right,
# equal weights too. ot.sliced_wasserstein_sphere and ot.wasserstein_circle carry the weights along.
# ot.linear_circular_ot, which sorts both, is .059 for three points where .022 is right (to the uniform distribution the
# linearised distance is the distance itself), .088 once they are turned by a third of the circle, and right when each
# point is written 100 times: its quantiles are those of the next point, an error of the order of one weight.
# So: sort points and weights together, and write points several times for linear_circular_ot.
# Source: Bonet et al. 2023, arXiv 2206.08780, prop. 1 (of sorted points); Martin et al. 2024, LCOT, ICLR.
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
grid = (np.arange(2000) + 0.5) / 2000
even = np.full(2000, 1 / 2000)


def exact(u, weights):
    """The squared distance to the uniform distribution on the circle, by a linear program over 2,000 places."""
    apart = np.abs(u[:, None] - grid)
    return ot.emd2(weights, even, np.minimum(apart, 1 - apart) ** 2, numItermax=10**7)


def circle(u, weights=None):
    return ot.semidiscrete_wasserstein2_unif_circle(u, u_weights=weights).item()


u, times = draw.random(20), draw.integers(1, 10, 20)
weights, order = times / times.sum(), np.argsort(u)
said, right = circle(u, weights), exact(u, weights)
print(f"circle, 20 points: with weights {said:.5f}, copies {circle(np.repeat(u, times)):.5f}, right {right:.5f}")
assert abs(said / right - 1) > 0.05
for value in (
    circle(np.repeat(u, times)),
    circle(u[order], weights[order]),
    ot.wasserstein_circle(u, grid, u_weights=weights, v_weights=even, p=2).item(),
):
    assert abs(value - right) < 1e-6
assert abs(circle(u) - exact(u, np.full(20, 1 / 20))) < 1e-6


def sphere(x, weights=None):
    return float(ot.sliced_wasserstein_sphere_unif(x, a=weights, n_projections=500, seed=0))


def unit(n):
    x = draw.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


x, sample = unit(400), unit(4000)
times = np.where(x[:, 2] > 0, 9, 1)
weights, order = times / times.sum(), np.argsort(x[:, 2])
copies, said, turned = sphere(np.repeat(x, times, 0)), sphere(x, weights), sphere(x[order], weights[order])
peer = float(ot.sliced_wasserstein_sphere(x, sample, a=weights, n_projections=500, seed=0))
print(f"sphere: with weights {said:.3f}, sorted by height {turned:.3f}, equal weights {sphere(x):.3f}")
print(f"  copies {copies:.3f}, against a uniform sample {peer:.3f}")
assert abs(copies - peer) < 3e-3
assert said < 0.5 * copies
assert turned > 1.1 * copies

u = np.array([0.55, 0.7, 0.95])
right, said, turned = exact(u, np.full(3, 1 / 3)), *(ot.linear_circular_ot((u + t) % 1).item() for t in (0, 1 / 3))
copies = ot.linear_circular_ot(np.repeat(u, 100)).item()
print(f"linear, 3 points: {said:.4f}, turned {turned:.4f}, copies {copies:.4f}, right {right:.4f}")
assert abs(copies - right) < 1e-3
assert said > 2 * right
assert abs(turned - said) > 0.1 * said
PYTHON
