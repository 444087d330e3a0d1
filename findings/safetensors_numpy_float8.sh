#!/usr/bin/env bash
# Guess, written down first: what safetensors.numpy writes it reads: save_file takes arrays of 8-bit floats (ml_dtypes, whose
# bfloat16 it reads back too), so load_file returns them.
# Seen (safetensors 0.8.0, numpy 2.4.6, ml_dtypes 0.6.0): save_file writes float8_e4m3fn and float8_e5m2 without a word, with the
# right tag and the right bytes; load_file and safe_open(framework="np") raise AttributeError, "module 'numpy' has no
# attribute 'float8_e4m3fn'", and load KeyError, so that the other arrays of the file are not returned either. bfloat16
# comes back as it went. The file is sound: the bytes behind its header are those of the array.
# So: keep 8-bit vectors in a file of their own, or write x.view("uint8") and the type's name in the metadata.
# Source: safetensors/safetensors issue 682 (open; the same by way of paddle).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" safetensors==0.8.0 ml-dtypes==0.6.0 numpy==2.4.6
cd "$place"
PYTHONPATH="$place" python3 - <<'PYTHON'
import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

print("safetensors", safetensors.__version__, "numpy", np.__version__, "ml_dtypes", ml_dtypes.__version__)
rows = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
half = {"rows": rows.astype(ml_dtypes.bfloat16), "ids": np.arange(4)}
save_file(half, "half.safetensors")
assert all(np.array_equal(array, half[name]) for name, array in load_file("half.safetensors").items())
for kind, tag in ((ml_dtypes.float8_e4m3fn, "F8_E4M3"), (ml_dtypes.float8_e5m2, "F8_E5M2")):
    quarter = {"rows": rows.astype(kind), "ids": np.arange(4)}
    save_file(quarter, "quarter.safetensors")
    data = Path("quarter.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8 : 8 + size])["rows"]
    start, end = (8 + size + place for place in entry["data_offsets"])
    assert entry["dtype"] == tag and np.array_equal(np.frombuffer(data[start:end], kind).reshape(4, 8), quarter["rows"])

    def opened():
        with safetensors.safe_open("quarter.safetensors", framework="np") as file:
            return file.get_tensor("rows")

    def loaded(quarter=quarter):
        return load(save(quarter))

    for name, read in {"load_file": lambda: load_file("quarter.safetensors"), "load": loaded, "safe_open": opened}.items():
        try:
            read()
        except Exception as error:
            print(f"{tag}, {name}: {type(error).__name__}: {error}")
            assert isinstance(error, KeyError if name == "load" else AttributeError)
        else:
            raise AssertionError(f"{name} reads {tag}")
PYTHON
