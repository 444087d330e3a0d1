"""Manifest: the rows of a data set. What there is, where it lies, which rows are the same thing, which split."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError, check_known
from ..files import atomic, read_json, to_json
from ..values import kept
from .left_out import LeftOut
from .manifest_checks import check_rows, group_ids, times

NOTHING: Mapping[str, Any] = {}


class Row(NamedTuple):
    """One item: a file (``uri``) or words (``text``), and the group it belongs to.

    start, end: seconds within the file, None for all of it. extra: whatever else the data set knows of the item.
    """

    group: int
    modality: str
    uri: str | None = None
    text: str | None = None
    start: float | None = None
    end: float | None = None
    split: str = ""
    extra: Mapping[str, Any] = NOTHING

    @property
    def name(self) -> str:
        """How a message names this item: its file, or the beginning of its words."""
        if self.uri is not None:
            return self.uri
        words = str(self.text)
        return f'"{words[:40]}..."' if len(words) > 43 else f'"{words}"'


@dataclass(frozen=True, eq=False)
class Manifest:
    """Rows of a data set, column by column.

    Args:
        group: (n,) integers >= 0; equal ids mark the same thing in any modality.
        modality: (n,) names such as "image" or "text".
        uri: (n,) places of files, None for rows that hold text. Files are looked at when they are decoded, not
            here: a missing one is then counted and named, and does not stop the rest.
        text: (n,) words, None for rows that name a file. A row has exactly one of uri and text.
        start, end: (n,) seconds, None or NaN for none; 0 <= start < end.
        splits: (n,) names such as "train"; "" for none.
        extra: column -> (n,) values (what JSON can hold); None where a row has none.
        name: of the data set. meta: facts about all of it, such as licence, attribution, source.
        left_out: what the data set names and no row stands for, see ``LeftOut``. It is no part of the rows' identity.

    Raises:
        ModalignError: columns of unequal length, bad group ids, empty text, rows with neither or both of uri and
            text, times out of order; the message names the rows.

    Example:
        >>> m = Manifest.from_rows([{"group": 0, "modality": "text", "text": "a cat", "split": "train"},
        ...                         {"group": 0, "modality": "image", "uri": "cat.jpg", "split": "train"}])
        >>> len(m), m.modalities, m.modality("text")[0].text
        (2, ('text', 'image'), 'a cat')
    """

    group: np.ndarray
    modality_names: Sequence[str]
    uri: Sequence[str | None] = ()
    text: Sequence[str | None] = ()
    start: Sequence[float | None] | np.ndarray = ()
    end: Sequence[float | None] | np.ndarray = ()
    splits: Sequence[str] = ()
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    name: str = "manifest"
    meta: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()

    def __post_init__(self) -> None:
        n = len(self.modality_names)
        columns: dict[str, Any] = {
            "group": group_ids(self.group),
            "modality_names": tuple(self.modality_names),
            "uri": tuple(self.uri) or (None,) * n,
            "text": tuple(kept(list(self.text), f"the texts of '{self.name}'")) or (None,) * n,
            "start": times(self.start, n, "start"),
            "end": times(self.end, n, "end"),
            "splits": tuple(self.splits) or ("",) * n,
        }
        for column, values in columns.items():
            object.__setattr__(self, column, values)
        object.__setattr__(self, "left_out", tuple(map(LeftOut.of, self.left_out)))
        object.__setattr__(
            self,
            "extra",
            {k: tuple(kept(list(v), f"the column '{k}' of '{self.name}'")) for k, v in self.extra.items()},
        )
        lengths = {c: len(v) for c, v in {**columns, **self.extra}.items()}
        if len(set(lengths.values())) > 1:
            raise ModalignError(f"the columns of '{self.name}' have different lengths: {lengths}")
        check_rows(self)

    # ------------------------------------------------------------------ building

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Mapping[str, Any] | Row],
        name: str = "manifest",
        meta: Mapping[str, str] = NOTHING,
        left_out: Sequence[LeftOut] = (),
    ) -> Manifest:
        """Manifest of rows given one by one, as dictionaries or ``Row``.

        Raises:
            ModalignError: a column that does not exist, group or modality missing, or what the class refuses.
        """
        table = [row if isinstance(row, Row) else _row(row, f"row {i} of '{name}'") for i, row in enumerate(rows)]
        group, names, uri, text, start, end, splits, facts = zip(*table, strict=True) if table else ((),) * 8
        extra = {key: [f.get(key) for f in facts] for key in dict.fromkeys(key for f in facts for key in f)}
        return cls(np.asarray(group), names, uri, text, start, end, splits, extra, name, dict(meta), left_out)

    # ------------------------------------------------------------------ looking

    def __len__(self) -> int:
        return len(self.modality_names)

    def __getitem__(self, row: int) -> Row:
        start, end = float(self.start[row]), float(self.end[row])  # type: ignore[arg-type]
        return Row(
            int(self.group[row]),
            self.modality_names[row],
            self.uri[row],
            self.text[row],
            None if math.isnan(start) else start,
            None if math.isnan(end) else end,
            self.splits[row],
            {k: v[row] for k, v in self.extra.items() if v[row] is not None},
        )

    def __iter__(self) -> Iterator[Row]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        counts = ", ".join(f"{m} {n:,}" for m, n in Counter(self.modality_names).items())
        splits = ", ".join(s for s in dict.fromkeys(self.splits) if s)
        return (
            f"Manifest({self.name}: {counts or 'no rows'}; {len(self.groups()):,} groups; splits: {splits or 'none'})"
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order of appearance."""
        return tuple(dict.fromkeys(self.modality_names))

    def groups(self) -> np.ndarray:
        """Sorted distinct group ids, (g,) int64."""
        return np.unique(self.group)

    def rows(self, modality: str | None = None, split: str | None = None) -> np.ndarray:
        """Row numbers of a modality and a split, ascending, (k,) int64; None means any.

        Raises:
            ModalignError: the manifest has no such modality or split.
        """
        keep = np.ones(len(self), dtype=bool)
        for wanted, values, kind in ((modality, self.modality_names, "modality"), (split, self.splits, "split")):
            if wanted is None:
                continue
            keep &= np.asarray([v == wanted for v in values], dtype=bool)
            check_known(f"{kind} of '{self.name}'", wanted, values)
        return keep.nonzero()[0]

    # ------------------------------------------------------------------ making new ones

    def take(self, rows: Iterable[int] | np.ndarray) -> Manifest:
        """The given rows, in the given order."""
        index = [int(r) for r in rows]

        def pick(column: Sequence[Any] | np.ndarray) -> list[Any]:
            return [column[i] for i in index]

        names = ("modality_names", "uri", "text", "start", "end", "splits")
        columns: dict[str, Any] = {column: pick(getattr(self, column)) for column in names}
        group = np.asarray(self.group)[index] if index else np.empty(0, np.int64)
        return replace(self, **columns, group=group, extra={k: pick(v) for k, v in self.extra.items()})

    def plus(self, rows: Iterable[Row], **meta: str) -> Manifest:
        """These rows and more after them; ``meta``: more facts."""
        return Manifest.from_rows([*self, *rows], self.name, {**self.meta, **meta}, self.left_out)

    def split(self, name: str) -> Manifest:
        """The rows of one split."""
        return self.take(self.rows(split=name))

    def modality(self, name: str) -> Manifest:
        """The rows of one modality."""
        return self.take(self.rows(modality=name))

    def where(self, keep: Callable[[Row], bool]) -> Manifest:
        """The rows for which ``keep(row)`` is true."""
        return self.take(i for i, row in enumerate(self) if keep(row))

    # ------------------------------------------------------------------ identity, saving

    def columns(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {
            "name": self.name,
            "meta": dict(self.meta),
            "group": np.asarray(self.group).tolist(),
            "modality_names": self.modality_names,
            "uri": self.uri,
            "text": self.text,
            "start": [None if math.isnan(t) else t for t in np.asarray(self.start).tolist()],
            "end": [None if math.isnan(t) else t for t in np.asarray(self.end).tolist()],
            "splits": self.splits,
            "extra": dict(self.extra),
            "left_out": [x.json() for x in self.left_out],
        }

    def fingerprint(self) -> str:
        """Identity of all rows in their order: 32 hexadecimal digits. It does not look into the files."""
        rows = {k: v for k, v in self.columns().items() if k != "left_out"}
        text = to_json(rows, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write as JSON. Atomic: the file is whole or absent."""
        with atomic(Path(path)) as partial:
            partial.write_text(to_json(self.columns()), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read what ``save`` wrote.

        Raises:
            ModalignError: the file is missing, damaged or something else.
        """
        columns = read_json(Path(path), "manifest")
        try:
            return cls(**columns)
        except (TypeError, AttributeError, KeyError):
            raise ModalignError(f"this is not a manifest of modalign: {path}") from None


def _row(values: Mapping[str, Any], where: str) -> Row:
    for column in values:
        check_known(f"column in {where}", column, Row._fields)
    for column in ("group", "modality"):
        if column not in values:
            raise ModalignError(f"{where} has no {column}: every row needs a group and a modality")
    row = Row(**values)
    if isinstance(row.group, bool) or not isinstance(row.group, Integral):
        raise ModalignError(f"{where} has the group {row.group!r}: group ids are whole numbers")
    if not isinstance(row.extra, Mapping):
        raise ModalignError(f"{where} has extra values that are no table: {row.extra!r}")
    return row


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
