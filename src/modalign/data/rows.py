"""Rows of a data set under construction: group ids by first appearance, texts tidied, missing files counted."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import ModalignError, few, unknown
from .manifest import Manifest, Row

Missing = Literal["keep", "drop"]
"""What becomes of rows whose file is not there: "keep" leaves them for the decoder to count and name, "drop" leaves
them out here; the other modalities of the group stay in either case."""

SPLITS: Mapping[str, str] = {
    "training": "train", "development": "train", "dev": "val", "valid": "val", "validation": "val",
    "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip


def split_name(name: str) -> str:
    """The common name of a split: train, val or test, whatever the data set calls it; other names stay.

    Example:
        >>> split_name("validation"), split_name("fold1")
        ('val', 'fold1')
    """
    plain = name.strip().lower()
    return SPLITS.get(plain, plain)


class Rows:
    """Collects the rows of one data set.

    Args:
        name: of the data set. about: facts for ``Manifest.meta`` (licence, source, paper).
        missing: see ``Missing``.
    """

    def __init__(self, name: str, about: Mapping[str, str], missing: Missing = "keep") -> None:
        self.name = name
        self.meta = dict(about)
        self.missing = missing
        self._groups: dict[Hashable, int] = {}
        self._rows: list[Row] = []
        self._absent: list[str] = []
        self._files = 0
        self._empty: list[str] = []

    def group(self, key: Hashable) -> int:
        """The id of a thing: 0, 1, 2, ... by first appearance."""
        return self._groups.setdefault(key, len(self._groups))

    def file(
        self,
        group: int,
        modality: str,
        place: Path | str,
        split: str = "",
        start: float | None = None,
        end: float | None = None,
        **extra: Any,
    ) -> None:
        """Add an item that lies in a file (a path, or a place that only ``open_member`` knows how to open)."""
        self._files += 1
        if self.missing == "drop" and isinstance(place, Path) and not place.is_file():
            self._absent.append(place.name)
            return
        self._rows.append(Row(group, modality, str(place), None, start, end, split_name(split), extra))

    def text(
        self,
        group: int,
        text: object,
        split: str = "",
        modality: str = "text",
        start: float | None = None,
        end: float | None = None,
        **extra: Any,
    ) -> bool:
        """Add words, without blanks at their ends; empty ones (and what is no text at all) are counted, not added."""
        words = text.strip() if isinstance(text, str) else ""
        if not words:
            self._empty.append(str(group))
            return False
        self._rows.append(Row(group, modality, None, words, start, end, split_name(split), extra))
        return True

    def note(self, key: str, value: str) -> None:
        """A fact about the whole, for ``Manifest.meta``."""
        self.meta[key] = value

    def manifest(self, split: str | None = None) -> Manifest:
        """The manifest of all rows, or those of one split.

        Raises:
            ModalignError: no rows at all, or none of that split (the message names the splits there are).
        """
        if self._absent:
            self.meta["missing_files"] = f"{len(self._absent)} of {self._files}: {few(self._absent)}"
        if self._empty:
            self.meta["empty_texts"] = f"{len(self._empty)}, in groups {few(self._empty)}"
        rows = self._rows
        if split is not None:
            there = {r.split for r in rows}
            if split_name(split) not in there:
                raise unknown(f"split of '{self.name}'", split, there - {""})
            rows = [r for r in rows if r.split == split_name(split)]
        if not rows:
            lost = f" ({self.meta['missing_files']} files are missing)" if self._absent else ""
            raise ModalignError(f"data set '{self.name}' has no rows{lost}: is this the right folder?")
        return Manifest.from_rows(rows, name=self.name, meta=self.meta)
