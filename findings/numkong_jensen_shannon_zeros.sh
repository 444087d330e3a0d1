#!/usr/bin/env bash
# Guess, written down first: numkong.jensenshannon is scipy's distance ("Equivalent to" it, says its help), for histograms with
# empty bins as for others, on every processor: two histograms without a common bin are sqrt(log 2) = .833 apart, as far as any.
# Seen (NumKong 7.8.6): on processors with AVX-512 such histograms are 0 apart, in all types, as equal ones are: a bin that is
# empty in either of the two is left out. By AVX2 and without both (disable_capability) the distance is right, so that the same
# program ranks otherwise on another machine. Of 300 histograms of 60 words over 200 bins the nearest is the right one for .01
# of 100 queries, and one of the ten nearest for .03. kullbackleibler is finite, about 33, where a bin of the second alone is
# empty and scipy has infinity; that is so by all kernels.
# So: nk.disable_capability for "skylake" and all that come after it, or scipy.
# Source: numkong's kernels for Skylake, against its own for Haswell and its serial ones.
# Fails when that changes (of other processors it shows nothing).
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numkong==7.8.6 numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numkong
import numpy as np
from scipy.spatial.distance import cdist, jensenshannon

print("NumKong", version("numkong"))
able = [name for name, has in numkong.get_capabilities().items() if has]
print("kernels:", *able)
if "skylake" not in able:
    print("this processor has no AVX-512: nothing to show")
    raise SystemExit(0)
draw = np.random.default_rng(0)
bins = np.sort(draw.pareto(1, size=200))[::-1]
bins /= bins.sum()
counts = np.stack([np.bincount(draw.choice(200, size=60, p=bins), minlength=200) for _ in range(400)])
rows = counts / counts.sum(1, keepdims=True)
apart = np.zeros((2, 8))
apart[0, :4] = apart[1, 4:] = 0.25


def nearest():
    told = np.array([[numkong.jensenshannon(query, row) for row in rows[100:]] for query in rows[:100]])
    right = cdist(rows[:100], rows[100:], "jensenshannon")
    first = told.argmin(1)
    return np.mean(first == right.argmin(1)), np.mean([a in np.argsort(b)[:10] for a, b in zip(first, right)]), np.abs(told - right).max()


def distances():
    return {kind: float(numkong.jensenshannon(*apart.astype(kind))) for kind in ("float64", "float32", "float16")}


def show(name):
    found, near, off = nearest()
    print(f"{name}: no common bin {distances()}, scipy {jensenshannon(*apart):.3f}; nearest rightly told {found:.2f}, among the ten "
          f"{near:.2f}, up to {off:.3f} off")
    return found, off


found, off = show("as it comes")
assert max(distances().values()) == 0 and off > 0.2 and found < 0.5
for name in able:
    if name not in ("serial", "haswell"):
        numkong.disable_capability(name)
for name in ("by AVX2", "without both"):
    found, off = show(name)
    assert found > 0.99 and off < 1e-6 and np.allclose(list(distances().values()), np.sqrt(np.log(2)), rtol=1e-3)
    numkong.disable_capability("haswell")
print("KL where bins of the second are empty:", float(numkong.kullbackleibler(*apart)))
assert np.isfinite(numkong.kullbackleibler(*apart))
PYTHON
