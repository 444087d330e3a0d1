"""ESC-50: environmental sounds of 5 s in 50 classes and five folds; also its CC0 part with the recordings' titles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .manifest import Manifest
from .places import existing_folder, first_file, first_folder, inside
from .rows import Missing, Rows, drawn
from .tables import Record, number, read_csv

ABOUT = {
    "source": "https://github.com/karolpiczak/ESC-50",
    "licence": "CC BY-NC 3.0 (all of it), CC BY 3.0 (ESC-10), CC0 (the part with titles); each clip has its own",
    "paper": "Piczak 2015, ESC: dataset for environmental sound classification, ACM Multimedia",
}
FOLDS = 5
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


@register("dataset", "esc50")
def esc50(
    root: Place,
    split: str | None = None,
    *,
    by: Literal["fold", "source"] | None = None,
    fold: int = 5,
    text: Literal["category", "title", "both"] | None = None,
    missing: Missing = "keep",
) -> Manifest:
    """ESC-50: 2,000 sounds of 5 s, 40 of each of 50 classes; or the CC0 part with titles of the source recordings.

    Layout: ``meta/esc50.csv`` (filename, fold, target, category, esc10, src_file, take) and ``audio/*.wav``; or
    ``pairs.csv`` (file, fold, target, category, freesound_title, ...) and ``audio``. Names are
    ``<fold>-<source>-<take>-<target>.wav``: clips of one source recording never part.

    Args:
        root: the folder. split: "train", "val", "test"; None for all.
        by: "fold": the official cross-validation, ``fold`` is the test set, the fold before it the validation set;
            "source": about 70 / 10 / 20 % of the source recordings, drawn by a hash of their numbers. None: folds for
            the whole set, sources for the CC0 part, whose clips are nearly all of one fold.
        fold: 1 to 5.
        text: the class ("door wood creaks"), the title, or both as two texts; None: the title where there is one.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``audio`` and ``text``, one group per clip; extra: source, category, target (0 to 49), fold.

    Raises:
        ModalignError: no list, a damaged one, no titles, a fold that does not exist, or one source in two splits.

    Reference: Piczak 2015, ACM Multimedia, doi 10.1145/2733373.2806390.

    Example:
        >>> Path("meta").mkdir()
        >>> header = "filename,fold,target,category,esc10,src_file,take"
        >>> size = Path("meta/esc50.csv").write_text(f"{header}\\n1-100032-A-0.wav,1,0,dog,True,100032,A\\n")
        >>> esc50(".", split="test", fold=1).text
        (None, 'dog')
    """
    base = existing_folder(root, "data set 'esc50'")
    path = first_file(base, ["pairs.csv", "meta/esc50.csv", "esc50.csv"], "list of ESC-50")
    titled = path.name == "pairs.csv"
    name_column = "file" if titled else "filename"
    required = [name_column, "fold", "target", "category", *(["freesound_title"] if titled else [])]
    rows = Rows("esc50", ABOUT, missing)
    records = read_csv(path, required, "list of ESC-50", tell=rows.left_out).rows
    read = list(rows.readable(records, lambda r: [int(number(r, c, path)) for c in ("fold", "target")], path))
    by = by or ("source" if titled else "fold")
    folds = sorted({own for _, (own, _) in read})
    if by == "fold" and fold not in folds:
        raise ModalignError(f"{path} has no fold {fold}: it has {few(folds)}")
    if text in ("title", "both") and not titled:
        raise ModalignError(f"{path} has no titles: use text='category'")
    sounds = first_folder(base, ["audio", "ESC-50-master/audio"])
    parts: dict[str, str] = {}
    for record, (own, target) in read:
        name = record.fields[name_column].strip()
        source, category = _source(name, path), record.fields["category"]
        part = _by_fold(own, fold) if by == "fold" else drawn(source, SHARES)
        if parts.setdefault(source, part) != part:
            raise ModalignError(f"{path} has the recording {source} in two splits, {parts[source]} and {part}")
        group = rows.group(name)
        extra: dict[str, Any] = {"source": source, "category": category, "target": target, "fold": own}
        rows.file(group, "audio", inside(sounds, name, path.name), part, None, None, **extra)
        for words in _texts(record, text or ("title" if titled else "category")):
            rows.text(group, words, part, **extra)
    return rows.manifest(split)


def _source(name: str, path: Path) -> str:
    fields = Path(name).stem.split("-")
    if len(fields) < 4:
        raise ModalignError(f"{path}: '{name}' is not <fold>-<source>-<take>-<target>.wav")
    return fields[1]


def _by_fold(fold: int, test: int) -> str:
    if fold == test:
        return "test"
    return "val" if fold == (test - 2) % FOLDS + 1 else "train"


def _texts(record: Record, which: str) -> list[str]:
    category = record.fields["category"].replace("_", " ")
    return {"category": [category], "title": [_title(record)], "both": [category, _title(record)]}[which]


def _title(record: Record) -> str:
    """A recording's title as words: without the sound file's extension, underscores as blanks."""
    title = record.fields.get("freesound_title", "").strip()
    stem, dot, extension = title.rpartition(".")
    if dot and extension.lower() in {"wav", "wave", "aif", "aiff", "flac", "mp3", "ogg", "oga"}:
        title = stem
    return title.replace("_", " ").strip()
