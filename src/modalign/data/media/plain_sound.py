"""Plain sound files through libsndfile, where their headers can be relied on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ...errors import ModalignError, explained, require
from .headers import is_chained, is_doubled, stated_frames, xing_frames
from .window import LATE, Blocks, Mono, places

BLOCK = 1 << 18
"""Values that are decoded at a time, all channels together."""

PLAIN = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b".snd", b"caff", b"riff")
"""How files begin that libsndfile may know, MPEG audio apart: with a tag or with a frame."""


@contextmanager
def open_plain(handle: IO[bytes] | Any, end: float) -> Iterator[Any]:
    """The file as libsndfile opens it; None where it does not know it, or would return a part of it without a word.

    That are several files in one (Ogg, MP3, FLAC), of which it reads the first, MPEG audio that does not state how long
    it is, for which it goes by the bit rate of the first frames, and what was written before its length was known:
    FLAC, in which it then cannot find its place, and headers that still say 0.

    Args:
        end: of the window that is wanted, in seconds.
    """
    head = handle.read(12)
    handle.seek(0)
    mpeg = head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] > b"\xe0")
    if not (mpeg or head.startswith(PLAIN)) or (mpeg and xing_frames(handle) is None):
        handle.seek(0)
        yield None
        return
    handle.seek(0)
    soundfile = require("soundfile", "audio")
    try:
        file = soundfile.SoundFile(handle)
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        handle.seek(0)
        yield None
        return
    with file:
        if _trusted(file, handle, end):
            yield file
            return
    handle.seek(0)
    yield None


def _trusted(file: Any, handle: Any, end: float) -> bool:
    """Whether libsndfile returns all of the file up to a moment, or knows that it does not."""
    if file.format == "OGG":
        return not is_chained(handle)
    if file.format == "FLAC":
        stated = stated_frames(file.format, file.frames, handle)
        return stated is not None and (end * file.samplerate <= stated or not is_doubled(handle))
    return bool(file.frames > 0)


def plain_blocks(file: Any, handle: Any, start: float, end: float, name: str) -> Blocks:
    """Mono blocks of the window. A file that holds less than its header says is refused where the window needs it.

    Telephone codecs and others that cannot be entered in the middle are read from the start, as is MPEG audio, whose
    middle is found inexactly.

    Raises:
        ModalignError: truncated or damaged within the window.
    """
    soundfile = require("soundfile", "audio")
    first, last = places(start, end, file.samplerate)
    stated = stated_frames(file.format, file.frames, handle)
    place, mono = 0, Mono(name)
    if str(file.subtype).startswith("DWVW"):
        file.seekable = lambda: False  # libsndfile says it is, and then fails; soundfile seeks after every read
    with explained(f"sound is truncated or damaged: {name}", soundfile.LibsndfileError, RuntimeError):
        if first and file.seekable() and not _mpeg(file):
            place = file.seek(min(first, file.frames))
        while place < last:
            block = file.read(min(max(1, BLOCK // file.channels), last - place), dtype="float32", always_2d=True)
            if not len(block):
                break
            fresh = block[max(0, first - place) :]
            place += len(block)
            if len(fresh):
                yield mono(fresh)
    mono.finish()
    rate = file.samplerate
    late = LATE * rate if _mpeg(file) else 0  # padding is counted, and not returned
    if stated is not None and place < min(stated, last) - late:
        raise ModalignError(f"sound is truncated: {name} ends after {place / rate:.1f} of {stated / rate:.1f} s")


def _mpeg(file: Any) -> bool:
    return str(file.subtype).startswith("MPEG")
