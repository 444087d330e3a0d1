#!/usr/bin/env bash
# Guess, written down first: pygmtools.sinkhorn of more columns than rows gives what its help states: each row sums to 1, no column to more
# than 1, so an entry is the probability that a row has that column as its partner; more rounds change little.
# Seen (pygmtools 0.6.0): rows and columns take turns at a sum of 1, which a table that is not square cannot have in both, and the last turn
# decides. After an even number of rounds, as the default of 10, each column sums to 1 and 3 rows of 6 columns to 2 each, 20 rows of
# 100 to 5 each; after an odd number rows sum to 1 and columns to 3 / 6. All columns count the same then, whether they fit a row or
# not: of 20 items among 100 the 80 without a partner hold .80 of the mass, with the missing rows filled in .03 at tau = .05 and nothing at .02, and the best entry of such an item,
# right .006 and 0, is .70 and .86.
# So: dummy_row=True, which fills the missing rows in and keeps what the help states, or unmatch1 and unmatch2.
# Source: pygmtools/numpy_backend.py, sinkhorn: i % 2 without dummy rows; pygmtools/linear_solvers.py has the constraints.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pygmtools==0.6.0 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pygmtools
from scipy.special import logsumexp

print("pygmtools", version("pygmtools"))
pygmtools.set_backend("numpy")
draw = np.random.default_rng(0)
for shape, rounds in (((3, 6), 10), ((3, 6), 11), ((20, 100), 10), ((20, 100), 11)):
    plan = pygmtools.sinkhorn(draw.normal(size=shape), max_iter=rounds)
    rows, columns = plan.sum(1), plan.sum(0)
    print(f"{shape[0]} x {shape[1]}, {rounds} rounds: rows sum to {rows.min():.2f} to {rows.max():.2f}, "
          f"columns to {columns.min():.2f} to {columns.max():.2f}")
    right = (shape[1] / shape[0], 1) if rounds % 2 == 0 else (1, shape[0] / shape[1])
    assert np.allclose(rows, right[0], rtol=0.02) and np.allclose(columns, right[1], rtol=0.02)

items = draw.normal(size=(100, 16))
items /= np.linalg.norm(items, axis=1, keepdims=True)
similarity = (items[:20] + 0.05 * draw.normal(size=(20, 16))) @ items.T


def filled(logits, rounds=200):
    """Sinkhorn of the table with rows of nothing in particular for the missing ones."""
    full = np.concatenate([logits, np.full((logits.shape[1] - len(logits), logits.shape[1]), logits.min() - 1)])
    for _ in range(rounds):
        full = full - logsumexp(full, axis=1, keepdims=True)
        full = full - logsumexp(full, axis=0, keepdims=True)
    return np.exp(full)[: len(logits)]


shares = {}
for tau in (0.05, 0.02):
    for name, plan in (
        ("default", pygmtools.sinkhorn(similarity, tau=tau)),
        ("dummy_row", pygmtools.sinkhorn(similarity, tau=tau, dummy_row=True, max_iter=100)),
        ("written out", filled(similarity / tau)),
    ):
        shares[name, tau] = plan[:, 20:].sum() / plan.sum(), plan[:, 20:].max(0).mean(), plan.sum(1).min(), plan.sum(1).max(), plan.sum(0).max()
        print(f"tau {tau}, {name}: mass on items without a partner {shares[name, tau][0]:.3f}, their best entry {shares[name, tau][1]:.3f}; "
              f"rows sum to {shares[name, tau][2]:.2f} to {shares[name, tau][3]:.2f}")
for (name, tau), (mass, best, least, most, column) in shares.items():
    assert mass > 0.75 and best > 0.5 if name == "default" else mass < 0.1 and abs(least - 1) + abs(most - 1) < 0.06 and column < 1.05
PYTHON
