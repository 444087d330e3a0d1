"""Spoken names: deterministic, one file a text, and one clear line where the voice is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from modalign import cli
from modalign.data import media
from modalign.data.manifest import Manifest
from modalign.data.openmoji import openmoji
from modalign.data.speech import speak, with_speech
from modalign.errors import MissingExtraError, ModalignError

ROWS = [
    {"group": 0, "modality": "text", "text": "fox", "split": "train"},
    {"group": 1, "modality": "text", "text": "red apple: the fruit / of a tree", "split": "test"},
    {"group": 2, "modality": "text", "text": "fox", "split": "test"},
    {"group": 2, "modality": "image", "uri": "fox.png", "split": "test"},
]


@pytest.fixture
def voice() -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not installed (the extra 'speech')")


@pytest.mark.usefixtures("voice")
def test_the_same_words_sound_the_same_and_others_do_not() -> None:
    first, rate = speak("red apple")
    other, _ = speak("fox")
    assert speak("red apple") == (first, rate)
    assert speak("fox") == (other, rate)
    assert first != other
    assert speak("fox", "de")[0] != other
    assert 0.3 < len(first) / 2 / rate < 3.0
    assert np.abs(np.frombuffer(first, np.int16)).max() > 1000
    with pytest.raises(ModalignError, match="no voice 'klingonese'"):
        speak("fox", "klingonese")
    with pytest.raises(ModalignError, match="no words"):
        speak("  ")


@pytest.mark.usefixtures("voice")
def test_words_get_sounds_of_their_group_and_split(tmp_path: Path) -> None:
    plain = Manifest.from_rows(ROWS, name="three")
    spoken = with_speech(plain, folder=tmp_path)
    assert [spoken[i] for i in range(4)] == [plain[i] for i in range(4)]
    sounds = [row for row in spoken if row.modality == "audio"]
    assert [(r.group, r.split, r.extra["words"]) for r in sounds] == [
        (row["group"], row["split"], row["text"]) for row in ROWS[:3]
    ]
    assert sounds[0].uri == sounds[2].uri != sounds[1].uri
    assert len(list(tmp_path.iterdir())) == 2
    samples, _ = media.load_sound(sounds[1].uri, 16000)
    assert 0.5 < len(samples) / 16000 < 5
    times = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert with_speech(plain, folder=tmp_path).fingerprint() == spoken.fingerprint()
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    with pytest.raises(ModalignError, match="has 'audio' items already"):
        with_speech(spoken, folder=tmp_path)
    with pytest.raises(ModalignError, match="no words"):
        with_speech(plain.modality("image"), folder=tmp_path)


@pytest.mark.slow  # a file for each of a thousand names
@pytest.mark.usefixtures("voice")
def test_pictograms_have_spoken_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path))
    spoken = openmoji(speech=True)
    plain = openmoji()
    assert plain.modalities == ("image", "text")
    assert set(spoken.modalities) == {"image", "text", "audio"}
    assert len(spoken.rows("audio")) == len(plain.rows("text"))
    fox = next(row for row in spoken if row.modality == "audio" and row.extra["words"] == "fox")
    assert fox.extra["emoji"] == "🦊"


def test_without_the_voice_there_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from modalign.data import speech

    speech._engine.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'modalign\[speech\]'"):
        with_speech(Manifest.from_rows(ROWS[:1], name="one"), folder=tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", "--speech", "--out", str(tmp_path / "run")])
    err = capsys.readouterr().err.strip()
    assert stop.value.code == 2
    assert "pip install 'modalign[speech]'" in err
    assert err.count("\n") == 0
