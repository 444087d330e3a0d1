"""Rows of a data set under construction: group ids by first appearance, texts tidied, what is left out counted."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import ModalignError, unknown
from ..values import whole_text
from .entries import Entry
from .left_out import LeftOut, Tally, summary
from .manifest import Manifest, Row
from .tables import Record

L = TypeVar("L", Entry, Record)
T = TypeVar("T")

Missing = Literal["keep", "drop"]
"""What becomes of rows whose file is not there: "keep" leaves them for the decoder to count and name, "drop" leaves
them out here; the other modalities of the group stay in either case."""

WHOSE = ("name", "key", "file", "photo", "clip", "video", "image_id")
"""What an item's ``extra`` may tell of the thing that it belongs to, for messages."""

NO_TEXT = ("<NA>", "#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!")
"""What tables and spreadsheets write where there is nothing, or nothing right, and nobody says."""

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


def drawn(name: str, shares: Mapping[str, float]) -> str:
    """A split drawn by a hash of a name: the same on every machine, whatever else is there.

    Args:
        shares: split -> its share; they sum to 1.

    Example:
        >>> [drawn(name, {"train": 0.5, "test": 0.5}) for name in "abcd"]
        ['test', 'train', 'train', 'train']
    """
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
    for split, share in shares.items():
        if draw < share:
            return split
        draw -= share
    return list(shares)[-1]


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
        self._tally = Tally()

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
        """Add an item that lies in a file (a path, or a place that only ``open_member`` knows how to open).

        A name that is no UTF-8 is counted and not added: neither a list nor a page could say it.
        """
        if whole_text(str(place)) != str(place):
            self.left_out("files", "with a name that is no UTF-8: rename them", os.path.basename(str(place)))
            return
        if self.missing == "drop" and isinstance(place, Path) and not place.is_file():
            self.left_out("files", "not there", place.name)
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
        """Add words, without blanks at their ends; what is empty, no text or a mark of it is counted and not added."""
        words = text.strip() if isinstance(text, str) else ""
        if not words or words in NO_TEXT:
            told = next((f"{k} {extra[k]}" for k in WHOSE if k in extra), f"group {group}")
            blank = text is None or isinstance(text, str) or text != text
            reason = "empty" if blank else f"no text but {type(text).__name__}"
            self.left_out("texts", f"'{words}', as programs write where there is none" if words else reason, told)
            return False
        self._rows.append(Row(group, modality, None, words, start, end, split_name(split), extra))
        return True

    def left_out(self, what: str, reason: str, place: str, count: int = 1) -> None:
        """Count something that the data set names and that no row stands for, see ``LeftOut``."""
        self._tally.add(what, reason, place, count)

    def unknown(self, name: str) -> None:
        """Count a file whose ending is none that the decoders read."""
        ending = os.path.splitext(name)[1].lower()
        self.left_out("files", f"of no known kind ({ending or 'no ending'})", name)

    def readable(self, records: Iterable[L], read: Callable[[L], T], path: Path) -> Iterator[tuple[L, T]]:
        """The lines of a list with what is read of each; a line that is wrong is counted and does not stop the rest.

        Args:
            records: with a number ``line`` each. read: raises ModalignError for a line that is wrong.
            path: of the list, for the count.

        Raises:
            ModalignError: not one of the lines is right; what is wrong with the first.
        """
        first: ModalignError | None = None
        good = 0
        for record in records:
            try:
                value = read(record)
            except ModalignError as problem:
                first = first or problem
                where = f"{path.name}, line {record.line}"
                self.left_out("rows", str(problem).removeprefix(f"{path}, line {record.line}: "), where)
                continue
            good += 1
            yield record, value
        if first is not None and not good:
            raise first

    def manifest(self, split: str | None = None) -> Manifest:
        """The manifest of all rows, or those of one split.

        Raises:
            ModalignError: no rows at all, or none of that split (the message names the splits there are).
        """
        rows = self._rows
        if split is not None:
            there = {r.split for r in rows}
            if split_name(split) not in there:
                raise unknown(f"split of '{self.name}'", split, there - {""})
            rows = [r for r in rows if r.split == split_name(split)]
        if not rows:
            lost = summary(self._tally.told())
            raise ModalignError(
                f"data set '{self.name}' has no rows{f' ({lost})' if lost else ''}: is this the right folder?"
            )
        told = (*self._tally.told(), *_infinite(rows))
        return Manifest.from_rows(rows, name=self.name, meta=self.meta, left_out=told)


def _infinite(rows: Iterable[Row]) -> tuple[LeftOut, ...]:
    """Infinite numbers of what is said of things: JSON, in which that is kept, has no form for them."""
    infinite = (
        (key, row.group) for row in rows for key, value in row.extra.items()
        if isinstance(value, float) and math.isinf(value)
    )  # fmt: skip
    tally = Tally()
    for key, group in dict.fromkeys(infinite):
        tally.add(f"values of '{key}'", "infinite", f"group {group}")
    return tally.told()
