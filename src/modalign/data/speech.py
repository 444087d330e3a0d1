"""Words spoken by a synthetic voice (eSpeak NG): a sound for every name, where no recordings are at hand.

The voice is synthetic, the same for every word, and comes with the extra "speech" (package ``espeakng-loader``, eSpeak
NG is GPL-3.0 software). It shows that a third modality works; it says nothing about recordings of people.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import threading
import wave
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ModalignError, explained, require
from ..files import atomic, cache_folder
from . import media
from .manifest import Manifest, Row

SPEED = 140
"""Words per minute."""
VARIANT = "adam"
"""Of every language's voice. Its pitch does not waver; that of others does, on from what they said before."""
_SYNCHRONOUS, _NO_EXIT, _CHARACTERS_UTF8, _RATE = 2, 0x8000, 1, 1
_LOCK = threading.Lock()


def speak(words: str, voice: str = "en") -> tuple[bytes, int]:
    """Words as 16-bit mono samples with their rate in Hz; the same words give the same samples.

    Args:
        words: to say. voice: language of eSpeak NG, such as "en", "de", "fr-fr".

    Raises:
        MissingExtraError: eSpeak NG is not installed. ModalignError: no such voice, or nothing to say.
    """
    if not words.strip():
        raise ModalignError("there are no words to speak")
    with _LOCK:
        engine = _engine()
        rate = _start(engine)
        if engine.espeak_SetVoiceByName(f"{voice}+{VARIANT}".encode()) != 0:
            raise ModalignError(f"eSpeak NG has no voice '{voice}': use a language code such as en, de or fr-fr")
        engine.espeak_SetParameter(_RATE, SPEED, 0)
        _parts.clear()
        text = words.encode()
        failed = engine.espeak_Synth(text, len(text) + 1, 0, 1, 0, _CHARACTERS_UTF8, None, None)
        samples = b"".join(_parts)
    if failed or not samples:
        raise ModalignError(f"eSpeak NG could not say '{words[:80]}'")
    return samples, rate


def with_speech(manifest: Manifest, voice: str = "en", folder: Path | None = None) -> Manifest:
    """A manifest whose words have spoken ones beside them: rows of "audio", of the same groups and splits.

    Args:
        voice: see ``speak``.
        folder: for the WAV files, one per distinct text, written once; None: in the cache folder.

    Raises:
        MissingExtraError: eSpeak NG is not installed.
        ModalignError: the manifest has no words, or has sounds already; see also ``speak``.
    """
    if "audio" in manifest.modalities:
        raise ModalignError(f"'{manifest.name}' has 'audio' items already")
    texts = [row for row in manifest if row.text is not None]
    if not texts:
        raise ModalignError(f"'{manifest.name}' has no words that could be spoken")
    version = media.installed(require("espeakng_loader", "speech").__name__)
    place = folder or cache_folder() / "speech" / f"{voice}-{VARIANT}-{SPEED}-{version}"
    return manifest.plus((_sound_of(row, voice, place) for row in texts), speech="eSpeak NG")


def _sound_of(row: Row, voice: str, folder: Path) -> Row:
    words = str(row.text)
    slug = re.sub(r"\W+", "-", words)[:40].strip("-")
    mark = hashlib.blake2b(words.encode(), digest_size=6).hexdigest()
    path = folder / f"{slug}-{mark}.wav"
    if not path.exists():
        samples, rate = speak(words, voice)
        with atomic(path) as partial, wave.open(str(partial), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(samples)
    return row._replace(modality="audio", text=None, uri=str(path), extra={**row.extra, "words": words})


_parts: list[bytes] = []
_callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def _take(samples: int | None, count: int, events: int | None) -> int:
    if samples and count > 0:
        _parts.append(ctypes.string_at(samples, 2 * count))
    return 0


_callback: Any = _callback_type(_take)


@cache
def _engine() -> Any:
    """The library; it exists once in a process."""
    loader = require("espeakng_loader", "speech")
    with explained("eSpeak NG cannot be loaded", OSError, then=": reinstall espeakng-loader"):
        return ctypes.CDLL(loader.get_library_path())


def _start(engine: Any) -> int:
    """Begin anew and return the sampling rate: a voice that goes on sounds of what it said before."""
    loader = require("espeakng_loader", "speech")
    engine.espeak_Terminate()
    rate = int(engine.espeak_Initialize(_SYNCHRONOUS, 0, str(loader.get_data_path()).encode(), _NO_EXIT))
    if rate <= 0:
        raise ModalignError("eSpeak NG does not start: reinstall espeakng-loader")
    engine.espeak_ng_SetRandSeed(ctypes.c_long(1))
    engine.espeak_SetSynthCallback(_callback)
    return rate
