#!/usr/bin/env bash
# Guess, written down first: MCCA of mvlearn with as many components as columns loses nothing, so inverse_transform, which
# "transforms scores back to the original space", gives the views back, and score, the sum of squared reconstruction errors, is
# about 0; with fewer components it is at most that of the mean. Units do not matter.
# Seen (mvlearn 0.5.0): scores are multiplied by the transposed loadings, which undoes them only where loadings are orthogonal,
# with regs=1 (partial least squares: 1e-15). Of the canonical correlations proper, the default, what comes back is the mean and
# next to nothing more: an error of .999 of their spread with all components. In other units it is anything: loadings grow as units
# shrink, and of views in thousandths the reconstruction is 7,600 and 6,400 times as far off as the mean is. By score, more
# components are worse there. Least squares onto the same scores give the views back to 1e-15.
# So: np.linalg.lstsq(scores, view - mean) instead, and choose no number of components by score.
# Source: mvlearn/embed/mcca.py, inverse_transform_view: scores @ loadings.T. The pseudo-inverse of the loadings is meant.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check --only-binary :all: numpy==1.26.4 scipy==1.13.1 scikit-learn==1.5.2
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps mvlearn==0.5.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType

import numpy as np

sys.modules["mvlearn.plotting"] = ModuleType("plotting")  # wants seaborn; nothing is drawn here
from mvlearn.embed import MCCA

print("mvlearn", version("mvlearn"))
draw = np.random.default_rng(0)
latent = draw.normal(size=(200, 3))
views = [latent @ draw.normal(size=(3, width)) + 0.3 * draw.normal(size=(200, width)) for width in (8, 6)]


def away(back, given):
    """Errors as shares of the spread of the views: 0 is the views, 1 is as good as their means."""
    return [float(np.linalg.norm(b - g) / np.linalg.norm(g - g.mean(0))) for b, g in zip(back, given, strict=True)]


def told(scale, **options):
    given = [scale * view for view in views]
    model = MCCA(**options).fit(given)
    scores = model.transform(given)
    own = [s @ np.linalg.lstsq(s, g - g.mean(0), rcond=None)[0] + g.mean(0) for s, g in zip(scores, given, strict=True)]
    return away(model.inverse_transform(scores), given), away(own, given), float(np.sum(model.score(given))) / scale**2


seen = {}
for name, options in {"all": {}, "all, regs=1": {"regs": 1}, "three": {"n_components": 3}}.items():
    for scale in (1, 0.001):
        seen[name, scale] = told(scale, **{"n_components": 14, **options})
        back, own, score = seen[name, scale]
        print(f"{name} components, views times {scale}: error {np.round(back, 3)}, by least squares {np.round(own, 3)}, "
              f"score in units of the views {score:.4g}")
for scale, least, most in ((1, 0.95, 1.05), (0.001, 1000, np.inf)):
    back, own, score = seen["all", scale]
    assert least < min(back) and max(back) < most and max(own) < 1e-6
    assert score > seen["three", scale][2] or scale == 1
    assert max(seen["all, regs=1", scale][0]) < 1e-6 and max(seen["three", scale][1]) < 0.7
PYTHON
