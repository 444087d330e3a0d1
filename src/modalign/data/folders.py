"""Plain folders: one per modality with equal names, one flat folder, or one folder per class."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from ..errors import ModalignError
from ..parameters import Place
from ..registry import register
from .lists import read_list
from .manifest import Manifest
from .places import KIND_OF, composed, existing_folder, walk
from .rows import SPLITS, Rows, split_name

Layout = Literal["modalities", "flat", "classes"]
NAMES = {
    "image": "image", "photo": "image", "picture": "image", "pic": "image", "img": "image",
    "audio": "audio", "sound": "audio", "wav": "audio", "recording": "audio",
    "video": "video", "clip": "video", "movie": "video",
    "text": "text", "caption": "text", "txt": "text", "description": "text",
}  # fmt: skip
PARTS = {"train", "val", "test", *SPLITS}


@register("dataset", "folders")
def folders(
    root: Place,
    split: str | None = None,
    *,
    layout: Layout | None = None,
    lines: bool = False,
    names_as_text: bool = False,
) -> Manifest:
    """Folders of files: equal names in folders named by modality, one flat folder, or one folder per class.

    Layout: "modalities": ``images/a.jpg``, ``sounds/a.wav``, ``texts/a.txt``: one name, one group, also in subfolders;
    "flat": ``a.jpg``, ``a.wav``, ``a.txt`` side by side, or ``a_image.jpg``, ``a_audio.wav``;
    "classes": ``dog/1.jpg``: each file is a group, the folder's name its text. Any of these may lie in ``train``,
    ``val``, ``test``. The kind of a file is known by its extension; other files are left aside and counted.

    Args:
        root: the folder. split: one of those; None for all.
        layout: None finds it out: folders with the names of modalities, other folders (classes), or none (flat).
        lines: each line of a text file is a text of its own, else the whole file is one.
        names_as_text: with "modalities" and "flat": the name, in words, is a text too ("black_cat" -> "black cat").

    Returns:
        Rows of the modalities there are; extra: name, and with classes label (0, 1, ... by sorted name).

    Raises:
        ModalignError: no such folder, or no files of a known kind in it.

    Example:
        >>> for name in ("black_cat.jpg", "black_cat.wav"):
        ...     size = Path(name).write_bytes(b"...")
        >>> folders(".", layout="flat", names_as_text=True).modalities
        ('image', 'audio', 'text')
    """
    base = existing_folder(root, "data set 'folders'")
    rows = Rows("folders", {"source": str(base)})
    parts = [p for p in _subfolders(base) if p.name.lower() in PARTS]
    places = [(p, split_name(p.name)) for p in parts] or [(base, "")]
    classes: dict[str, int] = {}
    for place, part in places:
        chosen = layout or _guess(place)
        if chosen == "classes":
            _classes(rows, place, part, classes)
        else:
            _together(rows, place, part, chosen, lines, names_as_text)
    for path in walk(base) if parts else ():
        if path.relative_to(base).parts[0] not in {p.name for p in parts}:
            rows.left_out("files", "beside the folders of the splits", path.relative_to(base).as_posix())
    return rows.manifest(split)


def _subfolders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def _modality(name: str) -> str | None:
    """The modality that a folder or a suffix is named after: "Photos" -> "image"."""
    plain = name.lower()
    return NAMES.get(plain) or NAMES.get(plain.removesuffix("s"))


def _guess(place: Path) -> Layout:
    inside = _subfolders(place)
    if not inside:
        return "flat"
    return "modalities" if any(_modality(p.name) for p in inside) else "classes"


def _classes(rows: Rows, place: Path, part: str, classes: dict[str, int]) -> None:
    inside = _subfolders(place)
    for folder in inside:
        label = classes.setdefault(folder.name, len(classes))
        words = re.sub(r"[_\s]+", " ", folder.name).strip()
        for path in walk(folder):
            kind = KIND_OF.get(path.suffix.lower())
            if kind is None:
                rows.unknown(path.name)
                continue
            if kind == "text":
                rows.left_out("files", "texts within the folder of a class, whose name is the text", path.name)
                continue
            group = rows.group(str(path))
            rows.file(group, kind, path, part, None, None, label=label, name=path.stem)
            rows.text(group, words, part, label=label, name=path.stem)
    for path in sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")):
        rows.left_out("files", "beside the folders of the classes", path.name)


def _together(rows: Rows, place: Path, part: str, layout: Layout, lines: bool, names_as_text: bool) -> None:
    named: dict[str, int] = {}
    for path in walk(place):
        kind = KIND_OF.get(path.suffix.lower())
        within = path.relative_to(place).with_suffix("")
        key, modality = within.as_posix(), kind
        if layout == "modalities":
            folder = within.parts[0] if len(within.parts) > 1 else ""
            # A folder with a name of the user's own is a modality of that name; its files may be of any kind.
            modality = (_modality(folder) or folder or kind) if kind else None
            key = Path(*within.parts[1:]).as_posix() if folder else key
        else:
            suffix = re.fullmatch(r"(.+)[_-]([A-Za-z]+)", within.name)
            if suffix and kind and _modality(suffix.group(2)) == kind:
                key = within.with_name(suffix.group(1)).as_posix()
        if kind is None or modality is None:
            rows.unknown(path.name)
            continue
        key = composed(key)
        group = rows.group((part, key))
        named.setdefault(key, group)
        if kind == "text":
            try:
                if path.is_fifo():
                    raise ModalignError("a pipe, not a file")
                content = read_list(path, "text")[0]
            except ModalignError as problem:  # one broken text is counted and named; it does not stop the rest
                rows.left_out("texts", str(problem).replace(f" ({path})", ""), path.name)
                continue
            for text in content.split("\n") if lines else [content]:
                if text.strip() or not lines:
                    rows.text(group, text, part, modality, None, None, name=key)
        else:
            rows.file(group, modality, path, part, None, None, name=key)
    if names_as_text:
        for key, group in named.items():
            rows.text(group, re.sub(r"[_\s]+", " ", Path(key).name), part, name=key)
