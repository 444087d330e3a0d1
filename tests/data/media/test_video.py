"""Video: even steps in time, rotation, variable rates, headers that say little, what is cut off or damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modalign.data import media
from modalign.errors import ModalignError

Video = Callable[..., bytes]


def levels(pictures: list[Image.Image]) -> list[int]:
    """Which frame each picture is, by its grey."""
    return [round(p.getpixel((p.width - 4, p.height - 4))[0] / 4) for p in pictures]


def equal(a: list[Image.Image], b: list[Image.Image]) -> bool:
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("form", "codec"),
    [("mp4", "libx264"), ("matroska", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4"), ("mpegts", "libx264"),
     ("flv", "libx264"), ("h264", "libx264")],
)  # fmt: skip
def test_frames_are_at_even_steps_in_time(video: Video, form: str, codec: str) -> None:
    found = media.sample_frames(video(form=form, codec=codec), 4)
    assert found.substituted == 0
    off = 2 if form == "flv" else 1  # FLV's header says two frames too many
    assert np.allclose(found.times, [0.24, 0.72, 1.24, 1.72], atol=0.041 * off)
    assert np.allclose(levels(found.pictures), [6, 18, 31, 43], atol=off)
    assert {p.mode for p in found.pictures} == {"RGB"}
    assert {p.size for p in found.pictures} == {(64, 48)}


def test_windows(video: Video) -> None:
    data = video()
    assert levels(media.load_frames(data, 2, 1.0, 1.4)) == [27, 32]
    assert levels(media.load_frames(data, 2, 1.6, 99.0)) == [42, 47]
    with pytest.raises(ModalignError, match=r"window begins at 2 s, but the video ends at 2\.00 s"):
        media.load_frames(data, 2, 2.0, 3.0)
    with pytest.raises(ModalignError, match="a window needs"):
        media.load_frames(data, 2, 1.0, 1.0)
    with pytest.raises(ModalignError, match="at least 1 frame"):
        media.load_frames(data, 0)


def test_searching_a_long_file_finds_what_decoding_it_finds(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    data = video(300, noise=True, form="mp4")
    searched = media.sample_frames(data, 3)
    monkeypatch.setattr("modalign.data.media.video.JUMP", 1e9)
    decoded = media.sample_frames(data, 3)
    assert searched.times == decoded.times
    assert equal(searched.pictures, decoded.pictures)


def test_searching_decodes_little(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    data = video(300, form="mp4")
    monkeypatch.setattr("modalign.data.media.video.MAX_DECODED", 100)
    assert levels(media.load_frames(data, 2, 1.0, 1.4)) == [27, 32]
    assert len(media.load_frames(data, 2)) == 2
    monkeypatch.setattr("modalign.data.media.video.JUMP", 1e9)
    with pytest.raises(ModalignError, match="more than 100 frames decoded"):
        media.load_frames(data, 2)


def test_more_frames_than_there_are_repeat(video: Video) -> None:
    found = media.sample_frames(video(3), 6)
    assert levels(found.pictures) == [0, 0, 1, 1, 2, 2]
    assert found.substituted == 0


def test_variable_frame_rates_follow_the_clock(video: Video) -> None:
    # ten quick frames, then one that stays for a second, then ten quick ones
    data = video(20, pts=[*range(10), *range(35, 45)])
    assert levels(media.load_frames(data, 9)) == [2, 7, 9, 9, 9, 9, 9, 12, 17]


@pytest.mark.parametrize("form", ["matroska", "mpegts"])
def test_headers_without_durations(video: Video, form: str) -> None:
    assert levels(media.load_frames(video(form=form, pipe=True), 4)) == [6, 18, 31, 43]


def rotated(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """The matrix of an MP4 track's header replaced: what phones do."""
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    return data[:at] + struct.pack(">9i", *matrix) + data[at + 36 :]


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [((1, 0, 0, 1), (64, 48), (4, 4)), ((0, 1, -1, 0), (48, 64), (44, 4)), ((-1, 0, 0, -1), (64, 48), (60, 44)),
     ((0, -1, 1, 0), (48, 64), (4, 60))],
)  # fmt: skip
def test_rotation_tags_are_obeyed(
    video: Video, matrix: tuple[int, int, int, int], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """(0, 1, -1, 0) turns clockwise: the red corner, upper left as stored, is upper right when shown."""
    (picture,) = media.load_frames(rotated(video(form="mp4"), *matrix), 1)
    assert picture.size == size
    red, green, _ = picture.getpixel(corner)
    assert red > 200
    assert green < 60


def test_pixels_become_square(video: Video) -> None:
    assert media.load_frames(video(aspect=Fraction(3, 2)), 1)[0].size == (96, 48)


def test_no_sound_track_is_an_error_for_sound_alone(video: Video, tmp_path: Path) -> None:
    path = tmp_path / "silent film.mp4"
    path.write_bytes(video(form="mp4"))
    assert len(media.load_frames(path, 2)) == 2
    with pytest.raises(ModalignError, match=r"no sound track: .*silent film\.mp4"):
        media.load_sound(path)
    path.write_bytes(video(form="mp4", sound=2))
    assert abs(len(media.load_sound(path)[0]) - 32000) < 2100
    assert levels(media.load_frames(path, 2)) == [12, 37]


def test_sound_only_is_no_video(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "x.wav", np.zeros(100), 16000)
    with pytest.raises(ModalignError, match=r"no video: .*x\.wav \(sound only\)"):
        media.load_frames(tmp_path / "x.wav")


def test_damaged_frames_are_counted_and_the_same_each_time(video: Video) -> None:
    whole = video(noise=True, form="mp4")
    broken = bytearray(whole)
    middle = (whole.index(b"mdat") + whole.index(b"moov")) // 2
    broken[middle : middle + 3000] = bytes(b ^ 0x5A for b in broken[middle : middle + 3000])
    first, second = (media.sample_frames(bytes(broken), 50, substitutes=50) for _ in range(2))
    good = media.sample_frames(whole, 50)
    assert first.times == second.times
    assert equal(first.pictures, second.pictures)
    replaced = [i for i in range(50) if first.times[i] != good.times[i]]
    assert len(replaced) == first.substituted > 0
    count = first.substituted
    assert media.sample_frames(bytes(broken), 50, substitutes=count).substituted == count
    with pytest.raises(ModalignError, match=rf"truncated or damaged.*{count} of 50.*{count - 1} allowed"):
        media.sample_frames(bytes(broken), 50, substitutes=count - 1)
    # a window that the damage does not reach is fine
    assert media.sample_frames(bytes(broken), 4, 0.0, 0.4).substituted == 0


@pytest.mark.parametrize("form", ["matroska", "webm", "mp4", "flv"])
def test_cut_files_are_refused_in_one_line(video: Video, tmp_path: Path, form: str) -> None:
    whole = video(120, form=form, codec="libvpx" if form == "webm" else "libx264")
    path = tmp_path / "cut.mkv"
    for share in (0.02, 0.3, 0.6):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ModalignError, match=r"(truncated|damaged|cut off|no video|no frames).*cut\.mkv") as caught:
            media.load_frames(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"<html>gone", "web page"), (b"\0" * 999, "not a")])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(ModalignError, match=reason):
        media.load_frames(tmp_path / "x.mp4")
    with pytest.raises(ModalignError, match="not found"):
        media.load_frames(tmp_path / "y.mp4")


def test_large_pictures_are_refused(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modalign.data.media.video.MAX_PIXELS", 100)
    with pytest.raises(ModalignError, match="more than 100 pixels"):
        media.load_frames(video(5), 1)


def test_real_clips(external_data: Path) -> None:
    for i, seconds in enumerate([4.4, 14.7, 5.8, 6.7], start=1):
        found = media.sample_frames(external_data / f"av_clips_gram/videos/video{i}.mp4", 4)
        assert np.allclose(found.times, [(k + 0.5) / 4 * seconds for k in range(4)], atol=0.1)
        assert found.substituted == 0
        assert {p.size for p in found.pictures} == {(360, 640)}
