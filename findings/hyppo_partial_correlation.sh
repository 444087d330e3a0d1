#!/usr/bin/env bash
# Guess, written down first: PartialCorr of hyppo is the correlation of x and y that a third variable z does not explain, by the
# formula of its help, whatever the signs of the three: with -z in the place of z the residuals are the same. Its p-value is that
# of a t-test, at most .05 for one in twenty triples in which z explains all.
# Seen (hyppo 0.5.2): 0 as soon as z falls where x or y rises, with p = .5: of x and y with .533 beside z it is 0 beside -z, where
# the residuals, and the formula, say .533 both times. Of correlated x and y beside a z unrelated to both two thirds end so.
# And the p-value is that of one side for the size of the statistic: it is never above .5, and .107 of 2,000 triples without
# a partial correlation are at .05 or less.
# So: correlate the residuals of two least-squares fits on z, with scipy.stats.pearsonr; turning z round is not enough, since x and
# y may ask for different signs.
# Source: hyppo/conditional/pcorr.py: "if cov_xz <= 0 or cov_yz <= 0: stat = 0", and 1 - t.cdf(np.abs(tstat), dof).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check hyppo==0.5.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from hyppo.conditional import PartialCorr

print("hyppo", version("hyppo"))


def residual(v, z):
    return v - np.polyval(np.polyfit(z[:, 0], v[:, 0], 1), z)


draw = np.random.default_rng(0)
z = draw.normal(size=(100, 1))
x = z + draw.normal(size=(100, 1))
y = z + 0.7 * x + draw.normal(size=(100, 1))
seen = []
for sign in (1, -1):
    stat, p = PartialCorr().test(x, y, sign * z)
    right = float(np.corrcoef(residual(x, sign * z)[:, 0], residual(y, sign * z)[:, 0])[0, 1])
    seen.append((float(stat), float(p), right))
    print(f"z times {sign}: partial correlation {stat:.4f}, p {p:.2g}; correlation of the residuals {right:.4f}")
values, zeros = [], 0
for _ in range(2000):
    z = draw.normal(size=(60, 1))
    x, y = (z + draw.normal(size=(60, 1)) for _ in range(2))
    values.append(float(PartialCorr().test(x, y, z)[1]))
    zeros += PartialCorr().test(x, y, draw.normal(size=(60, 1)))[0] == 0
values = np.array(values)
print(f"no partial correlation: share at .05 or less {np.mean(values <= 0.05):.3f}, largest p {values.max():.3f}; "
      f"of unrelated z the share that is exactly 0: {zeros / 2000:.3f}")
assert abs(seen[0][0] - seen[0][2]) < 1e-9 and abs(seen[0][2] - seen[1][2]) < 1e-9 and seen[0][2] > 0.5
assert seen[1][:2] == (0, 0.5)
assert np.mean(values <= 0.05) > 0.075 and values.max() <= 0.5 and 0.6 < zeros / 2000 < 0.72
PYTHON
