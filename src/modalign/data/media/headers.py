"""How long a sound file says it is, read from its own header: decoders quietly return what is left of a cut file."""

from __future__ import annotations

import os
import struct
from typing import IO, Any

STREAMED = 0x7FFFF000
"""Sizes from here on were written before the length was known."""

FLAC = b"fLaC\0\0\0\x22"
"""How a FLAC file begins: its name, and 34 bytes on the stream."""


def stated_frames(form: str, frames: int, handle: IO[bytes] | Any) -> int | None:
    """Frames (samples per channel) that a sound file promises; None where it does not say.

    Args:
        form: libsndfile's name of the format. frames: those it will return. handle: the file; its place is kept.
    """
    place = handle.tell()
    try:
        if form == "FLAC":
            return frames if frames < 1 << 62 else None
        if form in ("WAV", "WAVEX", "AIFF"):
            return _by_chunks(frames, handle)
        if form in ("RF64", "W64", "AU"):
            return _by_size(form, frames, handle)
        if form in ("MP3", "MPEG"):
            return xing_frames(handle)
        if form == "OGG":
            return frames + 1 if last_page_is_cut(handle) else None
        return None
    finally:
        handle.seek(place)


def _size(handle: Any) -> int:
    return int(handle.seek(0, os.SEEK_END))


def _by_chunks(frames: int, handle: Any) -> int | None:
    """RIFF and AIFF: the size of the chunk of samples, against what is there of it."""
    total = _size(handle)
    handle.seek(0)
    order = ">" if handle.read(12).startswith((b"FORM", b"RIFX")) else "<"
    while len(head := handle.read(8)) == 8:
        kind, size = struct.unpack(f"{order}4sI", head)
        here = handle.tell()
        if kind in (b"data", b"SSND"):
            there = total - here
            if not 0 < size < STREAMED or size <= there or there <= 0:
                return None
            return max(frames + 1, round(frames * size / there))
        handle.seek(here + size + size % 2)
    return None


def _by_size(form: str, frames: int, handle: Any) -> int | None:
    """RF64 and Wave64 state the size of the whole file, AU that of its samples behind a header."""
    total = _size(handle)
    handle.seek(0)
    head = handle.read(64)
    if len(head) < 64:
        return None
    if form == "AU":
        order = ">" if head.startswith(b".snd") else "<"
        offset, size = struct.unpack_from(f"{order}II", head, 4)
        stated, unknown = offset + size, size >= STREAMED
    else:
        (stated,) = struct.unpack_from("<Q", head, 20 if form == "RF64" else 16)
        stated, unknown = stated + (8 if form == "RF64" else 0), False
    if unknown or stated <= total or total <= 0:
        return None
    return max(frames + 1, round(frames * stated / total))


def xing_frames(handle: Any) -> int | None:
    """MP3: the number of frames in the Xing or Info header of the first one; None where it has none, or where another
    file follows the one that it tells of."""
    start = 0
    handle.seek(0)
    while size := tag_size(handle.read(10)):  # some programs put a tag before a tag
        start += size
        handle.seek(start)
    handle.seek(start)
    first = handle.read(256)
    at = max(first.find(b"Xing"), first.find(b"Info"))
    if at < 0 or len(first) < at + 12 or first[0] != 0xFF:
        return None
    flags, count = struct.unpack(">II", first[at + 4 : at + 12])
    samples = 1152 if first[1] >> 3 & 3 == 3 else 576
    if flags & 2:
        size = int.from_bytes(first[at + 8 + 4 * (flags & 1) :][:4])
        handle.seek(start + size)
        rest = handle.read(132)  # a tag of 128 bytes may stand between
        rest = rest[128:] if rest.startswith(b"TAG") else rest
        if rest.startswith(b"ID3") or (rest[:1] == b"\xff" and rest[1:2] > b"\xe0"):
            return None
    return count * samples if flags & 1 else None


def tag_size(head: bytes) -> int:
    """Bytes of the ID3 tag that begins here; 0 where none does.

    Example:
        >>> tag_size(b"ID3\\4\\0\\0\\0\\0\\1\\2")
        140
    """
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    return 10 + sum((b & 0x7F) << shift for b, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def is_chained(handle: Any) -> bool:
    """Ogg: whether streams follow each other in one file, as in recordings of radio.

    Streams that begin together are one recording in layers; one that begins after pages of others is the next
    recording.
    """
    place = handle.tell()
    handle.seek(0)
    started = False
    try:
        while len(head := handle.read(27)) == 27 and head.startswith(b"OggS"):
            begins = bool(head[5] & 2)
            if begins and started:
                return True
            started |= not begins
            lacing = handle.read(head[26])
            handle.seek(sum(lacing), os.SEEK_CUR)
        return False
    finally:
        handle.seek(place)


def is_doubled(handle: Any) -> bool:
    """FLAC: whether another file follows in the same one. Reads all of it."""
    place, tail = handle.tell(), b""
    handle.seek(len(FLAC))
    try:
        while block := handle.read(1 << 20):
            if FLAC in tail + block:
                return True
            tail = block[1 - len(FLAC) :]
        return False
    finally:
        handle.seek(place)


def ends_early(form: str, handle: Any) -> bool:
    """Whether a file lacks its end, of formats (FFmpeg's names) whose decoder goes by what is there."""
    return {"ogg": last_page_is_cut, "caf": _caf_is_cut}.get(form, lambda _: False)(handle)


def _caf_is_cut(handle: Any) -> bool:
    """CAF: whether the chunk of samples states more bytes than there are; -1 stands for a length not known."""
    total = _size(handle)
    handle.seek(8)
    while len(head := handle.read(12)) == 12:
        kind, size = struct.unpack(">4sq", head)
        if kind == b"data" or size < 0:
            return bool(handle.tell() + size > total)
        handle.seek(size, os.SEEK_CUR)
    return False


def last_page_is_cut(handle: Any) -> bool:
    """Ogg: whether the last page goes on past the end of the file."""
    total = _size(handle)
    handle.seek(max(0, total - (1 << 17)))
    tail = handle.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return True
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
