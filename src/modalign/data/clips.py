"""A folder of short clips: videos, their sound tracks as files of their own, and texts. The layout of VAST and GRAM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .lists import read_json
from .manifest import Manifest
from .places import IMAGES, KIND_OF, SOUNDS, VIDEOS, Files, existing_folder, first_folder, hidden
from .rows import Missing, Rows
from .tables import read_csv

ABOUT = {
    "source": "a folder of clips",
    "paper": "layout: Chen et al. 2023, VAST, arXiv 2305.18500; Cicchetti et al. 2024, GRAM, arXiv 2412.11959",
}
FOLDERS = {
    "video": (("videos", "video", "clips"), VIDEOS),
    "audio": (("audios", "audio", "sounds"), (*SOUNDS, *VIDEOS)),
    "image": (("images", "image", "frames"), IMAGES),
}
ANNOTATIONS = ("annotations.json", "captions.json", "texts.json", "captions.csv", "texts.csv")
TEXTS = ("desc", "caption", "text", "vast_cap", "omni_cap", "vision_cap", "audio_cap", "captions")
CLIP_ID = re.compile(r"(?P<video>[A-Za-z0-9_-]{11})_(?P<start>\d+(?:\.\d+)?)_(?P<end>\d+(?:\.\d+)?)")


@register("dataset", "clips")
def clips(
    root: Place,
    split: str | None = None,
    *,
    texts: dict[str, str | list[str]] | Path | str | None = None,
    missing: Missing = "keep",
) -> Manifest:
    """Clips: a folder of videos, sound files and texts that share an id, as GRAM and VAST lay them out.

    Layout: ``videos/<id>.mp4``, ``audios/<id>.*`` (also MP4 under the name of MP3), ``images/<id>.*``, and texts as
    ``annotations.json``, ``captions.json`` (a list of {clip_id or video_id, desc or caption or vast_cap ..., subtitle},
    or {id: text}) or ``captions.csv`` (id, text). A name may start with its kind: ``video1.mp4`` and ``audio1.mp3``
    are both id "1". An id of the form ``<11 characters>_<start>_<end>`` tells the video and the times it was cut from.

    Args:
        root: the folder. split: of the annotations' field "split", if they have it.
        texts: id -> text or texts, or a file of them anywhere; None takes one of the files above, if there is one.
        missing: see ``data.rows.Missing``.

    Returns:
        One group per id. Rows of ``video``, ``audio``, ``image`` for files that are there (videos of annotated clips
        that are not there count as missing), ``text``, and ``narration`` for subtitles; extra: clip, and video,
        clip_start, clip_end, where the id tells them.

    Raises:
        ModalignError: no clips, texts of clips that do not exist at all (counted and named), or damaged annotations.

    Example:
        >>> Path("videos").mkdir()
        >>> size = Path("videos/video1.mp4").write_bytes(b"...")
        >>> clips(".", texts={"1": "a dog barks"}).text
        (None, 'a dog barks')
    """
    base = existing_folder(root, "data set 'clips'")
    rows = Rows("clips", ABOUT, missing)
    files = {m: Files([first_folder(base, names)], ends) for m, (names, ends) in FOLDERS.items()}
    found: dict[str, dict[str, Path]] = {}
    doubles = [name for index in files.values() for name in index.doubles]
    for modality, index in files.items():
        for stem in index.stems():
            place = index.place(stem)
            if found.setdefault(_plain(stem, modality), {}).setdefault(modality, place) != place:
                doubles.append(place.name)
    annotations = _texts(texts) if isinstance(texts, Mapping) else _annotations(rows, base, texts)
    if annotations and not set(annotations) & set(found):
        raise ModalignError(
            f"{base}: none of the {len(annotations)} texts is of a clip that is there "
            f"(texts of {few(sorted(annotations))}; clips {few(sorted(found)) or 'none'})"
        )
    for clip in sorted({*found, *annotations}):
        about = annotations.get(clip, {})
        part, extra = str(about.get("split", "")), _parts(clip)
        group = rows.group(clip)
        for modality, place in found.get(clip, {"video": files["video"].place(clip)}).items():
            rows.file(group, modality, place, part, None, None, **extra)
        for key in TEXTS:
            for text in _several(about.get(key)):
                rows.text(group, text, part, **extra)
        for text in _several(about.get("subtitle")):
            if not isinstance(text, str) or text.strip():  # an empty one: nothing is said
                rows.text(group, text, part, "narration", None, None, **extra)
    for index in files.values():
        for name in index.others:
            if Path(name).suffix.lower() not in KIND_OF:
                rows.unknown(name)
    known = {f.name for index in files.values() for f in index.folders}
    for name in sorted(p.name for p in base.iterdir() if p.is_file() and not hidden(p.name)):
        if Path(name).suffix.lower() in KIND_OF:
            rows.left_out("files", f"beside the folders {', '.join(sorted(known))}", name)
    for name in doubles:
        rows.left_out("files", "of the same clip as another", name)
    return rows.manifest(split)


def _plain(stem: str, modality: str) -> str:
    """An id without the kind that its name may start with: "video1" in the folder of videos is "1"."""
    found = re.fullmatch(rf"{modality}[_-]?(.+)", stem)
    return found.group(1) if found and not CLIP_ID.fullmatch(stem) else stem


def _parts(clip: str) -> dict[str, Any]:
    found = CLIP_ID.fullmatch(clip)
    if not found:
        return {"clip": clip}
    return {"clip": clip, "video": found["video"], "clip_start": float(found["start"]), "clip_end": float(found["end"])}


def _several(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _texts(texts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {clip: {"text": text} for clip, text in texts.items()}


def _annotations(rows: Rows, base: Path, texts: Path | str | None) -> dict[str, dict[str, Any]]:
    """Clip -> what is said of it, from a file."""
    path = Path(texts).expanduser() if texts else next((base / n for n in ANNOTATIONS if (base / n).is_file()), None)
    if path is None:
        return {}
    if path.suffix == ".csv":
        table = read_csv(path, what="texts of clips", tell=rows.left_out)
        if len(columns := table.columns) < 2:
            raise ModalignError(f"texts of clips {path} need two columns, id and text; it has {few(columns)}")
        collected: dict[str, dict[str, Any]] = {}
        for r in table.rows:
            collected.setdefault(r.fields[columns[0]], {"text": []})["text"].append(r.fields[columns[1]])
        return collected
    content = read_json(path, "texts of clips", object)
    if isinstance(content, dict):
        return _texts(content)
    merged: dict[str, dict[str, Any]] = {}
    try:
        for e in content:
            about = merged.setdefault(str(e["clip_id"] if "clip_id" in e else e["video_id"]), {})
            for key, value in e.items():  # several entries of a clip, as VAST has them: the texts of all of them
                known = about.get(key)
                both = key in (*TEXTS, "subtitle") and known is not None
                more = [v for v in _several(value) if v not in _several(known)]
                about[key] = [*_several(known), *more] if both else value
    except (KeyError, TypeError, AttributeError):
        raise ModalignError(f"{path}: each entry needs a clip_id or video_id") from None
    return merged
