"""Moving pictures, row by row of the table in docs/media.md: the frame at a time is the frame with that number."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from PIL import Image

from modalign.data import media
from modalign.errors import ModalignError

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the independent program, package imageio-ffmpeg")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
DOCS = Path(__file__).parents[3] / "docs" / "media.md"
SIZE, BITS, FPS = (96, 64), 6, 25


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame that says its number: bits as dark and light bars in the lower half, red upper left, blue upper right."""
    wide, high = size
    pixels = np.zeros((high, wide, 3), np.uint8)
    pixels[: high // 2, : wide // 2] = [220, 30, 30]
    pixels[: high // 2, wide // 2 :] = [30, 30, 220]
    for bit in range(BITS):
        pixels[high // 2 :, bit * wide // BITS : (bit + 1) * wide // BITS] = 220 if number >> bit & 1 else 30
    return pixels


def number(shown: Image.Image) -> int:
    """The number of an upright frame."""
    grey = np.asarray(shown.convert("L"), float)
    row = grey[int(grey.shape[0] * 0.6) : int(grey.shape[0] * 0.9)]
    edges = [(int((b + 0.3) * row.shape[1] / BITS), int((b + 0.7) * row.shape[1] / BITS)) for b in range(BITS)]
    bars = [row[:, first:last].mean() for first, last in edges]
    return sum(1 << b for b, level in enumerate(bars) if level > 125)


def made(
    form: str, codec: str, frames: int = 50, *, pts: Sequence[int] | None = None, clock: int = FPS,
    size: tuple[int, int] = SIZE, pixels: str = "yuv420p", aspect: Fraction | None = None,
    options: dict[str, str] | None = None, muxer: dict[str, str] | None = None,
) -> bytes:  # fmt: skip
    """Numbered frames by PyAV. pts: time stamps in ticks of 1 / clock s."""
    out = io.BytesIO()
    with av.open(out, "w", format=form, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=FPS, options=options or {})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, pixels, 10
        stream.codec_context.time_base = Fraction(1, clock)
        stream.bit_rate = 2_000_000
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(i, size), format="rgb24")
            frame.pts, frame.time_base = pts[i] if pts else i, Fraction(1, clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def by_ffmpeg(data: bytes, *arguments: str, form: str, before: Sequence[str] = (), tmp: Path | None = None) -> bytes:
    """A file remade by ffmpeg, through files, since some formats need to seek."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.bin"), Path(folder, "out.bin")
        source.write_bytes(data)
        subprocess.run([FFMPEG, "-v", "error", *before, "-i", source, *arguments, "-f", form, target], check=True)
        return target.read_bytes()


def matrix(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An MP4 whose track has another display matrix."""
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52
    values = [v << 16 for v in (a, b)] + [0] + [v << 16 for v in (c, d)] + [0, 0, 0, 1 << 30]
    return data[:at] + struct.pack(">9i", *values) + data[at + 36 :]


QUICK = {"preset": "ultrafast", "x265-params": "log-level=0"}
RAW = {"preset": "ultrafast", "bf": "0", "x264-params": "bframes=0:keyint=10"}
X264 = {"preset": "ultrafast", "bf": "2", "x264-params": "bframes=2:keyint=10"}
UNEVEN = [0]
for _step in range(1, 50):
    UNEVEN.append(UNEVEN[-1] + (20 if _step % 3 else 90))


def see_through(form: str, codec: str, *more: str) -> bytes:
    """A green upper half; below it a hidden magenta, wholly transparent, then half transparent black."""
    pixels = np.zeros((*SIZE[::-1], 4), np.uint8)
    pixels[:32], pixels[32:48], pixels[48:] = [30, 200, 30, 255], [255, 0, 255, 0], [0, 0, 0, 128]
    command = [FFMPEG, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", "96x64", "-r", "5", "-i", "pipe:0",
               "-c:v", codec, *more]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"film.{form}")
        subprocess.run([*command, target], input=pixels.tobytes() * 5, check=True)
        return target.read_bytes()


def stills() -> bytes:
    """Five pictures of .4 s each, a frame every .04 s: Theora says "the same again" by packets of no bytes."""
    slides = made("matroska", "ffv1", 5, pts=range(0, 50, 10))
    return by_ffmpeg(slides, "-r", "25", "-c:v", "libtheora", "-q:v", "10", form="ogg")


def coloured(matrix: str, span: str) -> bytes:
    """H.264 whose numbers are those of another matrix or range, and which says so."""
    change = f"scale=in_color_matrix=smpte170m:out_color_matrix={matrix}:out_range={span}"
    told = ("-colorspace", matrix, "-color_range", span, "-c:v", "libx264", "-qp", "4")
    return by_ffmpeg(h264(), "-vf", change, *told, form="matroska")


def from_the_middle() -> bytes:
    """A broadcast that somebody tuned into: the first whole picture comes later."""
    data = made("mpegts", "libx264", options=X264)
    return data[len(data) // 188 // 3 * 188 :]


def h264(**more: Any) -> bytes:
    return made("mp4", "libx264", options=X264, **more)


class Case(NamedTuple):
    """make: the file. at: times and the numbers of the frames shown then."""

    make: Callable[[], bytes]
    at: tuple[tuple[float, int], ...] = ((0.02, 0), (0.5, 12), (1.0, 25), (1.5, 37), (1.98, 49))


CASES = {
    "mp4-h264": Case(h264),
    "mp4-vfr": Case(lambda: h264(pts=UNEVEN, clock=1000),
                    tuple(((UNEVEN[i] + 5) / 1000, i) for i in (0, 1, 2, 3, 20, 30, 45))),
    "mp4-edit": Case(lambda: by_ffmpeg(h264(), "-c", "copy", form="mp4", before=("-ss", "0.6")),
                     ((0.02, 15), (0.5, 27), (1.0, 40))),
    "mov-fragments": Case(lambda: h264(muxer={"movflags": "frag_keyframe+empty_moov"})),
    "mkv-100s": Case(lambda: made("matroska", "libx264", pts=range(2500, 2550), options=X264)),
    "mkv-hevc": Case(lambda: made("matroska", "libx265", options=QUICK)),
    "webm-vp9": Case(lambda: made("webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})),
    "webm-open": Case(lambda: made("webm", "libvpx", muxer={"live": "1"}, options={"deadline": "realtime"})),
    # In a process of its own: as root, PyAV's only AV1 encoder (SVT-AV1) leaves its caller with real-time priority.
    "mkv-av1": Case(lambda: by_ffmpeg(h264(), "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8",
                                      form="matroska")),
    "ts": Case(lambda: made("mpegts", "libx264", options=X264)),
    "ts-wrap": Case(lambda: by_ffmpeg(made("mpegts", "libx264", options=X264), "-c", "copy", "-copyts",
                                      "-output_ts_offset", "95442", form="mpegts")),
    "ts-middle": Case(from_the_middle, ()),
    "ts-joined": Case(lambda: made("mpegts", "libx264", options=X264) * 2, ()),
    "mpg": Case(lambda: made("mpeg", "mpeg2video")),
    "mxf": Case(lambda: made("mxf", "mpeg2video")),
    "mov-prores": Case(lambda: made("mov", "prores_ks", pixels="yuv422p10le")),
    "ogv": Case(lambda: by_ffmpeg(h264(), "-c:v", "libtheora", "-q:v", "10", form="ogg")),
    "ogv-stills": Case(stills, ((0.02, 0), (0.3, 0), (0.5, 1), (1.0, 2), (1.62, 4))),
    "avi-mpeg4": Case(lambda: made("avi", "mpeg4")),
    "avi-mjpeg": Case(lambda: made("avi", "mjpeg", pixels="yuvj420p")),
    "flv": Case(lambda: made("flv", "flv")),
    "wmv": Case(lambda: made("asf", "wmv2")),
    "3gp-h263": Case(lambda: made("3gp", "h263", size=(176, 144))),
    "h264-raw": Case(lambda: made("h264", "libx264", options=RAW)),
    "gif-film": Case(lambda: made("gif", "gif", pixels="rgb8")),
    "mkv-ffv1": Case(lambda: made("matroska", "ffv1")),
    "interlaced": Case(lambda: made("mpeg", "mpeg2video", options={"flags": "+ildct+ilme"})),
    "hdr": Case(lambda: made("matroska", "libx265", pixels="yuv420p10le", options={
        "preset": "ultrafast", "x265-params": "log-level=0:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"})),
    "bt709": Case(lambda: coloured("bt709", "tv")),
    "full-range": Case(lambda: coloured("smpte170m", "pc")),
    "wide-pixels": Case(lambda: h264(aspect=Fraction(2, 1))),
    "mov-alpha": Case(lambda: see_through("mov", "png"), ()),
    "webm-alpha": Case(lambda: see_through("webm", "libvpx-vp9", "-pix_fmt", "yuva420p"), ()),
    "turned": Case(lambda: matrix(h264(), 0, 1, -1, 0), ()),
    "mirrored": Case(lambda: matrix(h264(), -1, 0, 0, 1), ()),
    "turned-mirrored": Case(lambda: matrix(h264(), 0, 1, 1, 0), ()),
}  # fmt: skip


def shown_at(data: bytes, time: float) -> Image.Image:
    return media.load_frames(data, 1, max(0.0, time - 0.001), time + 0.001)[0]


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.at])
def test_the_frame_at_a_time_has_its_number(name: str) -> None:
    case = CASES[name]
    data = case.make()
    assert [number(shown_at(data, time)) for time, _ in case.at] == [i for _, i in case.at]
    every = media.sample_frames(data, 5)
    assert every.times == sorted(every.times)
    assert [number(p) for p in every.pictures] == [number(shown_at(data, t + 0.005)) for t in every.times]


@pytest.mark.parametrize("name", ["turned", "mirrored", "turned-mirrored"])
def test_frames_stand_as_ffmpeg_shows_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(CASES[name].make())
    ours = media.load_frames(path, 1, 0.0, 0.01)[0]
    command = [FFMPEG, "-v", "error", "-i", path, "-frames:v", "1", "-f", "image2", "-c:v", "png", tmp_path / "one.png"]
    subprocess.run(command, check=True)
    theirs = Image.open(tmp_path / "one.png").convert("RGB")
    assert ours.size == theirs.size
    assert np.abs(np.asarray(ours, float) - np.asarray(theirs, float)).mean() < 4


@pytest.mark.parametrize("name", ["mp4-h264", "bt709", "full-range"])
def test_colours_are_those_of_the_matrix_that_the_file_names(name: str) -> None:
    shown = np.asarray(shown_at(CASES[name].make(), 0.0), float)
    for side, colour in ((slice(6, 42), [220, 30, 30]), (slice(54, 90), [30, 30, 220])):
        assert np.abs(shown[6:26, side] - colour).mean() < 6


def test_pictures_before_the_first_whole_one_are_that_one() -> None:
    found = media.sample_frames(from_the_middle(), 8)
    numbers = [number(p) for p in found.pictures]
    assert numbers[0] % 10 == 0
    assert numbers == sorted(numbers)
    assert numbers[0] >= 10
    assert numbers[-1] >= 45


def test_recordings_put_one_behind_the_other_have_no_times() -> None:
    data = CASES["ts-joined"].make()
    for read in (media.load_frames, media.film_length):
        with pytest.raises(ModalignError, match=r"leaps from 1\.9 to -?0\.\d s.*take them apart"):
            read(data)


@pytest.mark.parametrize(
    "make",
    [("mov", "png"), ("mov", "qtrle"), ("mkv", "ffv1"), ("apng", "apng"), ("mov", "prores_ks", "-profile:v", "4444")],
)
def test_transparent_frames_lie_on_white(make: tuple[str, ...]) -> None:
    shown = np.asarray(media.load_frames(see_through(*make), 1)[0], float)
    for rows, colour in ((slice(2, 30), [30, 200, 30]), (slice(34, 46), [255] * 3), (slice(50, 62), [127] * 3)):
        assert np.abs(shown[rows] - colour).mean() < 3


def test_the_alpha_of_webm_is_left_aside_by_its_decoder() -> None:
    shown = np.asarray(media.load_frames(CASES["webm-alpha"].make(), 1)[0], float)
    assert np.abs(shown[36:44] - [255, 0, 255]).mean() < 20


def test_wide_pixels_are_made_square() -> None:
    assert shown_at(CASES["wide-pixels"].make(), 0.0).size == (192, 64)


def test_hdr_is_not_tone_mapped() -> None:
    """A grey of full range stays the number that is in the file: brighter than a screen would show it, on purpose."""
    frame = np.asarray(shown_at(CASES["hdr"].make(), 0.0), float)
    assert abs(frame[5:25, 5:40].reshape(-1, 3).mean(0)[0] - 220) < 30


def test_what_is_refused() -> None:
    data = h264()
    with pytest.raises(ModalignError, match=r"truncated|cut off"):
        media.load_frames(data[: len(data) // 2])
    with pytest.raises(ModalignError, match="window begins"):
        media.load_frames(data, 2, 5.0, 6.0)


def test_every_row_of_the_table_has_a_test() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Moving pictures", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)) == set(CASES)
