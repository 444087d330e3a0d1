"""Sound tracks of containers, and streams without a header, through PyAV."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import ModalignError, require
from .container import start_of, stated_duration
from .headers import tag_size
from .window import LATE, Blocks, Mono, places

EXACT = ("mov", "mp4", "matroska", "webm", "avi", "flv", "asf")
"""Formats whose time stamps are written, not guessed from a bit rate, so that one may begin in the middle."""

RUN_UP = 1.0
"""Seconds to begin early: codecs need a run-up, and seeking may be coarse."""

FAR = 30.0
"""Seconds from which on a window is sought; up to there all is decoded, which is exact to the sample everywhere. Time
stamps of Matroska and ASF are whole milliseconds: windows behind may be off by one."""

GAP = 0.1
"""Seconds between the end of a frame and the next one's time stamp from which on there is silence between them."""


def track_blocks(container: Any, start: float, end: float, name: str) -> tuple[int, Blocks]:
    """The track's rate, and mono blocks of the window.

    Raises:
        ModalignError: no sound track, or one that cannot be decoded.
    """
    if not container.streams.audio:
        raise ModalignError(f"no sound track: {name}")
    stream = container.streams.audio[0]
    own = int(stream.rate or 0) if stream.codec_context is not None else 0
    if not own:
        raise ModalignError(f"sound track cannot be decoded: {name}")
    return own, _blocks(container, stream, own, start, end, name)


def _blocks(container: Any, stream: Any, own: int, start: float, end: float, name: str) -> Blocks:
    """Mono blocks of the window, placed by time stamps; silence where the track begins late or has a gap."""
    stream.codec_context.thread_count = 1
    stated = stated_duration(container, stream)
    first, last = places(start, end, own)
    place, mono = 0, Mono(name)
    for at, plane in _planes(container, stream, own, first, name):
        silent = min(at, last) - max(place, first)
        if silent > 0:
            yield np.zeros(silent, np.float32)
        block = plane[max(0, first - at) : max(0, last - at)]
        place = at + len(plane)
        if len(block):
            yield mono(block)
        if place >= last:
            break
    mono.finish()
    got = place / own
    if stated is not None and got < min(stated, end) - LATE:
        raise ModalignError(f"sound is truncated: {name} ends after {got:.1f} of {stated:.1f} s")


def _planes(container: Any, stream: Any, own: int, first: int, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """(place in samples, (t, channels) samples) of decoded frames, from some moment before the window on."""
    frames = _frames(container, stream, own, name)
    opening = next(frames, None)
    if opening is None:
        return
    begin, exact = opening[0], any(form in container.format.name.split(",") for form in EXACT)
    # Beside pictures a sound track keeps its own start; alone, it begins with what is heard first.
    origin = start_of(container) if len(container.streams) > 1 or begin is None else begin
    if exact and begin is not None and first > FAR * own:
        container.seek(int((first / own - RUN_UP + origin) * 1e6))
        frames = _frames(container, stream, own, name)
        landed = next(frames, None)
        if landed is not None and landed[0] is not None and (landed[0] - origin) * own <= first:
            opening = landed
        else:  # the index leads past the window: read from the start
            container.seek(0)
            frames = _frames(container, stream, own, name)
            opening = next(frames)
    place = 0 if opening[0] is None else round((opening[0] - origin) * own)
    for at, part in itertools.chain([opening], frames):
        if exact and at is not None and (at - origin) * own > place + GAP * own:
            place = round((at - origin) * own)
        yield place, part
        place += len(part)


def _frames(container: Any, stream: Any, own: int, name: str) -> Iterator[tuple[float | None, np.ndarray]]:
    """(time stamp in seconds, (t, channels) samples) of decoded frames."""
    resampler = require("av", "video").AudioResampler(format="fltp")
    for frame in _decoded(container, stream):
        if frame.sample_rate != own:
            raise ModalignError(f"sound changes its rate midway, {own} to {frame.sample_rate} Hz: {name}")
        try:
            parts = [part.to_ndarray().T for part in resampler.resample(frame)]
        except ValueError:
            raise ModalignError(f"sound changes its format midway: {name}") from None
        at = None if frame.pts is None else float(frame.pts * frame.time_base)
        for part in parts:
            yield at, part
            at = None


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames. A tag between MP3 files that were put one behind the other is no sound, and no damage."""
    tag = 0
    for packet in container.demux(stream):
        if tag <= 0 and container.format.name == "mp3":
            tag = tag_size(bytes(packet))
        if tag > 0:
            tag -= packet.size
        else:
            yield from packet.decode()
