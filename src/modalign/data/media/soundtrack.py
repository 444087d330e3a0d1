"""Sound tracks of containers, and streams without a header, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import ModalignError, require
from .container import start_of, stated_duration
from .window import LATE, Blocks, mono, places

EXACT = ("mov", "mp4", "matroska", "webm", "avi", "flv", "asf")
"""Formats whose time stamps are written, not guessed from a bit rate, so that one may begin in the middle."""

RUN_UP = 1.0
"""Seconds to begin early: codecs need a run-up, and seeking may be coarse."""


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
    own = int(stream.rate or 0)
    if not own:
        raise ModalignError(f"sound track cannot be decoded: {name}")
    return own, _blocks(container, stream, own, start, end, name)


def _blocks(container: Any, stream: Any, own: int, start: float, end: float, name: str) -> Blocks:
    """Mono blocks of the window, placed by time stamps; silence where the track begins late or has a gap."""
    stated = stated_duration(container, stream)
    first, last = places(start, end, own)
    place = 0
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
    got = place / own
    if stated is not None and got < min(stated, end) - LATE:
        raise ModalignError(f"sound is truncated: {name} ends after {got:.1f} of {stated:.1f} s")


def _planes(container: Any, stream: Any, own: int, first: int, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """(place in samples, (t, channels) samples) of decoded frames, from some moment before the window on."""
    origin = start_of(container)
    exact = any(form in container.format.name.split(",") for form in EXACT)
    sought = exact and first > 2 * RUN_UP * own
    if sought:
        container.seek(int((first / own - RUN_UP + origin) * 1e6))
    resampler = require("av", "video").AudioResampler(format="fltp")
    place: int | None = None
    stream.codec_context.thread_count = 1
    for frame in container.decode(stream):
        if frame.sample_rate != own:
            raise ModalignError(f"sound changes its rate midway, {own} to {frame.sample_rate} Hz: {name}")
        try:
            parts = [part.to_ndarray().T for part in resampler.resample(frame)]
        except ValueError:
            raise ModalignError(f"sound changes its format midway: {name}") from None
        at = None if frame.pts is None else round((float(frame.pts * frame.time_base) - origin) * own)
        if place is None:
            place = at or 0
            if sought and place > first:  # the index leads past the window: read from the start
                container.seek(0)
                yield from _planes(container, stream, own, 0, name)
                return
        elif exact and at is not None and at > place + GAP * own:
            place = at
        for part in parts:
            yield place, part
            place += len(part)
