"""Films in windows: the pictures and the sound of a window are those of the same seconds."""

from __future__ import annotations

import io
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from modalign.data import media
from modalign.data.films import cut, films
from modalign.data.manifest import Row
from modalign.errors import ModalignError
from modalign.features.encoders.audio import hear
from modalign.features.encoders.video import look


def film(seconds: int, sound: bool = True, late: float = 0.0) -> bytes:
    """In second i a grey of level 20 i and a tone of 300 + 100 i Hz; the file's clock begins at ``late``."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        track = container.add_stream("flac", rate=8000, layout="mono") if sound else None
        for i in range(10 * seconds):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * (i // 10), np.uint8), format="rgb24")
            frame.pts, frame.time_base = i + round(10 * late), Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None:
            t = np.arange(8000) / 8000
            wave = np.concatenate([np.sin(2 * np.pi * (300 + 100 * i) * t) for i in range(seconds)]) * 8000
            heard = av.AudioFrame.from_ndarray(wave[None].astype(np.int16), format="s16", layout="mono")
            heard.sample_rate, heard.time_base, heard.pts = 8000, Fraction(1, 8000), round(8000 * late)
            container.mux([*track.encode(heard), *track.encode(None)])
    return out.getvalue()


def loudest(samples: np.ndarray, rate: int) -> float:
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[np.abs(np.fft.rfft(samples)).argmax()])


@pytest.mark.parametrize("late", [0.0, 100.0])
def test_pictures_and_sound_of_a_window_are_of_the_same_seconds(tmp_path: Path, late: float) -> None:
    (tmp_path / "a.mkv").write_bytes(film(6, late=late))
    made = films(tmp_path, seconds=1.0)
    assert made.modalities == ("video", "audio")
    assert len(made) == 12
    for row in made.modality("video"):
        second = round(row.start or 0)
        grey = np.asarray(look(row, 4)[2]).mean()
        assert abs(grey - 20 * second) < 6
        (partner,) = [r for r in made.modality("audio") if r.group == row.group]
        assert (partner.uri, partner.start, partner.end) == (row.uri, row.start, row.end)
        samples = hear(partner, 8000).numpy()
        assert len(samples) == 8000
        assert abs(loudest(samples, 8000) - 300 - 100 * second) <= 2


def test_films_without_sound_have_pictures_alone_and_broken_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mute.mkv").write_bytes(film(3, sound=False))
    (tmp_path / "train" / "bad.mp4").write_bytes(b"nothing")
    made = films(tmp_path, seconds=2.0, step=0.5)
    assert [(r.modality, r.start, r.end) for r in made] == [
        ("video", 0.0, 2.0), ("video", 0.5, 2.5), ("video", 1.0, 3.0)
    ]  # fmt: skip
    assert set(made.splits) == {"train"}
    assert [(x.what, x.count, x.places) for x in made.left_out] == [("films", 1, ("train/bad.mp4",))]


def test_windows_of_one_film_never_part(tmp_path: Path) -> None:
    content = film(2)
    for i in range(12):
        (tmp_path / f"{i}.mkv").write_bytes(content)
    made = films(tmp_path, seconds=1.0)
    parts: dict[str, set[str]] = {}
    for row in made:
        parts.setdefault(row.extra["film"], set()).add(row.split)
    assert all(len(p) == 1 for p in parts.values())
    assert len(Counter(made.splits)) > 1


def test_cuts() -> None:
    assert cut(4.0, 4.0, 4.0) == [(0.0, 4.0)]
    assert cut(12.0, 4.0, 4.0)[-1] == (8.0, 12.0)
    with pytest.raises(ModalignError, match="seconds must be positive"):
        films("/", seconds=0)
    with pytest.raises(ModalignError, match="no rows"):
        films(Path(__file__).parent, seconds=1.0)


@pytest.mark.data
def test_real_clips(external_data: Path) -> None:
    made = films(external_data / "av_clips_gram" / "videos", seconds=2.0)
    assert len({r.extra["film"] for r in made}) == 4
    for row in list(made.modality("audio"))[:6]:
        samples = hear(row, 16000)
        assert abs(len(samples) / 16000 - ((row.end or 0) - (row.start or 0))) < 0.1
        assert len(look(row._replace(modality="video"), 2)) == 2
        assert isinstance(row, Row)
        assert media.film_length(str(row.uri))[1]
