#!/usr/bin/env bash
# Guess, written down first: soundfile.read returns a FLAC file whose header leaves its length open (total samples 0, "unknown"
# in RFC 9639; encoders that write to a pipe leave it so), or says that it cannot know the length.
# Seen (soundfile 0.14.0, libsndfile 1.2.2): the length is told as 2^63 - 1 frames, so soundfile.read wants an array of that
# size and fails with "array is too big"; reading in pieces fails at the last one, as soundfile seeks after each. Where
# `seekable` is made to say no, all samples come out right.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import io

import numpy as np
import soundfile

x = (np.sin(np.arange(24000) / 20) / 2).astype(np.float32)
whole = io.BytesIO()
soundfile.write(whole, x, 8000, format="FLAC")
data = bytearray(whole.getvalue())
data[21] &= 0xF0  # total samples: 36 bits from here on
data[22:26] = bytes(4)
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
try:
    soundfile.read(io.BytesIO(data))
except ValueError as problem:
    print("read of the whole file:", problem)
else:
    raise SystemExit("changed: the whole file can be read")
file = soundfile.SoundFile(io.BytesIO(data))
print("frames:", file.frames)
assert file.frames == 2**63 - 1
read = 0
try:
    while got := len(file.read(5000)):
        read += got
except soundfile.LibsndfileError as problem:
    print("in pieces:", read, "frames, then", repr(problem))
else:
    raise SystemExit("changed: the file can be read in pieces")
file = soundfile.SoundFile(io.BytesIO(data))
file.seekable = lambda: False
samples = np.concatenate([file.read(5000) for _ in range(6)])
print("read where seekable() says no:", len(samples), "samples, largest error", float(abs(samples - x).max()))
assert len(samples) == len(x) and abs(samples - x).max() < 1e-4
PYTHON
