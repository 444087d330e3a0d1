"""Containers of sound and moving pictures (MP4, Matroska, ...), opened through PyAV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ...errors import ModalignError, explained, require
from .source import looks_like

ALONE = {"protocol_whitelist": "none"}
"""A file is read alone: lists of files (ffconcat, playlists) and of streams (SDP) open no other file and no socket."""

TIMED = ("mov", "mp4", "matroska", "webm", "avi", "flv", "mxf", "nistsphere")
"""Formats whose headers state durations that can be relied on; elsewhere they are guessed from the bit rate."""


@contextmanager
def open_container(handle: IO[bytes] | Any, name: str) -> Iterator[Any]:
    """A PyAV container of a binary file. What goes wrong inside it becomes one clear line.

    Raises:
        ModalignError: not a container, or truncated or damaged; names the file.
        MissingExtraError: PyAV is not installed.
    """
    av = require("av", "video")
    head = handle.read(64)
    handle.seek(0)
    try:
        container = av.open(handle, options=ALONE, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError, MemoryError) as problem:
        raise ModalignError(
            f"not a sound or video, or cut off before its index: {name} ({_reason(head, problem)})"
        ) from None
    try:
        with explained(f"truncated or damaged: {name}", av.error.FFmpegError, MemoryError, UnicodeDecodeError):
            yield container
    finally:
        container.close()


def start_of(container: Any) -> float:
    """The time stamp, in seconds, at which a file begins: that of its first stream to begin. Times count from here."""
    return float(container.start_time or 0) / 1e6


def stated_duration(container: Any, stream: Any) -> float | None:
    """Seconds from the file's start to the end that the header gives a stream; None where it does not say or guesses.

    A stream's own duration counts (in Matroska: its DURATION tag); that of the whole file only if there is no other
    stream, as sound and pictures may end at different times. What Matroska states are ends on the file's clock, which
    in a cut recording begins late.
    """
    forms = container.format.name.split(",")
    if not any(known in forms for known in TIMED):
        return None
    if stream.duration is not None:
        late = float((stream.start_time or 0) * stream.time_base) - start_of(container)
        return max(0.0, late) + float(stream.duration * stream.time_base) or None
    stated = 0.0
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = tag.groups()
        stated = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    elif len(container.streams) == 1 and container.duration:
        stated = float(container.duration) / 1e6
    if "matroska" in forms:
        stated -= start_of(container)
    return stated if stated > 0 else None


def check_window(start: float | None, end: float | None, name: str) -> tuple[float, float]:
    """Start and end in seconds, (0, infinity) for None.

    Raises:
        ModalignError: a negative start, or an end that does not come after it.
    """
    first, last = 0.0 if start is None else float(start), float("inf") if end is None else float(end)
    if not 0.0 <= first < last:
        raise ModalignError(f"a window needs 0 <= start < end, got {start} to {end} for {name}")
    return first, last


def _reason(head: bytes, problem: Exception) -> str:
    """What the file looks like; where that is unknown, PyAV's reason without its error number and file name."""
    guess = looks_like(head)
    told = str(getattr(problem, "strerror", None) or problem or type(problem).__name__)
    return told if guess == "unknown format" else guess
