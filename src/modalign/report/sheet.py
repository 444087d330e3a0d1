"""What the page shows of a run: its parts as a reader sees them. What a folder lacks is None or empty."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..metrics.found import Direction, Found
from ..metrics.ranking import find_all
from ..runs import MethodResult, Result, Run
from ..runs.items import picture_of
from ..views import Views

SIDE = 96  # pixels of a thumbnail


@dataclass(frozen=True)
class Item:
    """A test item as a reader sees it.

    row: within its modality. name: its text, else its row number. text: its own, or the first of its group.
    """

    row: int
    name: str
    text: str | None = None
    picture: Path | None = None


@dataclass(frozen=True)
class Sheet:
    """A run, opened for its page.

    Args:
        run: whose files are read. result: what was measured; an empty one where nothing was.
        z: unit embeddings of the shown items. items: what they are. split: whose items; None: all are shown.
    """

    run: Run
    result: Result
    z: Views | None = None
    items: Mapping[str, list[Item]] = field(default_factory=dict)
    split: str | None = None

    @property
    def methods(self) -> Mapping[str, MethodResult]:
        """Method -> what was measured."""
        return self.result.methods

    @cached_property
    def found(self) -> dict[Direction, Found]:
        """What queries find in every direction between two modalities that share groups."""
        if self.z is None:
            return {}
        return find_all(self.z, [(a, b) for a in self.z.modalities for b in self.z.modalities if a != b])

    @cached_property
    def _thumbnails(self) -> dict[Path, str]:
        return {}

    def thumbnail(self, item: Item) -> str | None:
        """The item's picture as a data: URI, made once; None where it has none."""
        if item.picture is None:
            return None
        if item.picture not in self._thumbnails:
            self._thumbnails[item.picture] = data_uri(item.picture)
        return self._thumbnails[item.picture]

    @property
    def title(self) -> str:
        """What the page is called."""
        return self.result.title or f"Run {self.run.folder.resolve().name}"

    @property
    def focus(self) -> str | None:
        """The method to look at."""
        return focus_of(self.methods)

    @property
    def versions(self) -> Mapping[str, Any]:
        """Package -> version that made the run."""
        found = (self.run.environment or {}).get("versions")
        return found if isinstance(found, Mapping) else {}

    def has_pictures(self) -> bool:
        """Whether any item has a picture that is there."""
        return any(item.picture for items in self.items.values() for item in items)


def focus_of(methods: Mapping[str, MethodResult]) -> str | None:
    """The method to look at: "full" where it was run, else the last one."""
    return "full" if "full" in methods else next(reversed([*methods]), None)


def load(folder: Path) -> Sheet:
    """Open a run for its page.

    Raises:
        ModalignError: no such folder, nothing of a run in it, or a damaged file (named, with what is wrong).
    """
    run = Run.open(folder)
    result = run.result or Result("", {})
    z, items, split = _items(run, result.split) if run.has_items else (None, {}, None)
    if z is not None and run.has_model and set(run.model.heads.modalities) == set(z.modalities):
        z = z.only(*run.model.heads.modalities)  # one order, so one colour per modality, on the whole page
    return Sheet(run, result, z, items, split)


def first_sentence(text: str) -> tuple[str, str]:
    """A headline, capitalised, and the rest of what is said.

    Example:
        >>> first_sentence("full needs 2.9 times fewer (13.7 %). It is fast. Try it.")
        ('Full needs 2.9 times fewer (13.7 %).', 'It is fast. Try it.')
    """
    head, *rest = re.split(r"(?<=[.!?]) (?=[A-Z])", " ".join(text.split()), maxsplit=1)
    return head[:1].upper() + head[1:], " ".join(rest)


def _items(run: Run, split: str) -> tuple[Views, dict[str, list[Item]], str | None]:
    """The items of a split with unit embeddings; of all splits where none is so named."""
    shown = run.items.split(split)
    chosen: str | None = split
    if not any(shown.entries.values()):
        shown, chosen = run.items, None
    z, entries = shown
    z.validate(zero_rows=True)
    unit = z.map(lambda _, x: torch.nn.functional.normalize(x.float(), dim=1))
    names = shown.words()
    items = {
        m: [
            _item(run.folder, m, i, e, names.get(g))
            for i, (g, e) in enumerate(zip(z.group[m].tolist(), entries[m], strict=True))
        ]
        for m in z.modalities
    }
    return unit, items, chosen


def _item(folder: Path, modality: str, row: int, entry: Mapping[str, Any], named: str | None) -> Item:
    words = entry["text"] if entry.get("text") is not None else named
    text = None if words is None else " ".join(str(words).split())
    name = text or str(entry.get("name") or f"{modality}, row {entry.get('row', row)}")
    return Item(row, name, text, picture_of(folder, entry))


def data_uri(path: Path) -> str:
    """A picture, scaled down to fit ``SIDE`` pixels, as a WebP data: URI: the page needs no other file.

    Raises:
        ModalignError: the file is no picture, is damaged, or is larger than a decoder should trust.
    """
    from PIL import Image

    from ..data.media import load_image

    picture = load_image(path, SIDE)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
