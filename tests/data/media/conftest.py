"""Small videos made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest


class Pipe(io.RawIOBase):
    """A file that cannot go back: what is written to it has no index and no durations."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self.data += bytes(block)
        return len(block)


def make_video(
    frames: int = 50,
    fps: int = 25,
    *,
    form: str = "matroska",
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] | None = None,
    sound: int = 0,
    noise: bool = False,
    pipe: bool = False,
    aspect: Fraction | None = None,
) -> bytes:
    """Frame i is grey of level 4 i (or noise); sound: seconds of a tone beside it."""
    out: Any = Pipe() if pipe else io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", 10
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        track = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for i in range(frames):
            shape = (size[1], size[0], 3)
            grey = np.full(shape, min(255, 4 * i), np.uint8)
            pixels = np.random.default_rng(i).integers(0, 256, shape).astype(np.uint8) if noise else grey
            if not noise:
                pixels[: size[1] // 2, : size[0] // 2] = [255, 0, 0]  # the corner tells which way is up
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = pts[i] if pts else i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None:
            wave = np.sin(np.arange(16000 * sound) / 3)[None].astype(np.float32)
            heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            heard.sample_rate, heard.time_base, heard.pts = 16000, Fraction(1, 16000), 0
            container.mux([*track.encode(heard), *track.encode(None)])
    return bytes(out.data) if pipe else out.getvalue()


@pytest.fixture(scope="session")
def video() -> Callable[..., bytes]:
    return make_video
