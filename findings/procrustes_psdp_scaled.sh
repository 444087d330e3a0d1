#!/usr/bin/env bash
# Guess, written down first: psdp_projgrad, psdp_opt, psdp_woodgate and psdp_peng (qc-procrustes) look for the positive
# semidefinite P with the least |P A - B|, by different ways to one value; with scale=True of the arrays divided by their
# norms, so that the error is at most 1, that of P = 0, and is that of the new_a and new_b that are returned.
# Seen (qc-procrustes 1.1.3): without scale they agree within a thousandth. With scale=True four answers: .298 is the minimum;
# psdp_projgrad, the newest, ends at 3.58, worse than P = 0, since its steps are 1 / eigenvalue squared in the place of 1 /
# eigenvalue, too long where that is below 1; psdp_opt at .314, whose step stays .001 (its own tau is computed
# and not used); psdp_woodgate and psdp_peng solve it and tell 244, the error of the scaled solution on the arrays as given,
# which they return as new_a and new_b. Nothing tells it.
# So: divide the arrays by one number before, by their largest singular value say, and leave scale alone.
# Source: procrustes/psdp.py: max_eig = np.max(x) ** 2 of A A'; tau; compute_error(a=a, b=b, ...).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check qc-procrustes==1.1.3 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from procrustes import psdp

print("qc-procrustes", version("qc-procrustes"))
draw = np.random.default_rng(0)


def least(a, b):
    """The least squared error of P a = b, by accelerated projected gradients."""
    square, mixed = a @ a.T, b @ a.T
    step = 1 / np.linalg.eigvalsh(square)[-1]
    p = ahead = np.eye(len(a))
    t = 1.0
    for _ in range(5000):
        moved = ahead - step * (ahead @ square - mixed)
        values, vectors = np.linalg.eigh((moved + moved.T) / 2)
        new = (vectors * values.clip(0)) @ vectors.T
        following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead, p, t = new + (t - 1) / following * (new - p), new, following
    return np.linalg.norm(p @ a - b) ** 2


a = draw.normal(size=(5, 30))
half = draw.normal(size=(5, 5))
b = half @ half.T / 5 @ a + draw.normal(size=a.shape)
seen = {}
for scale in (False, True):
    given = (a / np.linalg.norm(a), b / np.linalg.norm(b)) if scale else (a, b)
    exact = least(*given)
    print(f"scale={scale}: least {exact:.3f}, of P = 0 {np.linalg.norm(given[1]) ** 2:.3f}")
    for name in ("psdp_projgrad", "psdp_opt", "psdp_woodgate", "psdp_peng"):
        result = getattr(psdp, name)(a, b, scale=scale)
        own = np.linalg.norm(result.s @ given[0] - given[1]) ** 2
        seen[scale, name] = result.error / exact, own / exact
        print(f"  {name}: told {result.error:.3f}, its P has {own:.3f}, new_a is scaled: {bool(abs(result.new_a - given[0]).max() < 1e-9)}")
assert all(0.999 < told < 1.002 and 0.999 < own < 1.002 for (scale, _), (told, own) in seen.items() if not scale)
assert seen[True, "psdp_projgrad"][1] > 5 and 1.01 < seen[True, "psdp_opt"][1] < 1.2
assert all(seen[True, name][0] > 100 and seen[True, name][1] < 1.01 for name in ("psdp_woodgate", "psdp_peng"))
PYTHON
