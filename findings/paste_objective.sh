#!/usr/bin/env bash
# Guess, written down first: pairwise_align(return_obj=True) of PASTE (fused Gromov-Wasserstein alignment of tissue slices)
# gives the value of its problem, (1 - alpha) <M, plan> + alpha GW(plan), beside the plan: 0 for a turned copy of a slice, never
# below, and larger for a slice that is less like it, so that values compare slices as ot.gromov's do.
# Seen (paste-bio 1.4.0 with POT 0.9.4): -10.1 for the copy, -9.9 for the same tissue, and -8.8 and -8.4 for two others whose
# values are .88 and .64, so that the order is wrong, too; with dissimilarity="euclidean" 502 for 129. The step of the search
# along a line is taken without the part of M and the weight alpha, and the value is updated by that step: the gain of the
# structure counts fully, that of the features not at all. Plans are sound: theirs is the value that POT reaches. center_align
# stops by the same numbers and leaves them in uns["obj"]. With POT 0.9.5 and newer, which paste-bio does not rule out,
# pairwise_align raises a TypeError.
# So: the value from the plan.
# Source: paste/PASTE.py, my_fused_gromov_wasserstein: solve_gromov_linesearch(G, deltaG, cost_G, C1, C2, M=0., reg=1.).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==1.26.4 scipy==1.13.1 scikit-learn==1.5.2 POT==0.9.4 \
  anndata==0.10.9 pandas==2.2.3 matplotlib==3.9.4 seaborn==0.13.2
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps paste-bio==1.4.0
cat > "$place/try.py" <<'PYTHON'
import sys
from importlib.metadata import version

import anndata
import numpy as np
import ot
import paste

print("paste-bio", version("paste-bio"), "POT", ot.__version__)
draw = np.random.default_rng(0)
spots = np.stack(np.meshgrid(range(10), range(10)), -1).reshape(-1, 2).astype(float)
turned = spots @ np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
region = (spots[:, 0] > 4).astype(int) + 2 * (spots[:, 1] > 4)
rates = draw.gamma(2, 2, size=(2, 4, 30))
first = draw.poisson(rates[0][region]).astype(float)
slices = {
    "a turned copy": first,
    "the same tissue": draw.poisson(rates[0][region]).astype(float),
    "another tissue": draw.poisson(rates[1][region]).astype(float),
    "its spots in another order": first[draw.permutation(100)],
}


def slice_of(counts, places):
    made = anndata.AnnData(counts, obsm={"spatial": places.copy()})
    made.var_names = [f"gene {i}" for i in range(30)]
    return made


def value(plan, features, alpha):
    a, b = (ot.dist(part, part, metric="euclidean") for part in (spots, turned))
    structure = (a**2 @ plan.sum(1)) @ plan.sum(1) + (b**2 @ plan.sum(0)) @ plan.sum(0) - 2 * np.sum((a @ plan @ b) * plan)
    return (1 - alpha) * np.sum(plan * features) + alpha * structure


def divergences(x, y):
    x, y = ((part + 0.01) / (part + 0.01).sum(1, keepdims=True) for part in (x, y))
    return (x * np.log(x)).sum(1)[:, None] - x @ np.log(y).T


def align(counts, **settings):
    return paste.pairwise_align(
        slice_of(first, spots), slice_of(counts, turned), alpha=0.1, return_obj=True, gpu_verbose=False, **settings
    )


if sys.argv[1] == "new":
    try:
        align(first)
        raise SystemExit("newer versions of POT are taken now")
    except TypeError as error:
        print("TypeError:", error)
        raise SystemExit from None
told, right = {}, {}
for name, counts in slices.items():
    plan, told[name] = align(counts)
    features = divergences(first, counts)
    right[name] = value(plan, features, 0.1)
    even = np.full(100, 0.01)
    inner = [ot.dist(part, part, metric="euclidean") for part in (spots, turned)]
    reached = value(ot.gromov.fused_gromov_wasserstein(features, *inner, even, even, alpha=0.1), features, 0.1)
    print(f"{name}: told {told[name]:.2f}, right {right[name]:.3f}, POT's plan {reached:.3f}")
    assert told[name] < -5 and right[name] > -1e-9 and abs(reached - right[name]) < 0.02
last, other = "its spots in another order", "another tissue"
assert (told[last] > told[other]) != (right[last] > right[other])
plan, squared = align(slices["the same tissue"], dissimilarity="euclidean")
meant = value(plan, ot.dist(first, slices["the same tissue"]), 0.1)
print(f"squared distances: told {squared:.0f}, right {meant:.0f}")
assert squared > 2 * meant
PYTHON
"$place/env/bin/python" -W ignore "$place/try.py" old
"$place/env/bin/pip" install -q --disable-pip-version-check POT==0.9.5
"$place/env/bin/python" -W ignore "$place/try.py" new
