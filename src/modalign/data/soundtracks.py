"""Sound tracks of videos as a modality of their own."""

from __future__ import annotations

from .manifest import Manifest


def with_soundtracks(manifest: Manifest) -> Manifest:
    """A manifest whose videos have their sound tracks beside them: rows of ``audio`` with the same file and times.

    A video without a sound track fails to decode as sound: it is then counted and absent, never silence. A manifest
    that has ``audio`` rows of its own is returned as it is.

    Example:
        >>> films = Manifest.from_rows([{"group": 0, "modality": "video", "uri": "a.mp4", "start": 1.0, "end": 3.0}])
        >>> with_soundtracks(films).modality("audio")[0]
        Row(group=0, modality='audio', uri='a.mp4', text=None, start=1.0, end=3.0, split='', extra={})
    """
    if "audio" in manifest.modalities:
        return manifest
    films = [manifest[int(r)] for r in manifest.rows("video")] if "video" in manifest.modalities else []
    return manifest.plus(film._replace(modality="audio") for film in films)
