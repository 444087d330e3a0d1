"""Sound tracks beside videos."""

from __future__ import annotations

from modalign.data.manifest import Manifest, Row, with_soundtracks

FILM = Row(3, "video", uri="a.mp4", start=1.0, end=2.0, split="train", extra={"clip": "a"})


def test_videos_get_rows_of_audio_with_the_same_file_and_times() -> None:
    manifest = with_soundtracks(Manifest.from_rows([FILM, Row(3, "text", text="a dog")], name="films", meta={"a": "b"}))
    assert manifest.modality("audio")[0] == FILM._replace(modality="audio")
    assert manifest.modality("video")[0] == FILM
    assert len(manifest) == 3
    assert (manifest.name, manifest.meta) == ("films", {"a": "b"})


def test_sound_files_of_their_own_are_kept() -> None:
    manifest = Manifest.from_rows([FILM, Row(3, "audio", uri="a.wav")])
    assert with_soundtracks(manifest) is manifest


def test_nothing_is_added_without_videos() -> None:
    manifest = Manifest.from_rows([Row(0, "text", text="a dog")])
    assert with_soundtracks(manifest).modalities == ("text",)
