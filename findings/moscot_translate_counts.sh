#!/usr/bin/env bash
# Guess, written down first: TranslationProblem.translate of moscot gives each source cell features of the target modality (or
# the other way round): the mean of the target cells' features, weighted by its row of the plan, in the target's units, however
# many cells there are on each side.
# Seen (moscot 0.5.2): right where both sides have as many cells. Otherwise all is multiplied by the quotient of the two
# numbers: 40 cells translated into the space of 80 come out twice as long, 80 into that of 40 half: rows of mean 10 have 20 and
# 5, of 20 cells 40. Features are divided by the marginal of the side that they come from before the plan is applied, where that
# of the side they go to is meant. In unbalanced problems each cell is multiplied by its share of the mass besides, .00 to 2.66
# times.
# So: plan @ features / plan.sum(1, keepdims=True), with problem.solutions[...].transport_matrix.
# Source: moscot/problems/cross_modality/_mixins.py, translate: scale_by_marginals=True; moscot/base/output.py, pull:
# _scale_by_marginals(x, forward=False); theislab/moscot pull request 531 (a barycentric projection is meant).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check moscot==0.5.2 numpy==2.3.5 scipy==1.17.1 jax==0.10.2 ott-jax==0.6.0 \
  anndata==0.12.19 pandas==2.3.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
from importlib.metadata import version

import anndata
import numpy as np

logging.disable(logging.CRITICAL)
from moscot.problems.cross_modality import TranslationProblem

print("moscot", version("moscot"), "ott-jax", version("ott-jax"), "jax", version("jax"))
draw = np.random.default_rng(0)
shared = draw.normal(size=(80, 3))
first, second = (shared @ draw.normal(size=(3, width)) + 10 for width in (6, 4))


def cells(features, places):
    made = anndata.AnnData(features.astype("float32"))
    made.obsm["features"], made.obsm["shared"] = features.astype("float32"), places.astype("float32")
    return made


def translated(source, **settings):
    problem = TranslationProblem(cells(first[:source], shared[:source]), cells(second, shared))
    problem = problem.prepare(src_attr="features", tgt_attr="features", joint_attr="shared").solve(alpha=0.5, epsilon=0.01, **settings)
    plan = np.asarray(next(iter(problem.solutions.values())).transport_matrix, dtype=float)
    there, back = (np.asarray(problem.translate(source="src", target="tgt", forward=way)) for way in (True, False))
    return there, plan @ second / plan.sum(1, keepdims=True), back, plan.T @ first[:source] / plan.sum(0)[:, None]


for source in (80, 40, 20):
    there, right, back, left = translated(source)
    print(f"{source} cells to 80: mean {there.mean():.2f}, right {right.mean():.2f}; back: {back.mean():.2f}, right {left.mean():.2f}")
    assert np.abs(there - right * 80 / source).max() < 0.5 and np.abs(back - left * source / 80).max() < 0.5
there, right, *_ = translated(80, tau_a=0.8, tau_b=0.8)
quotient = (there / right).mean(1)
print(f"unbalanced: cells are multiplied by {quotient.min():.2f} to {quotient.max():.2f}")
assert np.ptp(quotient) > 0.2
PYTHON
