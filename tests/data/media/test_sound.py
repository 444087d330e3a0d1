"""Sound: rates, widths, channels, windows, containers, silence, what is cut off or damaged."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from modalign.data import media
from modalign.errors import ModalignError


def tone(rate: int, seconds: float = 1.0, hertz: float = 1000.0, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def loudest(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])


def encoded(samples: np.ndarray, rate: int, form: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def mp4(samples: np.ndarray, rate: int, codec: str = "aac", form: str = "mp4") -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue()


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_tone_stays_a_tone_at_any_rate(rate: int) -> None:
    samples, out = media.load_sound(encoded(tone(rate), rate))
    assert out == 16000
    assert samples.dtype == np.float32
    assert samples.shape == (16000,)
    assert abs(loudest(samples, out) - 1000) <= 1
    assert np.abs(samples[800:-800] - tone(16000)[800:-800]).max() < 2e-3


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_width_has_the_same_scale(subtype: str) -> None:
    samples, _ = media.load_sound(encoded(tone(16000), 16000, subtype=subtype))
    assert np.abs(samples - tone(16000)).max() < 0.02


def test_channels_are_averaged() -> None:
    left, right, third = tone(16000, level=0.6), tone(16000, hertz=500, level=0.3), np.zeros(16000)
    samples, _ = media.load_sound(encoded(np.stack([left, right, third], 1), 16000, subtype="FLOAT"))
    assert np.allclose(samples, (left + right) / 3, atol=1e-6)


def test_arrays_are_taken_like_files() -> None:
    plain, _ = media.load_sound((tone(8000), 8000))
    filed, _ = media.load_sound(encoded(tone(8000).astype(np.float32), 8000, subtype="FLOAT"))
    assert np.array_equal(plain, filed)
    window, _ = media.load_sound((tone(16000), 16000), start=0.25, end=0.5)
    assert np.allclose(window, tone(16000)[4000:8000])
    with pytest.raises(ModalignError, match="must be floats"):
        media.load_sound((np.zeros(5, np.int16), 8000))


def test_silence_is_zeros_and_finite() -> None:
    samples, _ = media.load_sound(encoded(np.zeros(441000), 44100))
    assert samples.shape == (160000,)
    assert not samples.any()


def test_one_sample_is_a_sound_and_none_is_not() -> None:
    assert media.load_sound(encoded(np.ones(1) * 0.5, 16000))[0].shape == (1,)
    assert media.load_sound(encoded(np.ones(1) * 0.5, 48000))[0].shape == (1,)
    with pytest.raises(ModalignError, match="no samples"):
        media.load_sound(encoded(np.zeros(0), 16000))


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF", "MP3"])
def test_windows_are_parts_of_the_whole(form: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(encoded(tone(16000, 3.0) * np.linspace(0.1, 1, 48000), 16000, form))
    whole, _ = media.load_sound(path)
    part, _ = media.load_sound(path, start=1.0, end=2.5)
    assert part.shape == (24000,)
    assert np.abs(part - whole[16000:40000]).max() < 1e-3


def test_windows_past_the_end_are_clipped() -> None:
    data = encoded(tone(16000, 2.0), 16000)
    assert media.load_sound(data, start=1.5, end=9.0)[0].shape == (8000,)
    assert media.load_sound(data, start=1.5)[0].shape == (8000,)
    for start in (2.0, 100.0):
        with pytest.raises(ModalignError, match="no samples after"):
            media.load_sound(data, start=start, end=start + 1)
    for start, end in ((1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(ModalignError, match="a window needs"):
            media.load_sound(data, start=start, end=end)


@pytest.mark.parametrize("form", ["mp4", "matroska"])
def test_containers_are_read_whatever_their_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "really_a_container.mp3"
    path.write_bytes(mp4(tone(44100, 2.0), 44100, form=form))
    samples, rate = media.load_sound(path)
    assert abs(len(samples) / rate - 2.0) < 0.06
    assert abs(loudest(samples[4000:-4000], rate) - 1000) <= 1


def test_windows_of_containers_are_parts_of_the_whole() -> None:
    data = mp4(tone(16000, 6.0) * np.linspace(0.1, 1, 96000), 16000)
    whole, rate = media.load_sound(data)
    part, _ = media.load_sound(data, start=4.0, end=5.0)
    assert part.shape == (16000,)
    assert np.abs(part - whole[4 * rate : 5 * rate]).max() < 1e-3
    assert media.load_sound(data, start=5.5, end=60.0)[0].shape[0] == len(whole) - 88000


def test_two_reads_are_equal() -> None:
    for data in (encoded(tone(44100), 44100, "OGG"), mp4(tone(44100), 44100)):
        assert np.array_equal(media.load_sound(data)[0], media.load_sound(data)[0])


@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF", "OGG", "mp4"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_cut_files_are_refused_in_one_line(tmp_path: Path, form: str, share: float) -> None:
    noise = np.random.default_rng(0).normal(size=64000) * 0.1
    whole = mp4(noise, 16000) if form == "mp4" else encoded(noise, 16000, form)
    path = tmp_path / "cut.wav"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModalignError, match=r"(truncated|damaged|cut off).*cut\.wav") as caught:
        media.load_sound(path)
    assert "\n" not in str(caught.value)


def test_an_mp3_that_states_its_length_is_refused_when_cut() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(16000, 4.0)[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    whole = out.getvalue()
    assert abs(len(media.load_sound(whole)[0]) / 16000 - 4.0) < 0.1
    with pytest.raises(ModalignError, match="truncated"):
        media.load_sound(whole[: len(whole) // 2])


def test_the_good_part_of_a_cut_file_can_be_asked_for() -> None:
    whole = encoded(tone(16000, 4.0), 16000)
    half = whole[: len(whole) // 2]
    assert np.array_equal(media.load_sound(half, end=1.0)[0], media.load_sound(whole, end=1.0)[0])


def test_a_stream_of_unknown_length_is_no_cut_file() -> None:
    data = bytearray(encoded(tone(16000), 16000))
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert media.load_sound(bytes(data))[0].shape == (16000,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<html><body>not found", "web page"), (b"hello", "text"), (b"", "empty"), (b"RIFF\x00\x00", "sound or video"),
     (b"\xff\xfb\x90", "unknown|Invalid|End|cut off"), (b"\xff", "cut off")],
)  # fmt: skip
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(ModalignError, match=reason):
        media.load_sound(path)


def test_a_picture_has_no_sound_track(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(ModalignError, match=r"no sound.*x\.png|not a sound.*x\.png"):
        media.load_sound(tmp_path / "x.png")


def test_nan_is_refused() -> None:
    with pytest.raises(ModalignError, match="NaN"):
        media.load_sound(encoded(np.array([0.1, np.nan, 0.2]), 16000, subtype="FLOAT"))


def test_lengths_and_rates_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modalign.data.media.sound.MAX_SAMPLES", 8000)
    for data in (encoded(tone(44100), 44100, "FLAC"), mp4(tone(44100), 44100)):
        with pytest.raises(ModalignError, match="ask for windows"):
            media.load_sound(data)
        assert len(media.load_sound(data, end=0.4)[0]) == 6400
    with pytest.raises(ModalignError, match="rate must"):
        media.load_sound(encoded(tone(16000), 16000), rate=0)
    with pytest.raises(ModalignError, match="claims a rate"):
        media.load_sound((np.zeros(5), 1))


def test_the_clips_with_wrong_names(external_data: Path) -> None:
    lengths = {1: 4.4, 2: 14.7, 3: 5.9, 4: 6.7}
    for i, seconds in lengths.items():
        sound, rate = media.load_sound(external_data / f"av_clips_gram/audios/audio{i}.mp3")
        track, _ = media.load_sound(external_data / f"av_clips_gram/videos/video{i}.mp4")
        assert abs(len(sound) / rate - seconds) < 0.1
        assert abs(len(track) - len(sound)) / rate < 0.1


def test_whole_numbers_are_refused_with_what_full_scale_is() -> None:
    with pytest.raises(ModalignError, match=r"got int16 \(8,\).*; divide by full scale, 32768$"):
        media.load_sound((np.ones(8, np.int16), 8000), 8000)
