#!/usr/bin/env bash
# Guess, written down first: to write a video is work of its own threads; the thread that asks for it goes on as it was, as
# with libx264 and libvpx.
# Seen (PyAV 18.1.0, whose only AV1 encoder is SVT-AV1, as root, which containers are by default): after five frames of
# 64 x 64 the calling thread has the real-time policy SCHED_FIFO at priority 99, the highest there is, and keeps it when the
# encoder is closed. Every thread and every child that it starts from then on inherits that, before all other programs of
# the machine: of two test processes on two cores one wrote a small AV1 file, and the browser that it started later held
# the machine for minutes. Other encoders, and reading AV1, change nothing. Without root nothing changes either.
# So: encode AV1 in a process of its own, or call os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)) afterwards.
# Source: the encoders of the SVT family switch the thread that opens them (review of OpenVisualCloud/SVT-HEVC pull 73).
# Fails when that changes. Needs Linux and root: it says so and ends where it has neither.
set -eu
if [ "$(uname)" != Linux ] || [ "$(id -u)" != 0 ]; then
    echo "nothing to see here: needs Linux and root"
    exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" av==18.1.0 numpy==2.4.6
cd "$place"
SVT_LOG=0 PYTHONPATH="$place" python3 - <<'PYTHON'
import os
import subprocess
import sys

import av
import numpy as np


def policy():
    """Policy and priority of this thread."""
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


def write(codec):
    with av.open(f"{codec}.mkv", "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for k in range(5):
            picture = np.full((64, 64, 3), 40 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


print("PyAV", av.__version__)
usual = (os.SCHED_OTHER, 0)
for codec in ("libx264", "libvpx-vp9", "libsvtav1"):
    assert policy() == usual
    write(codec)
    print(codec, "leaves", policy())
    assert policy() == ((os.SCHED_FIFO, 99) if codec == "libsvtav1" else usual)
child = subprocess.run(
    [sys.executable, "-c", "import os; print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)"],
    capture_output=True,
    text=True,
    check=True,
)
print("a child started then:", child.stdout.strip())
assert child.stdout.split() == [str(os.SCHED_FIFO), "99"]
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
with av.open("libsvtav1.mkv") as container:
    assert len(list(container.decode(video=0))) == 5
assert policy() == usual  # reading changes nothing
PYTHON
