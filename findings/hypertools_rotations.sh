#!/usr/bin/env bash
# Guess, written down first: Procrustes of hypertools ("shift + scaling + rotation + reflection") lays a turned copy onto the
# original, by reflection=False as well, which is only to leave out mirror images; a copy that is shifted too is laid onto it;
# scaling=True brings it to the size of the original.
# Seen (hypertools 1.1.0): reflection=False turns by the transpose, the other way round, so that a turned copy ends further off
# than it was, 1.38 times the length of the data for .77, and with scaling=True, the default, it is as many times too large as
# there are columns, 3 for 3 columns, 50 for 50, whatever the data: the singular values have been overwritten by ones before
# they are summed. Nothing is shifted, by either setting: a copy that lies 10 to the side stays off.
# So: reflection=True and centred data, or scipy.linalg.orthogonal_procrustes.
# Source: hypertools/align/procrustes.py, align: np.dot(u[:, :nsv] * s, vh), where vh.T (s * u.T) is meant, and ss = sum(s)
# behind it.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check hypertools==1.1.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import hypertools as hyp
import numpy as np
from scipy.stats import special_ortho_group

print("hypertools", version("hypertools"))
draw = np.random.default_rng(0)
for width in (3, 50):
    points = draw.normal(size=(500, width)) * np.linspace(3, 1, width)
    turn = special_ortho_group.rvs(width, random_state=1)
    length = np.linalg.norm(points)
    copies = {"turned": points @ turn, "turned and shifted": points @ turn + 10}
    for name, copy in copies.items():
        print(f"{width} columns, {name}: {np.linalg.norm(copy - points) / length:.2f} off before")
        for settings in ({}, {"reflection": False, "scaling": False}, {"reflection": False}):
            laid = np.asarray(hyp.align([points, copy], model={"model": "Procrustes", "kwargs": settings})[1])
            off, size = (np.linalg.norm(part) / length for part in (laid - points, laid))
            print(f"  {settings}: {off:.2f} off, size {size:.2f}")
            if name == "turned":
                if not settings:
                    assert off < 1e-6
                else:
                    assert off > 0.9 and np.isclose(size, 1 if "scaling" in settings else width, rtol=1e-6)
            elif not settings:
                assert off > 0.2
PYTHON
