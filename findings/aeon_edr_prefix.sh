#!/usr/bin/env bash
# Guess, written down first: edr_distance of aeon is the edit distance on real sequences (Chen, Ozsu, Oria 2005), over the
# longer length: the least number of elements to change, leave out or put in; the same for both series read backwards; as many
# strange elements before a series as it has, or after it, make it .5.
# Seen (aeon 1.6.0): elements left out at the beginning cost nothing, at the end 1 each: a series and a copy with 30 strange
# elements before its 30 are 0 apart, with 30 after it .5. Two unrelated series of 30 have .64 in the mean where .75 is right,
# and .72 of pairs another distance when both are read backwards.
# So: the definition by hand, as below.
# Source: aeon/distances/elastic/_edr.py, _edr_cost_matrix: cost_matrix[i, 0] = 0 and cost_matrix[0, j] = 0, where i and j are
# meant.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check aeon==1.6.0 numpy==2.3.5 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from aeon.distances import edr_distance

print("aeon", version("aeon"))


def edits(a, b, epsilon):
    """The definition: D(i, 0) = i, D(0, j) = j, over the longer length."""
    table = np.add.outer(np.arange(len(a) + 1.0), np.arange(len(b) + 1.0))
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            other = abs(a[i - 1] - b[j - 1]) >= epsilon
            table[i, j] = min(table[i - 1, j - 1] + other, table[i - 1, j] + 1, table[i, j - 1] + 1)
    return table[-1, -1] / max(len(a), len(b))


draw = np.random.default_rng(0)
series = draw.normal(size=30)
for count in (5, 30):
    strange = 10 + draw.normal(size=count)
    copies = {"before": np.r_[strange, series], "after": np.r_[series, strange]}
    told = {name: edr_distance(series, copy, epsilon=0.25) for name, copy in copies.items()}
    right = {name: edits(series, copy, 0.25) for name, copy in copies.items()}
    print(f"{count} strange elements: {told}, right {right}")
    assert told["before"] == 0 and np.isclose(told["after"], count / (30 + count)) and np.isclose(right["before"], right["after"])
pairs = draw.normal(size=(200, 2, 30))
told, back, right = np.array([(edr_distance(a, b, epsilon=0.25), edr_distance(a[::-1].copy(), b[::-1].copy(), epsilon=0.25),
                               edits(a, b, 0.25)) for a, b in pairs]).T
print(f"unrelated series: {told.mean():.3f}, right {right.mean():.3f}; other when read backwards in {np.mean(told != back):.2f}")
assert (told <= right + 1e-9).all() and told.mean() < right.mean() - 0.02 and np.mean(told != back) > 0.3
PYTHON
