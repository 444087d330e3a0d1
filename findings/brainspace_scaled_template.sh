#!/usr/bin/env bash
# Guess, written down first: ProcrustesAlignment(scale=True) of brainspace brings turned, noisy copies of any size to one size, that
# of the data or of the reference that is given; more rounds refine the mean; and data @ transforms_ is aligned_.
# Seen (brainspace 0.3.0): each round shrinks everything, since the best scale onto a noisy mean is below 1 and the next mean is
# that of what was scaled. Three arrays of length 17, 35 and 68 (noise half of the signal) end at 26 after one round, 6.4 after
# ten, the default, and 1.4 after twenty; a reference of length 31 does not hold them: 6.8. The loop does not tell: its steps only
# get smaller. A transform belongs to data divided by its length: data @ transforms_ is 17 to 68 times as long as aligned_.
# Without scale both are right.
# So: scale=False on arrays that were centred and divided by their lengths before.
# Source: brainspace/gradient/alignment.py: procrustes (t *= w.sum() * nt after source /= ns), procrustes_alignment (reference =
# new_reference without a constraint on its length).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps brainspace==0.3.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from brainspace.gradient.alignment import ProcrustesAlignment

print("brainspace", version("brainspace"))
draw = np.random.default_rng(0)
base = draw.normal(size=(200, 5))
data = []
for size in (1, 2, 0.5):
    turn = np.linalg.qr(draw.normal(size=(5, 5)))[0]
    array = size * (base + 0.5 * draw.normal(size=base.shape)) @ turn
    data.append(array - array.mean(0))
lengths = [float(np.linalg.norm(array)) for array in data]
print("lengths of the arrays", np.round(lengths, 1), "of the signal", round(float(np.linalg.norm(base)), 1))


def aligned(**options):
    reference = options.pop("reference", None)
    made = ProcrustesAlignment(**options).fit(data, reference=reference)
    apart = [float(np.linalg.norm(a @ t) / np.linalg.norm(b)) for a, t, b in zip(data, made.transforms_, made.aligned_)]
    return [float(np.linalg.norm(array)) for array in made.aligned_], apart


seen = {rounds: aligned(scale=True, n_iter=rounds) for rounds in (1, 5, 10, 20)}
for rounds, (told, apart) in seen.items():
    print(f"scale=True, {rounds} rounds: lengths {np.round(told, 2)}; data @ transforms_ / aligned_ {np.round(apart, 2)}")
    assert np.allclose(apart, lengths)
centred = base - base.mean(0)
held = aligned(scale=True, reference=centred)[0]
print(f"scale=True, reference of length {np.linalg.norm(centred):.1f}: lengths {np.round(held, 2)}")
plain, apart = aligned()
print(f"scale=False: lengths {np.round(plain, 2)}; data @ transforms_ / aligned_ {np.round(apart, 2)}")
assert np.allclose(plain, lengths) and np.allclose(apart, 1)
assert min(seen[1][0]) > 20 and max(seen[10][0]) < 10 and max(seen[20][0]) < 6 and max(held) < 10
PYTHON
