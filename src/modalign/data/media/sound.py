"""Safe decoding of sound: a file becomes mono samples at one rate, or one line says what is wrong with it.

libsndfile reads plain sound files whose headers can be relied on (``plain_sound``), PyAV everything else: MP4 under the
name of MP3, sound tracks of videos, MP3 that does not state its length, chained Ogg (``soundtrack``). Channels are
averaged, the rate is converted by soxr, block by block, so that memory follows what comes out. Nothing is random: the
same file gives the same samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np

from ...errors import ModalignError, require
from .container import check_window, open_container
from .headers import ends_early
from .plain_sound import open_plain, plain_blocks
from .soundtrack import track_blocks
from .source import installed, named, open_bytes
from .window import Blocks, Mono, places

VERSION = 3
"""Raised whenever decoding gives other samples for the same file, so that cached features are made anew."""

MAX_SAMPLES = 1 << 28
"""Most samples that come out (1 GiB; 4.6 hours at 16 kHz); ask for windows of longer sounds."""

RATES = (100, 1_000_000)
"""Sample rates that are believed, in Hz."""

CHANNELS = 64
"""Most channels of a sound; an array with more columns has its channels first."""

SoundSource = str | os.PathLike[str] | bytes | tuple[np.ndarray, int] | Mapping[str, Any]


def load_sound(
    source: SoundSource, rate: int = 16000, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Decode a sound, or the sound track of a video: mono, float32, at the rate you ask for.

        mono[t] = mean over channels of x[t, c]

    Args:
        source: path, ``shard.tar#member``, bytes, or (samples, rate) with samples (t,) or (t, channels) in [-1, 1];
            {"array": ..., "sampling_rate": ...} is the same.
        rate: of the result, in Hz. A 1 kHz tone stays one, whatever the file's rate.
        start, end: window in seconds; None: from the beginning, to the end. What lies past the end is cut off.

    Returns:
        samples: (t,) float32, about [-1, 1]; silence is all zeros; however short, at least one sample.
        rate: as asked for.

    Raises:
        ModalignError: missing, empty, no sound, no sound track, truncated or damaged within the window, a window that
            begins after the end, NaN among the samples, channels that cancel each other, or more than
            ``MAX_SAMPLES``; names the file.
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
    if not isinstance(rate, Real) or not RATES[0] <= rate <= RATES[1]:
        raise ModalignError(f"rate must lie between {RATES[0]} and {RATES[1]} Hz, got {rate}")
    if isinstance(source, Mapping) and {"array", "sampling_rate"} <= source.keys():
        source = (source["array"], source["sampling_rate"])
    if isinstance(source, tuple):
        source = _samples(source)
        name = f"<{len(source[0])} samples>"
        first, last = check_window(start, end, name)
        yield from _finished(*_array_blocks(source, first, last, name), rate, first, name)
        return
    name = named(source)
    first, last = check_window(start, end, name)
    with open_bytes(source) as handle:
        with open_plain(handle, last) as file:
            if file is not None:
                yield from _finished(file.samplerate, plain_blocks(file, handle, first, last, name), rate, first, name)
                return
        with open_container(handle, name) as container:
            yield from _finished(*track_blocks(container, first, last, name), rate, first, name)
            if last == float("inf") and ends_early(container.format.name, handle):
                raise ModalignError(f"sound is truncated: {name} lacks its end")


def sound_versions() -> dict[str, str]:
    """Versions of what decides the samples of a decoded sound, for fingerprints of features."""
    return {"sound": str(VERSION), **{package: installed(package) for package in ("soundfile", "soxr", "av")}}


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


def _samples(source: tuple[Any, ...]) -> tuple[np.ndarray, int]:
    """An array with its rate, checked."""
    x, *rates = source
    if len(rates) != 1 or isinstance(rates[0], bool) or not isinstance(rates[0], Real) or np.ndim(x) == 0:
        raise ModalignError("samples are given as (samples, rate), the rate a number of Hz")
    return np.asarray(x), round(float(rates[0]))


def _array_blocks(source: tuple[np.ndarray, int], start: float, end: float, name: str) -> tuple[int, Blocks]:
    x, own = np.asarray(source[0]), int(source[1])
    if x.ndim not in (1, 2) or x.dtype.kind != "f":
        hint = f"; divide by full scale, {np.iinfo(x.dtype).max + 1}" if x.dtype.kind == "i" else ""
        raise ModalignError(f"samples must be floats, (t,) or (t, channels), got {x.dtype} {x.shape}: {name}{hint}")
    first, last = places(start, end, own)
    mono = Mono(name)
    blocks = [mono(_time_first(x[:, None] if x.ndim == 1 else x, name)[first:last])] if x.size else []
    mono.finish()
    return own, iter(blocks)


def _time_first(x: np.ndarray, name: str) -> np.ndarray:
    """(t, channels), also of an array (channels, t), as other libraries have it."""
    if x.shape[1] <= CHANNELS and (x.shape[1] <= len(x) or len(x) == 1):
        return x
    if x.shape[1] > CHANNELS >= len(x):
        return x.T
    raise ModalignError(f"which side of samples {x.shape} is time? give them as (t, channels): {name}")
