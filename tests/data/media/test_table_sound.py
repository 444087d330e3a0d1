"""Sound, row by row of the table in docs/media.md: made on the spot, compared with ffmpeg or with what was put in."""

from __future__ import annotations

import io
import re
import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
import soundfile

from modalign.data import media
from modalign.errors import ModalignError

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the independent decoder, package imageio-ffmpeg")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
DOCS = Path(__file__).parents[3] / "docs" / "media.md"


def sweep(seconds: float, rate: int) -> np.ndarray:
    """A tone that rises and swells: no two moments are alike."""
    t = np.arange(round(seconds * rate)) / rate
    return ((0.2 + 0.2 * t / seconds) * np.sin(2 * np.pi * (200 * t + 150 * t * t))).astype(np.float32)


def plain(
    form: str, subtype: str | None = None, seconds: float = 3.0, rate: int = 16000, channels: int = 1, **more: Any
) -> bytes:
    """A file by libsndfile."""
    out = io.BytesIO()
    x = np.stack([sweep(seconds, rate) / (c + 1) for c in range(channels)], 1)
    soundfile.write(out, x, rate, format=form, subtype=subtype, **more)
    return out.getvalue()


def by_av(form: str, codec: str, seconds: float = 4.0, rate: int = 16000, late: float = 0.0, **more: Any) -> bytes:
    """A file by PyAV. late: seconds of the first time stamp. pictures: seconds of video that begin at 0."""
    pictures, options = more.pop("pictures", 0.0), more.pop("options", {})
    out = io.BytesIO()
    with av.open(out, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", **more)
        film = container.add_stream("mpeg4", rate=25) if pictures else None
        if film is not None:
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
            for i in range(round(25 * pictures)):
                picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 128, np.uint8), format="rgb24")
                picture.pts, picture.time_base = i, Fraction(1, 25)
                container.mux(film.encode(picture))
            container.mux(film.encode())
        x = sweep(seconds, rate)
        frame = av.AudioFrame.from_ndarray(x[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(late * rate)
        fit = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=rate)
        for part in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()


def by_ffmpeg(*arguments: str, form: str, data: bytes | None = None, rate: int = 16000) -> bytes:
    """A file by ffmpeg from a sweep, or from other bytes."""
    given = data or plain("WAV", rate=rate)
    command = [FFMPEG, "-v", "error", "-i", "pipe:0", *arguments, "-f", form, "pipe:1"]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def two_tracks() -> bytes:
    """Two languages: the sweep, and silence."""
    other = ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=3", "-map", "0", "-map", "1")
    return by_ffmpeg(*other, "-c:a", "pcm_s16le", form="matroska")


def open_ended(data: bytes, size: bytes = b"\xff" * 4) -> bytes:
    """A WAV whose sizes were never filled in."""
    at = data.index(b"data") + 4
    return data[:4] + size + data[8:at] + size + data[at + 4 :]


def tagged(data: bytes) -> bytes:
    """An MP3 behind an ID3 tag with a picture of 20 kB."""
    body = b"APIC" + struct.pack(">I", 20000) + b"\0\0" + b"\0image/png\0\3\0" + bytes(20000 - 13)
    size = len(body)
    synchsafe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + synchsafe + body + data


class Case(NamedTuple):
    """make: the file. seconds: its length. exact: largest difference to ffmpeg; None: to the sweep itself, ``loss``.
    window: largest difference between a window and the same part of the whole."""

    make: Callable[[], bytes]
    seconds: float = 3.0
    rate: int = 16000
    exact: float | None = 1e-6
    window: float = 0.0
    loss: float = 0.02
    slack: float = 0.0


BARE = ("-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0")
CASES = {
    "wav-pcm": Case(lambda: plain("WAV", "PCM_16"), exact=None, loss=1e-4),
    "wav-24": Case(lambda: plain("WAV", "PCM_24"), exact=None, loss=1e-6),
    "wav-float": Case(lambda: plain("WAV", "FLOAT"), exact=None, loss=0.0),
    "wav-8": Case(lambda: plain("WAV", "PCM_U8"), exact=None, loss=8e-3),
    "wav-double": Case(lambda: plain("WAV", "DOUBLE"), exact=None, loss=0.0),
    "wav-alaw": Case(lambda: plain("WAV", "ALAW")),
    "wav-ulaw": Case(lambda: plain("WAV", "ULAW")),
    "wav-ima": Case(lambda: plain("WAV", "IMA_ADPCM"), exact=3e-3, slack=0.07),
    "wav-ms": Case(lambda: plain("WAV", "MS_ADPCM"), exact=3e-3, slack=0.07),
    "wav-gsm": Case(lambda: plain("WAV", "GSM610", rate=8000), rate=8000, slack=0.05),
    "wav-g721": Case(lambda: plain("WAV", "G721_32", rate=8000), rate=8000, exact=None, loss=0.2, slack=0.05),
    "wav-nms": Case(lambda: plain("WAV", "NMS_ADPCM_32", rate=8000), rate=8000, exact=None, loss=0.1, slack=0.05),
    "wav-mp3": Case(lambda: by_ffmpeg("-c:a", "libmp3lame", form="wav"), exact=2e-4, slack=0.15),
    "wav-open": Case(lambda: open_ended(plain("WAV", "PCM_16")), exact=None, loss=1e-4),
    "wav-zero": Case(lambda: open_ended(plain("WAV", "PCM_16"), bytes(4)), exact=None, loss=1e-4),
    "wav-rifx": Case(lambda: plain("WAV", "PCM_16", endian="BIG"), exact=None, loss=1e-4),
    "wav-channels": Case(lambda: plain("WAV", "FLOAT", channels=6), exact=None, loss=0.41),
    "rf64": Case(lambda: plain("RF64", "PCM_16")),
    "w64": Case(lambda: plain("W64", "PCM_16")),
    "aiff": Case(lambda: plain("AIFF", "PCM_16")),
    "aifc-sowt": Case(lambda: plain("AIFF", "PCM_16", endian="LITTLE")),
    "aiff-dwvw": Case(lambda: plain("AIFF", "DWVW_16"), exact=None, loss=1e-4),
    "au-g723": Case(lambda: plain("AU", "G723_24", rate=8000), rate=8000, exact=None, loss=0.2, slack=0.05),
    "au-ulaw": Case(lambda: plain("AU", "ULAW", rate=8000), rate=8000),
    "voc": Case(lambda: plain("VOC", "PCM_16")),
    "sphere": Case(lambda: plain("NIST", "PCM_16")),
    "sphere-ulaw": Case(lambda: plain("NIST", "ULAW", rate=8000), rate=8000),
    "caf": Case(lambda: plain("CAF", "FLOAT"), exact=None, loss=0.0),
    "caf-alac": Case(lambda: plain("CAF", "ALAC_16"), exact=None, loss=1e-4),
    "flac": Case(lambda: plain("FLAC", "PCM_16")),
    "flac-open": Case(lambda: by_ffmpeg("-c:a", "flac", form="flac")),
    "flac-chained": Case(lambda: plain("FLAC", "PCM_16") * 2, seconds=6.0),
    "ogg-flac": Case(lambda: by_ffmpeg("-c:a", "flac", form="ogg")),
    "ogg-vorbis": Case(lambda: plain("OGG", "VORBIS"), exact=1e-3, window=1e-3, slack=0.02),
    "ogg-opus": Case(lambda: plain("OGG", "OPUS", rate=48000), rate=48000, exact=2e-3, window=2e-2, slack=0.01),
    "ogg-chained": Case(lambda: plain("OGG", "VORBIS") * 2, seconds=6.0, exact=1e-3, slack=0.1),
    "opus-chained": Case(lambda: plain("OGG", "OPUS", rate=48000) * 2, 6.0, 48000, exact=2e-3, slack=0.1),
    "mp3-xing": Case(lambda: by_av("mp3", "libmp3lame", 3.0), exact=2e-4, slack=0.12),
    "mp3-vbr": Case(lambda: by_ffmpeg(*BARE, "-q:a", "4", form="mp3"), exact=2e-4, slack=0.12),
    "mp3-cbr": Case(lambda: by_ffmpeg(*BARE, "-b:a", "64k", form="mp3"), exact=2e-4, slack=0.12),
    "mp3-chained": Case(lambda: by_av("mp3", "libmp3lame", 3.0) * 2, seconds=6.0, exact=2e-4, slack=0.25),
    "mp3-cover": Case(lambda: tagged(by_av("mp3", "libmp3lame", 3.0)), exact=2e-4, slack=0.12),
    "mp3-mpeg25": Case(lambda: by_av("mp3", "libmp3lame", 3.0, 8000), rate=8000, exact=2e-4, slack=0.25),
    "mp2": Case(lambda: by_ffmpeg("-c:a", "mp2", "-b:a", "64k", form="mp2"), exact=2e-4, slack=0.12),
    "aac-adts": Case(lambda: by_ffmpeg("-c:a", "aac", form="adts"), exact=2e-4, slack=0.14),
    "mp4-aac": Case(lambda: by_av("mp4", "aac"), seconds=4.0, exact=2e-4, window=1e-3, slack=0.07),
    "m4a-alac": Case(lambda: by_av("ipod", "alac"), seconds=4.0),
    "mp4-flac": Case(lambda: by_av("mp4", "flac"), seconds=4.0),
    "mp4-opus": Case(lambda: by_av("mp4", "libopus", rate=48000), 4.0, 48000, 2e-3, window=2e-2, slack=0.05),
    "mov-pcm": Case(lambda: by_av("mov", "pcm_s16le"), seconds=4.0),
    "mp4-late": Case(lambda: by_av("mp4", "aac", late=1.0, pictures=5.0), seconds=5.0, exact=None, loss=9.0,
                     window=1e-3, slack=0.1),
    "mkv-opus": Case(lambda: by_av("matroska", "libopus", rate=48000), 4.0, 48000, 2e-3, window=2e-2, slack=0.05),
    "mkv-vorbis": Case(lambda: by_ffmpeg("-c:a", "libvorbis", form="matroska"), exact=1e-3, window=1e-3),
    "mkv-two": Case(lambda: two_tracks(), exact=None, loss=1e-4),
    "mkv-100s": Case(lambda: by_av("matroska", "flac", late=100.0), seconds=4.0),
    "webm-open": Case(lambda: by_ffmpeg("-c:a", "libopus", "-live", "1", form="webm", rate=48000), 3.0, 48000, 2e-3,
                      window=2e-2, slack=0.05),
    "ts": Case(lambda: by_ffmpeg("-c:a", "mp2", form="mpegts"), exact=2e-4, slack=0.12),
    "ts-aac": Case(lambda: by_ffmpeg("-c:a", "aac", form="mpegts", rate=48000), rate=48000, exact=2e-4, slack=0.05),
    "flv-aac": Case(lambda: by_av("flv", "aac", rate=44100), 4.0, 44100, exact=2e-4, window=1e-3, slack=0.07),
    "ac3": Case(lambda: by_ffmpeg("-c:a", "ac3", form="ac3", rate=48000), rate=48000, exact=2e-4, slack=0.07),
    "eac3": Case(lambda: by_ffmpeg("-c:a", "eac3", form="eac3", rate=48000), rate=48000, exact=2e-4, slack=0.07),
    "amr": Case(lambda: by_ffmpeg("-c:a", "libopencore_amrnb", "-b:a", "12.2k", form="amr", rate=8000), rate=8000,
                exact=1e-3, slack=0.05),
    "3gp-amr": Case(lambda: by_av("3gp", "libopencore_amrnb", rate=8000), 4.0, 8000, exact=1e-3, window=0.5,
                    slack=0.05),
    "wma": Case(lambda: by_ffmpeg("-c:a", "wmav2", form="asf"), exact=1e-3, window=1e-3, slack=0.15),
    "wavpack": Case(lambda: by_ffmpeg("-c:a", "wavpack", form="wv")),
    "tta": Case(lambda: by_ffmpeg("-c:a", "tta", form="tta")),
    "avi-pcm": Case(lambda: by_av("avi", "pcm_s16le"), seconds=4.0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_whole_is_what_an_independent_decoder_hears(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = tmp_path / "sound.bin"
    path.write_bytes(case.make())
    whole, rate = media.load_sound(path, case.rate)
    assert abs(len(whole) / rate - case.seconds) <= case.slack
    if case.exact is None:
        put = sweep(case.seconds, rate)[: len(whole)]
        assert np.abs(whole[: len(put)] - put).max() <= case.loss
        return
    command = [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:a:0", "-ac", "1", "-ar", str(rate)]
    heard = subprocess.run([*command, "-f", "f32le", "pipe:1"], capture_output=True, check=True).stdout
    other = np.frombuffer(heard, np.float32)
    assert abs(len(other) - len(whole)) <= case.slack * rate + 1
    size = min(len(other), len(whole))
    assert np.abs(whole[:size] - other[:size]).max() <= case.exact


@pytest.mark.parametrize("name", CASES)
def test_a_window_is_the_same_part_of_the_whole(name: str) -> None:
    case = CASES[name]
    data = case.make()
    whole, rate = media.load_sound(data, case.rate)
    for start, end in ((0.25, 0.5), (case.seconds - 0.7, case.seconds - 0.2)):
        part, _ = media.load_sound(data, case.rate, start, end)
        same = whole[round(start * rate) : round(end * rate)]
        assert len(part) == len(same)
        assert np.abs(part - same).max() <= case.window


@pytest.mark.parametrize(("form", "codec"), [("mp4", "aac"), ("matroska", "flac"), ("avi", "pcm_s16le")])
def test_far_windows_are_sought(form: str, codec: str) -> None:
    data = by_av(form, codec, seconds=40.0, rate=8000)
    whole, rate = media.load_sound(data, 8000)
    part, _ = media.load_sound(data, 8000, 35.0, 36.0)
    assert np.abs(part - whole[35 * rate : 36 * rate]).max() < 2e-3


def test_a_track_that_begins_late_begins_with_silence() -> None:
    whole, rate = media.load_sound(CASES["mp4-late"].make())
    assert not whole[: round(0.9 * rate)].any()
    put = sweep(4.0, rate)
    heard = whole[rate : rate + len(put)]
    assert np.corrcoef(heard, put[: len(heard)])[0, 1] > 0.99


def test_six_channels_are_averaged() -> None:
    whole, rate = media.load_sound(CASES["wav-channels"].make())
    assert np.allclose(whole, sweep(3.0, rate) * np.mean(1 / np.arange(1, 7)), atol=1e-6)


def test_arrays_have_time_first_or_are_turned() -> None:
    x = np.stack([sweep(1.0, 16000), np.zeros(16000, np.float32)])
    rows, _ = media.load_sound((x, 16000))
    columns, _ = media.load_sound((x.T, 16000))
    assert np.array_equal(rows, columns)
    assert rows.shape == (16000,)
    assert len(media.load_sound((np.zeros((1, 2)), 16000))[0]) == 1
    with pytest.raises(ModalignError, match="which side"):
        media.load_sound((np.zeros((2, 50)), 16000))


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125), tagged(b"")], ids=["nothing", "ID3v1", "a cover"])
def test_what_stands_between_two_mp3_files_is_no_sound(between: bytes) -> None:
    one, own = by_av("mp3", "libmp3lame", 3.0), media.load_sound(by_av("mp3", "libmp3lame", 3.0))[0]
    both, rate = media.load_sound(one + between + one)
    assert abs(len(both) / rate - 6.0) < 0.25
    shift = max(
        range(round(2.9 * rate), round(3.2 * rate), 8),
        key=lambda at: float(both[at:][: len(own)] @ own[: len(both) - at]),
    )
    assert np.corrcoef(both[shift:][: 2 * rate], own[: 2 * rate])[0, 1] > 0.9


def test_a_list_of_other_files_opens_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.wav").write_bytes(plain("WAV"))
    Path("list.wav").write_text("ffconcat version 1.0\nfile other.wav\n")
    for read in (media.load_sound, media.load_frames, media.film_length):
        with pytest.raises(ModalignError, match=r"list\.wav \(looks like text\)"):
            read("list.wav")


def test_sphere_that_is_shortened_is_refused() -> None:
    """Corpora ship it, and no decoder here knows it: read as plain samples it would be noise."""
    kind = "pcm,embedded-shorten-v2.00"
    head = "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 9000\nsample_rate -i 16000\nsample_n_bytes -i 2\n"
    head += f"sample_byte_format -s2 01\nsample_coding -s{len(kind)} {kind}\nend_head\n"
    with pytest.raises(ModalignError, match=r"damaged|cannot be decoded|not a sound"):
        media.load_sound(head.encode().ljust(1024) + bytes(range(256)) * 40)


def test_half_a_chain_is_refused() -> None:
    data = plain("OGG", "VORBIS", rate=16000) + plain("OGG", "VORBIS", rate=8000)
    with pytest.raises(ModalignError, match=r"truncated or damaged|changes its rate"):
        media.load_sound(data)


@pytest.mark.parametrize(
    "name",
    ["rf64", "w64", "au-g723", "au-ulaw", "caf", "caf-alac", "sphere", "sphere-ulaw", "ogg-chained", "mp3-cover",
     "mp4-aac", "wav-gsm"],
)  # fmt: skip
def test_a_file_that_ends_early_is_refused(name: str) -> None:
    data = CASES[name].make()
    with pytest.raises(ModalignError, match=r"truncated|cut off|damaged"):
        media.load_sound(data[: int(len(data) * 0.8)], CASES[name].rate)


def test_every_row_of_the_table_has_a_test() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Sound", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)) == set(CASES)
