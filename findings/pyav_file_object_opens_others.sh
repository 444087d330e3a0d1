#!/usr/bin/env bash
# Guess, written down first: what PyAV is given as an open file object is all that it reads; it cannot know, and does not
# open, other files.
# Seen (PyAV 18.1.0, FFmpeg 8.1.2): a text file that begins with "ffconcat version 1.0" is taken for a list by its content,
# whatever its name; the file that it names is opened from the disk, relative to the name of the file object or, for bytes
# in memory, to the current folder, and its samples come back as those of the object. (A session description, SDP, makes
# it open network ports in the same way.) With options={"protocol_whitelist": "none"} the list is refused and ordinary
# files are read as before.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check av==18.1.0
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import io
import wave

import av

with wave.open("other.wav", "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(8000)
    file.writeframes(bytes(2 * 4000))
listed = b"ffconcat version 1.0\nfile other.wav\n"
alone = {"protocol_whitelist": "none"}


def samples(data, **options):
    with av.open(io.BytesIO(data), **options) as container:
        return container.format.name, sum(frame.samples for frame in container.decode(audio=0))


print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info)
found = samples(listed)
print("36 bytes of text in memory:", found)
assert found == ("concat", 4000)
try:
    samples(listed, options=alone)
except av.error.ArgumentError as problem:
    print("without protocols:", problem)
else:
    raise SystemExit("changed: protocol_whitelist no longer stops it")
with open("other.wav", "rb") as file:
    plain = samples(file.read(), options=alone)
print("a sound without protocols:", plain)
assert plain == ("wav", 4000)
PYTHON
