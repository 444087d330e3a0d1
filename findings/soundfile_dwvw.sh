#!/usr/bin/env bash
# Guess, written down first: an AIFF file with DWVW samples that soundfile has written is read back by soundfile.read, as
# the codec is in its own list of subtypes; at worst seeking to the middle is refused.
# Seen (soundfile 0.14.0, libsndfile 1.2.2): every read fails, also that of the whole file from its start. libsndfile calls
# the file seekable and then refuses any seek but to 0 (src/dwvw.c, dwvw_seek); soundfile seeks to the new place after each
# read of a seekable file (SoundFile._cdata_io). Where `seekable` is made to say no, all samples come out right.
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

x = np.sin(np.arange(8000) / 20) / 2
out = io.BytesIO()
soundfile.write(out, x, 8000, format="AIFF", subtype="DWVW_16")
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
out.seek(0)
file = soundfile.SoundFile(out)
print("seekable:", file.seekable(), "frames:", file.frames)
assert file.seekable()
try:
    file.read()
except soundfile.LibsndfileError as problem:
    print("read of the whole file:", repr(problem))
else:
    raise SystemExit("changed: the whole file can be read")
out.seek(0)
file = soundfile.SoundFile(out)
file.seekable = lambda: False
samples = file.read(8000)
print("read where seekable() says no:", len(samples), "samples, largest error", float(abs(samples - x).max()))
assert len(samples) == 8000 and abs(samples - x).max() < 1e-4
PYTHON
