"""Safe decoding of sound: a file becomes mono samples at one rate, or one line says what is wrong with it.

libsndfile reads plain sound files, PyAV everything else (MP4 under the name of MP3, sound tracks of videos). Channels
are averaged, the rate is converted by soxr, block by block, so that memory follows what comes out. Nothing is random:
the same file gives the same samples.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ...errors import ModalignError, require
from .container import check_window, open_container, stated_duration
from .headers import stated_frames
from .source import named, open_bytes

VERSION = 1
"""Raised whenever decoding gives other samples for the same file, so that cached features are made anew."""

MAX_SAMPLES = 1 << 28
"""Most samples that come out (1 GiB; 4.6 hours at 16 kHz); ask for windows of longer sounds."""

RATES = (100, 1_000_000)
"""Sample rates that are believed, in Hz."""

BLOCK = 1 << 18
"""Values that are decoded at a time, all channels together."""

PLAIN = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b".snd", b"caff", b"riff", b"ID3")
"""How files begin that libsndfile may know. MPEG audio may also begin with a frame."""

LATE = 0.25
"""Seconds by which a sound may end before its header says, without being called truncated."""

SoundSource = str | os.PathLike[str] | bytes | tuple[np.ndarray, int]
Blocks = Iterator[np.ndarray]


def load_sound(
    source: SoundSource, rate: int = 16000, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Decode a sound, or the sound track of a video: mono, float32, at the rate you ask for.

        mono[t] = mean over channels of x[t, c]

    Args:
        source: path, ``shard.tar#member``, bytes, or (samples, rate) with samples (t,) or (t, channels) in [-1, 1].
        rate: of the result, in Hz. A 1 kHz tone stays one, whatever the file's rate.
        start, end: window in seconds; None: from the beginning, to the end. What lies past the end is cut off.

    Returns:
        samples: (t,) float32, about [-1, 1]; silence is all zeros; however short, at least one sample.
        rate: as asked for.

    Raises:
        ModalignError: missing, empty, no sound, no sound track, truncated or damaged within the window, a window that
            begins after the end, NaN among the samples, or more than ``MAX_SAMPLES``; names the file.
        MissingExtraError: soundfile, soxr or (for containers) PyAV is not installed.

    Example:
        >>> samples, rate = load_sound((np.zeros((8000, 2)), 8000), rate=16000)
        >>> samples.shape, rate
        ((16000,), 16000)
    """
    blocks = list(sound_blocks(source, rate, start, end))
    return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)), rate


def sound_blocks(
    source: SoundSource, rate: int = 16000, start: float | None = None, end: float | None = None
) -> Iterator[np.ndarray]:
    """``load_sound`` piece by piece, so that hours of sound need no more memory than seconds.

    Yields:
        (t,) float32 each, at the rate you ask for; together what ``load_sound`` returns.

    Raises:
        ModalignError, MissingExtraError: as ``load_sound``, when the block that is concerned is asked for.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise ModalignError(f"rate must lie between {RATES[0]} and {RATES[1]} Hz, got {rate}")
    if isinstance(source, tuple):
        name = f"<{len(source[0])} samples>"
        first, last = check_window(start, end, name)
        yield from _finished(*_array_blocks(source, first, last, name), rate, first, name)
        return
    name = named(source)
    first, last = check_window(start, end, name)
    with open_bytes(source) as handle:
        head = handle.read(12)
        handle.seek(0)
        if head.startswith(PLAIN) or (head[0] == 0xFF and head[1:2] > b"\xe0"):
            soundfile = require("soundfile", "audio")
            try:
                file = soundfile.SoundFile(handle)
            except (soundfile.LibsndfileError, RuntimeError, TypeError):
                handle.seek(0)
            else:
                with file:
                    blocks = _plain_blocks(file, handle, first, last, name)
                    yield from _finished(file.samplerate, blocks, rate, first, name)
                return
        with open_container(handle, name) as container:
            yield from _finished(*_container_blocks(container, first, last, name), rate, first, name)


def sound_versions() -> dict[str, str]:
    """Versions of what decides the samples of a decoded sound, for fingerprints of features."""
    found = {"sound": str(VERSION)}
    for package in ("soundfile", "soxr", "av"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def _finished(own: int, blocks: Iterable[np.ndarray], rate: int, start: float, name: str) -> Blocks:
    """Blocks of mono samples at their own rate -> blocks at the rate that is asked for."""
    if not RATES[0] <= own <= RATES[1]:
        raise ModalignError(f"sound claims a rate of {own} Hz: {name}")
    stream = (
        require("soxr", "audio").ResampleStream(own, rate, 1, dtype="float32", quality="HQ") if own != rate else None
    )
    count = given = 0
    for block in blocks:
        count += len(block)
        if count * rate > MAX_SAMPLES * own:
            hours = MAX_SAMPLES / rate / 3600
            raise ModalignError(f"sound is longer than {hours:.1f} hours: {name} (ask for windows of it: start, end)")
        if not np.isfinite(block).all():
            raise ModalignError(f"sound holds NaN or infinite samples: {name}")
        fresh = block if stream is None else stream.resample_chunk(block)
        given += len(fresh)
        yield fresh
    if not count:
        raise ModalignError(f"sound has no samples{f' after {start:g} s' if start else ''}: {name}")
    if stream is not None:
        rest = max(1, round(count * rate / own)) - given
        fresh = stream.resample_chunk(np.empty(0, np.float32), last=True)[: max(0, rest)]
        yield np.pad(fresh, (0, max(0, rest - len(fresh))))


def _mono(x: np.ndarray) -> np.ndarray:
    """(t, channels) -> (t,) float32."""
    return np.ascontiguousarray(x.mean(1, dtype=np.float32) if x.shape[1] > 1 else x[:, 0], dtype=np.float32)


def _array_blocks(source: tuple[np.ndarray, int], start: float, end: float, name: str) -> tuple[int, Blocks]:
    x, own = np.asarray(source[0]), int(source[1])
    if x.ndim not in (1, 2) or x.dtype.kind != "f":
        raise ModalignError(f"samples must be floats, (t,) or (t, channels), got {x.dtype} {x.shape}: {name}")
    first, last = _places(start, end, own)
    return own, iter([_mono(x.reshape(len(x), -1)[first:last])])


def _places(start: float, end: float, rate: int) -> tuple[int, int]:
    """A window in samples."""
    return round(start * rate), max(round(start * rate) + 1, round(end * rate)) if math.isfinite(end) else 1 << 62


# ------------------------------------------------------------------ plain files, by libsndfile


def _plain_blocks(file: Any, handle: Any, start: float, end: float, name: str) -> Blocks:
    """Mono blocks of the window. A file that holds less than its header says is refused where the window needs it."""
    soundfile = require("soundfile", "audio")
    first, last = _places(start, end, file.samplerate)
    stated = stated_frames(file.format, file.frames, handle)
    mpeg = file.format in ("MP3", "MPEG")  # its seeking is inexact, its number of frames may be a guess
    place = 0
    try:
        if first and not mpeg:
            place = file.seek(min(first, file.frames))
        while place < last:
            block = file.read(min(max(1, BLOCK // file.channels), last - place), dtype="float32", always_2d=True)
            if not len(block):
                break
            fresh = block[max(0, first - place) :]
            place += len(block)
            if len(fresh):
                yield _mono(fresh)
    except (soundfile.LibsndfileError, RuntimeError) as problem:
        raise ModalignError(f"sound is truncated or damaged: {name} ({problem})") from None
    rate = file.samplerate
    late = LATE * rate if mpeg else 0  # padding is counted, and not returned
    if stated is not None and place < min(stated, last) - late:
        raise ModalignError(f"sound is truncated: {name} ends after {place / rate:.1f} of {stated / rate:.1f} s")


# ------------------------------------------------------------------ containers, by PyAV


def _container_blocks(container: Any, start: float, end: float, name: str) -> tuple[int, Blocks]:
    if not container.streams.audio:
        raise ModalignError(f"no sound track: {name}")
    stream = container.streams.audio[0]
    own = int(stream.rate or 0)
    if not own:
        raise ModalignError(f"sound track cannot be decoded: {name}")
    return own, _track_blocks(container, stream, own, start, end, name)


def _track_blocks(container: Any, stream: Any, own: int, start: float, end: float, name: str) -> Blocks:
    """Mono blocks of the window, placed by the time stamps of the frames."""
    resampler = require("av", "video").AudioResampler(format="fltp")
    origin = (container.start_time or 0) / 1e6
    stated = stated_duration(container, stream)
    if start > 2.0:  # one second early: codecs need a run-up, and seeking may be coarse
        container.seek(int((start - 1.0 + origin) * 1e6))
    first, last = _places(start, end, own)
    place: int | None = None
    stream.codec_context.thread_count = 1
    for frame in container.decode(stream):
        if frame.sample_rate != own:
            raise ModalignError(f"sound changes its rate midway, {own} to {frame.sample_rate} Hz: {name}")
        try:
            planes = [part.to_ndarray() for part in resampler.resample(frame)]
        except ValueError:
            raise ModalignError(f"sound changes its format midway: {name}") from None
        for plane in planes:
            if place is None:
                place = 0 if frame.pts is None else round((float(frame.pts * frame.time_base) - origin) * own)
            block = plane.T[max(0, first - place) : max(0, last - place)]
            place += plane.shape[1]
            if len(block):
                yield _mono(block)
        if place is not None and place >= last:
            break
    got = (place or 0) / own
    if stated is not None and got < min(stated, end) - LATE:
        raise ModalignError(f"sound is truncated: {name} ends after {got:.1f} of {stated:.1f} s")
