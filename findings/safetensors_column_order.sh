#!/usr/bin/env bash
# Guess, written down first: vectors that safetensors.numpy saves are read back as they were; an array that cannot be
# written as it lies in memory is refused, as safetensors.torch does. Its docstring asks for "contiguous and dense"
# arrays.
# Seen (safetensors 0.8.0): an array in column order, which numpy calls contiguous, comes back with the right shape and
# its numbers in other places, without a word, from save_file and from save; so does every second row of an array.
# Projected vectors often lie so: (w @ x.T).T, and what scikit-learn's PCA gives. Of 200 such vectors none is still its
# own nearest neighbour. 0.7.0 reads back the same numbers.
# So: np.ascontiguousarray before saving. Files written so cannot be told from sound ones, but hold all numbers of an
# array in column order: reshape to the turned shape and turn it.
# Source: safetensors/safetensors issue 825 (open); safetensors/numpy.py hands over the address of the data, without the
# strides.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for version in 0.8.0 0.7.0; do
  python3 -m pip install -q --disable-pip-version-check --target "$place/$version" "safetensors==$version" numpy==2.4.6
  PLACE="$place/file" EXPECT=$version PYTHONPATH="$place/$version" python3 - <<'PYTHON'
import os

import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

version = os.environ["EXPECT"]
assert safetensors.__version__ == version
draw = np.random.default_rng(0)
x, w = draw.normal(size=(200, 48)).astype("float32"), draw.normal(size=(16, 48)).astype("float32")
vectors = (w @ x.T).T
assert vectors.flags.f_contiguous
found = []
rows = np.ascontiguousarray(vectors)
for name, array in (("rows", rows), ("columns", vectors), ("every second row", rows[::2])):
    save_file({"v": array}, os.environ["PLACE"])
    back = load_file(os.environ["PLACE"])["v"]
    assert back.shape == array.shape
    assert np.array_equal(back, load(save({"v": array}))["v"])
    unit, own = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (back, array))
    nearest = int(((unit @ own.T).argmax(1) == np.arange(len(own))).sum())
    found.append(np.array_equal(back, array))
    print(f"safetensors {version}, {name}: equal {found[-1]}, own nearest neighbour {nearest} of {len(own)}")
    if name == "columns" and version == "0.8.0":
        assert np.array_equal(back.reshape(array.shape[::-1]).T, array)
assert found == ([True, False, False] if version == "0.8.0" else [True, True, True])
PYTHON
done
