"""The columns of a list: which hold files and texts of which modality, which are fields, and what their cells say."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModalignError, few
from .entries import Entry
from .places import KIND_OF
from .rows import split_name

NAMES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_path", "image_file", "image_name", "img", "img_path", "photo", "picture"),
    "audio": ("audio", "audio_path", "audio_file", "sound", "wav", "wav_path"),
    "video": ("video", "video_path", "video_file", "clip"),
    "text": ("text", "caption", "captions", "title", "sentence", "description"),
}
FILES = ("filepath", "file_path", "file", "filename", "file_name", "path", "uri")
SPLIT_NAMES = ("set", "subset", "partition", "fold", "usage")
FIELDS = ("group", "modality", "uri", "text", "start", "end", "split")


def named_columns(columns: Mapping[str, str | list[str]] | None) -> list[str]:
    """The columns that a user names."""
    return [c for several in (columns or {}).values() for c in ([several] if isinstance(several, str) else several)]


def known_fields(
    names: Sequence[str], entries: Sequence[Entry], keep: set[str | None]
) -> tuple[tuple[str, ...], list[Entry]]:
    """Columns that are fields under another spelling, by the field's name: "Split", "END "; "subset" of known splits.

    Args:
        keep: columns that the user names, which stay as they are.
    """
    spelt = {n: n.strip().lower() for n in names if n not in keep}
    told = {n: plain for n, plain in spelt.items() if plain in FIELDS and plain not in names}
    if "split" not in (*names, *told.values()):
        parts = (n for n, plain in spelt.items() if plain in SPLIT_NAMES and _are_splits(n, entries))
        told |= dict.fromkeys(list(parts)[:1], "split")
    renamed = [Entry(e.line, {told.get(k, k): v for k, v in e.values.items()}) for e in entries] if told else entries
    return tuple(told.get(n, n) for n in names), list(renamed)


def _are_splits(name: str, entries: Sequence[Entry]) -> bool:
    found = {split_name(v) for e in entries if (v := text_of(e.values.get(name)))}
    return bool(found) and found <= {"train", "val", "test"}


def chosen_columns(
    names: Sequence[str], entries: Sequence[Entry], columns: Mapping[str, str | list[str]] | None, where: Path | str
) -> dict[str, list[str]]:
    """Modality -> its columns, as the user says or by their names.

    Args:
        where: path of the list, or what else has the columns.
    """
    if columns is not None:
        chosen = {m: [c] if isinstance(c, str) else list(c) for m, c in columns.items()}
        lost = [c for several in chosen.values() for c in several if c not in names]
        if lost:
            raise ModalignError(f"{where} has no column {few(lost)}: its columns are {few(names, 12)}")
        return chosen
    chosen = {}
    for name in names:
        modality = modality_of(name)
        if modality is None and plain(name) in FILES:
            modality = _kind(e.values.get(name) for e in entries)
        if modality:
            chosen.setdefault(modality, []).append(name)
    if not chosen:
        hint = ", or name them in the first line" if isinstance(where, Path) else ""
        raise ModalignError(
            f"{where} has no column of a known name: its columns are {few(names, 12) or 'none'}; say which is which "
            f"with columns={{'image': ..., 'text': ...}}{hint}"
        )
    return chosen


def modality_of(name: str) -> str | None:
    """The modality of a column with a usual name; None for any other.

    Example:
        >>> modality_of("Caption_2"), modality_of("price")
        ('text', None)
    """
    return next((m for m, known in NAMES.items() if plain(name) in known), None)


def plain(name: str) -> str:
    """A column's name without its number: "Image_2" is "image"."""
    return re.sub(r"[_ -]?\d+$", "", name.strip().lower())


def _kind(values: Iterable[Any]) -> str | None:
    """The modality of a column of files: the kind of most of their endings."""
    kinds = Counter(KIND_OF.get(Path(str(v)).suffix.lower()) for several in values for v in values_of(several))
    known = Counter({kind: n for kind, n in kinds.items() if kind is not None})
    return known.most_common(1)[0][0] if known else None


def kind_of(value: Any, default: str) -> str:
    """The modality of a file in a column of any files: by its ending, else that of the column."""
    kind = KIND_OF.get(Path(str(value)).suffix.lower(), default)
    return default if kind == "text" else kind


def nothing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def text_of(value: Any) -> str | None:
    return None if nothing(value) else str(value).strip()


def words_of(value: Any) -> Any:
    """A cell of a column of texts; numbers are texts too, as a title may be "1984"."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def values_of(value: Any) -> list[Any]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [v for v in values if not nothing(v)]
