"""Safe decoding of video: frames at even steps in time, upright, or one line that says what is wrong with the file.

Times are those of the file's clock (variable frame rates, late starts), not counted frames. The frame shown at a moment
is the last one that begins by then. Frames that cannot be decoded are never quietly replaced: they are counted, and the
file is refused where there are more of them than you allow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from PIL import Image

from ...errors import ModalignError, require
from .container import check_window, open_container, start_of, stated_duration
from .pictures import MAX_PIXELS, on_white
from .source import installed, named, open_bytes

VERSION = 3
"""Raised whenever decoding gives other pixels for the same file, so that cached features are made anew."""

MAX_DECODED = 100_000
"""Most frames that are decoded of one file (about an hour); long files are fine, as they are not decoded in between."""

JUMP = 4.0
"""Seconds to the next frame from which on the file is searched instead of decoded in between."""

LATE = 1.0
"""Seconds for which the last frame is shown beyond its time without being called missing."""

ROUNDING = 1e-4
"""Seconds; time stamps are rounded to the clock of the file."""

CLOCKED = ("mpegts", "mpeg")
"""Broadcast formats, of which files are put one behind the other as they are, each with a clock of its own."""

LEAP = (-1.0, 10.0)
"""Seconds between packets of such a file, the least and the most, within which its clock goes on."""


class Frames(NamedTuple):
    """Frames of a video.

    pictures: upright RGB. times: when each begins, in seconds. substituted: how many could not be decoded and are
    the nearest good one instead.
    """

    pictures: list[Image.Image]
    times: list[float]
    substituted: int


def load_frames(
    source: str | bytes | Any, n: int = 8, start: float | None = None, end: float | None = None, substitutes: int = 0
) -> list[Image.Image]:
    """``sample_frames(...).pictures``: n upright RGB pictures at even steps in time."""
    return sample_frames(source, n, start, end, substitutes).pictures


def sample_frames(
    source: str | bytes | Any, n: int = 8, start: float | None = None, end: float | None = None, substitutes: int = 0
) -> Frames:
    """Decode n frames at even steps in time.

        t_i = a + (i + 1/2) (b - a) / n,  i = 0 .. n - 1, for a window from a to b

    Args:
        source: path, ``shard.tar#member`` or bytes.
        n: frames, at least 1. A video with fewer shows some of them several times.
        start, end: window in seconds; None: from the beginning, to the end. What lies past the end is cut off.
        substitutes: frames that may be the nearest good one because theirs cannot be decoded.

    Raises:
        ModalignError: missing, empty, no video, a window that begins after the end, pictures of more than
            ``MAX_PIXELS``, or more damaged or missing frames than ``substitutes``; names the file.
        MissingExtraError: PyAV is not installed.

    Example:
        >>> import av, numpy
        >>> with av.open("clip.mp4", "w") as clip:
        ...     stream = clip.add_stream("mpeg4", rate=2, width=32, height=32)
        ...     for shade in range(8):
        ...         picture = numpy.full((32, 32, 3), 30 * shade, numpy.uint8)
        ...         clip.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        ...     clip.mux(stream.encode())
        >>> sample_frames("clip.mp4", n=4).times
        [0.5, 1.5, 2.5, 3.5]
    """
    if n < 1:
        raise ModalignError(f"a video needs at least 1 frame, got {n}")
    name = named(source)
    first, last = check_window(start, end, name)
    with open_bytes(source) as handle:
        with open_container(handle, name) as container:
            stream = _pictures(container, name)
            length = stated_duration(container, stream) or _scanned_duration(container, stream, name)
        last = min(last, length)
        if first >= last:
            raise ModalignError(f"window begins at {first:g} s, but the video ends at {length:.2f} s: {name}")
        targets = [first + (i + 0.5) * (last - first) / n for i in range(n)]
        handle.seek(0)
        with open_container(handle, name) as container:
            picked = _Player(container, _pictures(container, name), name).at(targets)
    substituted = sum(p.substituted for p in picked)
    if substituted > substitutes:
        raise ModalignError(
            f"video is truncated or damaged: {name} "
            f"({substituted} of {n} frames cannot be decoded; {substitutes} allowed)"
        )
    return Frames([p.picture for p in picked], [p.time for p in picked], substituted)


def film_length(source: str | bytes | Any) -> tuple[float, bool]:
    """Seconds of a video's pictures, and whether it has a sound track.

    Raises:
        ModalignError: missing, empty, no video, truncated or damaged; names the file.
        MissingExtraError: PyAV is not installed.
    """
    name = named(source)
    with open_bytes(source) as handle, open_container(handle, name) as container:
        stream = _pictures(container, name)
        heard = any(s.codec_context is not None for s in container.streams.audio)
        return stated_duration(container, stream) or _scanned_duration(container, stream, name), heard


def video_versions() -> dict[str, str]:
    """Versions of what decides the pixels of a decoded frame, for fingerprints of features."""
    return {"video": str(VERSION), "av": installed("av")}


class _Picked(NamedTuple):
    picture: Image.Image
    time: float
    substituted: bool


class _Player:
    """Goes through a video forwards and shows frames at the times asked for."""

    def __init__(self, container: Any, stream: Any, name: str) -> None:
        self.container = container
        self.stream = stream
        self.name = name
        self.origin = start_of(container)
        self.step = 1 / float(stream.average_rate or 25)
        self.decoded = 0
        self.jumps = True
        self.bad: set[float] = set()
        """Times of the frames that cannot be decoded."""
        self.rewind()

    def rewind(self) -> None:
        """Start over with what the container yields from here on."""
        self.shown: tuple[float, Any] | None = None
        self.coming = self._decode()
        self.ahead = next(self.coming, None)

    def at(self, targets: Sequence[float]) -> list[_Picked]:
        """The frames at ascending times."""
        out: list[_Picked] = []
        for target in targets:
            self._go(target)
            time, frame = self.shown or self.ahead or (0.0, None)
            if frame is None:
                raise ModalignError(f"video is truncated or damaged: {self.name} (no frame can be decoded)")
            missed = any(time < bad <= target + ROUNDING for bad in self.bad)
            if self.shown is None:  # nothing begins by then: the first frame that follows
                missed = any(bad < time for bad in self.bad)
            elif self.ahead is None:
                missed |= target > time + self.step + LATE
            picture = out[-1].picture if out and out[-1].time == time else _upright(frame, self.stream)
            out.append(_Picked(picture, time, missed))
        return out

    def _go(self, target: float) -> None:
        """Move on until the next frame begins after the target."""
        if self.jumps and self.ahead is not None and target > self.ahead[0] + JUMP:
            self._jump(target)
        while self.ahead is not None and self.ahead[0] <= target + ROUNDING:
            self.shown = self.ahead
            self.ahead = next(self.coming, None)

    def _jump(self, target: float) -> None:
        """Go to the last key frame before a time; no more jumps where the file's index cannot be relied on."""
        av = require("av", "video")
        try:
            self.container.seek(int((target + self.origin) * 1e6))
        except av.error.FFmpegError:
            self.jumps = False
            return
        self.rewind()
        if self.ahead is None or self.ahead[0] > target + ROUNDING:
            self.jumps = False
            self.container.seek(0, any_frame=True)
            self.rewind()

    def _decode(self) -> Iterator[tuple[float, Any]]:
        """(time, frame) of the good frames, as they are shown; notes the times of the others."""
        av = require("av", "video")
        clock, last = -self.step, None
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the file ends within a packet
                self.bad.add(clock + self.step)
                return
            if packet is None:
                return
            if not packet.size and packet.pts is not None:  # the picture stays; a decoder would take this for the end
                if last is not None:
                    yield self._time(packet), last
                continue
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.bad.add(clock + self.step if packet.pts is None else self._time(packet))
                continue
            for frame in frames:
                self.decoded += 1
                if self.decoded > MAX_DECODED:
                    raise ModalignError(f"video needs more than {MAX_DECODED:,} frames decoded, refused: {self.name}")
                if frame.pts is None:  # a raw stream: frames follow each other at a steady rate, and there is no index
                    self.jumps = False
                clock = clock + self.step if frame.pts is None else self._time(frame)
                if frame.is_corrupt:
                    self.bad.add(clock)
                else:
                    last = frame
                    yield clock, frame

    def _time(self, part: Any) -> float:
        """Seconds of a packet or frame, on the clock of the file."""
        return float(part.pts * part.time_base) - self.origin


def _pictures(container: Any, name: str) -> Any:
    """The first stream of moving pictures; the cover of a music file is none."""
    cover = require("av", "video").stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams or streams[0].codec_context is None:
        raise ModalignError(f"no video: {name}{' (sound only)' if container.streams.audio else ''}")
    context = streams[0].codec_context
    if context.width * context.height > MAX_PIXELS:
        raise ModalignError(f"video has more than {MAX_PIXELS:,} pixels a frame, refused: {name}")
    context.thread_count = 1  # encoding runs in threads of its own
    return streams[0]


def _scanned_duration(container: Any, stream: Any, name: str) -> float:
    """Seconds of a video whose header does not tell, by going through its packets without decoding them.

    Raises:
        ModalignError: no frames, or a clock that leaps, so that moments have no times.
    """
    av = require("av", "video")
    origin, step = start_of(container), 1 / float(stream.average_rate or 25)
    end, count, before = 0.0, 0, None
    try:
        for packet in container.demux(stream):
            if packet.size:
                count += 1
            if packet.dts is not None and container.format.name in CLOCKED:
                now = float(packet.dts * packet.time_base) - origin
                if before is not None and not LEAP[0] <= now - before <= LEAP[1]:
                    raise ModalignError(
                        f"the clock of the video leaps from {before:.1f} to {now:.1f} s, as where recordings were put "
                        f"one behind the other: {name} (take them apart)"
                    )
                before = now
            if packet.pts is not None:
                begin = float(packet.pts * packet.time_base) - origin
                end = max(end, begin + (float(packet.duration * packet.time_base) if packet.duration else step))
    except av.error.FFmpegError:
        pass  # the file ends within a packet: so far it can be read
    if not count:
        raise ModalignError(f"video holds no frames: {name}")
    return end or count * step


def _upright(frame: Any, stream: Any) -> Image.Image:
    """RGB on white with square pixels, turned and mirrored as the file's display matrix says."""
    picture = on_white(Image.fromarray(frame.to_ndarray(format="rgba"))) if _transparent(frame) else frame.to_image()
    shape = stream.sample_aspect_ratio
    if shape and shape > 0 and shape != 1:
        wide = max(1, round(picture.width * float(shape)))
        if wide * picture.height <= MAX_PIXELS:
            picture = picture.resize((wide, picture.height), Image.Resampling.BICUBIC)
    return _displayed(picture, frame)


def _transparent(frame: Any) -> bool:
    return bool(frame.format.has_palette or any(part.is_alpha for part in frame.format.components))


def _displayed(picture: Image.Image, frame: Any) -> Image.Image:
    """A frame as its display matrix places it: (x, y) -> (a x + c y, b x + d y).

    Right angles, mirrored or not, by the signs of the matrix; others by the angle that it comes closest to.
    """
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None or len(bytes(found)) < 36:
        return picture
    a, b, _, c, d = struct.unpack_from("5i", bytes(found))
    if not (a == d == 0 or b == c == 0):
        turn = round(frame.rotation) % 360
        return picture.rotate(turn, expand=True) if turn else picture
    if a == d == 0:
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
        a, d = c, b
    if a < 0:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if d < 0 else picture
