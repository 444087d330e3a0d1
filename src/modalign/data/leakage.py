"""Leakage: the same picture, sound or caption, or nearly the same, in two splits."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError, few
from .hashes import near_pairs, picture_hash
from .manifest import Manifest
from .shards import open_place

CHUNK = 1024  # rows that are compared together
TABLES = (".npy", ".npz", ".safetensors", ".parquet", ".h5ad", ".h5mu")  # a file of these holds many items, by "index"

Pair = tuple[int, int]


@dataclass(frozen=True)
class LeakReport:
    """What ``leakage`` found. Rows are row numbers of the manifest.

    files: sets of rows whose files have the same bytes. texts: sets of rows with the same words. pictures: pairs of
    rows whose pictures look alike without having the same bytes; None: nobody looked. features: pairs of rows, with
    their cosine. recordings: sets of rows of several groups that were cut from one recording (equal "video"); None:
    the rows name none.
    splits: of each row. unread: files that could not be read (missing or broken).
    All of these count within a split too; ``across`` keeps what joins two splits, and that is the leak.
    """

    files: tuple[tuple[int, ...], ...]
    texts: tuple[tuple[int, ...], ...]
    pictures: tuple[Pair, ...] | None
    features: Mapping[str, tuple[tuple[int, int, float], ...]]
    splits: Sequence[str] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    recordings: tuple[tuple[int, ...], ...] | None = None
    unread: tuple[str, ...] = ()

    def _kinds(self) -> dict[str, Sequence[tuple[int, ...]]]:
        """Kind -> sets (or pairs) of rows, of the kinds that were looked for."""
        asked = {"recordings": self.recordings, "pictures": self.pictures}
        near = {f"features of {m}": [(i, j) for i, j, _ in pairs] for m, pairs in self.features.items()}
        looked = {kind: sets for kind, sets in asked.items() if sets is not None}
        return {"files": self.files, "texts": self.texts, **looked, **near}

    def across(self) -> dict[str, list[tuple[int, ...]]]:
        """Kind -> sets (or pairs) of rows that are in more than one split. Rows in no split do not count."""
        kinds = self._kinds().items()
        return {k: [s for s in sets if len({self.splits[r] for r in s} - {""}) > 1] for k, sets in kinds}

    @property
    def clean(self) -> bool:
        """Whether nothing at all is in two splits."""
        return not any(self.across().values())

    def lines(self) -> list[str]:
        """The report in words: one line per kind, with examples of what is in two splits."""
        kinds = self._kinds()
        what = {"files": "equal files", "texts": "equal captions", "pictures": "nearly equal pictures",
                "recordings": "parts of one recording"}  # fmt: skip
        found = []
        for kind, sets in self.across().items():
            shown = few((" = ".join(self._said(r) for r in self._first(s)) for s in sets), 3)
            label = what.get(kind, f"near {kind}")
            count = f"{len(kinds[kind]):,} sets, {len(sets):,} across splits"
            found.append(f"{label}: {count}" + (f": {shown}" if sets else ""))
        if self.unread:
            files = f"{len(self.unread):,} file{'s' * (len(self.unread) > 1)}"
            found.append(f"{files} could not be read: {few(Path(n).name for n in self.unread)}")
        return found

    def _first(self, rows: tuple[int, ...]) -> list[int]:
        """Three rows of a set, of different splits where it has them."""
        ahead = {self.splits[r]: r for r in reversed(rows)}.values()
        return [*sorted(ahead), *(r for r in rows if r not in ahead)][:3]

    def _said(self, row: int) -> str:
        return f"{self.names[row]} ({self.splits[row] or 'no split'})"


def leakage(
    manifest: Manifest,
    *,
    files: bool = True,
    near: bool = True,
    bits: int = 4,
    features: Mapping[str, np.ndarray] | None = None,
    cosine: float = 0.97,
) -> LeakReport:
    """Duplicates and near-duplicates in a manifest, within and across its splits.

    Rows of one recording name it alike (AudioSet, AudioCaps, MSR-VTT, HowTo100M do). Equal files have equal bytes
    (SHA-256; only files of equal size are read). Equal texts are equal after case,
    composition of accents, blanks and a full stop at the end are levelled. Nearly equal pictures differ in at most
    ``bits`` of the 64 signs of their brightness gradients, and little in their 8 x 8 colours, so that flat pictures are
    not all alike. Features are near from ``cosine`` on.

    Args:
        manifest: rows with splits.
        files: read and compare files. near: also compare how pictures look (decodes each picture once, small).
        bits: Hamming distance of the picture hashes, 0 to 7.
        features: modality -> (n_m, d), rows as the manifest's rows of that modality; items of one group are not
            compared; in chunks, never an n x n matrix.
        cosine: least cosine of near features, in (-1, 1].

    Returns:
        LeakReport: ``clean``, ``lines()``, ``across()``.

    Raises:
        ModalignError: features of unknown modalities or wrong length, or bits out of range.

    Example:
        >>> m = Manifest.from_rows([{"group": 0, "modality": "text", "text": "A dog.", "split": "train"},
        ...                         {"group": 1, "modality": "text", "text": "a  dog", "split": "test"}])
        >>> leakage(m).lines()[1]
        'equal captions: 1 sets, 1 across splits: A dog. (train) = a  dog (test)'
    """
    if not 0 <= bits <= 7:
        raise ModalignError(f"leakage: bits must be from 0 to 7, got {bits}")
    for modality, array in (features or {}).items():
        expected = len(manifest.rows(modality))
        if array.ndim != 2 or len(array) != expected:
            raise ModalignError(f"leakage: features of '{modality}' have shape {array.shape}, expected ({expected}, d)")
    unread: set[str] = set()
    equal = _equal_files(manifest, unread) if files else []
    alike = tuple(_alike(manifest, bits, equal, unread)) if files and near else None
    return LeakReport(
        files=tuple(equal),
        texts=tuple(_sets((level(text), row) for row, text in enumerate(manifest.text) if text is not None)),
        pictures=alike,
        features={m: tuple(_near(manifest, m, x, cosine)) for m, x in (features or {}).items()},
        splits=manifest.splits,
        recordings=tuple(_recordings(manifest)) if "video" in manifest.extra else None,
        names=[row.text[:60] if row.text is not None else Path(str(row.uri)).name for row in manifest],
        unread=tuple(sorted(unread)),
    )


def level(text: str) -> str:
    """A caption without what does not make it another caption: case, composition, blanks, punctuation at the end.

    Example:
        >>> level(" A  Dog runs . ")
        'a dog runs'
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return re.sub(r"[\s.!?,;:]+$", "", plain) or plain


def _sets(keyed: Iterable[tuple[Hashable, int]]) -> list[tuple[int, ...]]:
    """Rows with the same key, where there are several."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for key, row in keyed:
        found[key].append(row)
    return [tuple(rows) for rows in found.values() if len(rows) > 1]


def _recordings(manifest: Manifest) -> list[tuple[int, ...]]:
    """Rows of different groups that name the same recording."""
    sets = _sets((video, row) for row, video in enumerate(manifest.extra["video"]) if video is not None)
    return [rows for rows in sets if len({int(manifest.group[r]) for r in rows}) > 1]


def _equal_files(manifest: Manifest, unread: set[str]) -> list[tuple[int, ...]]:
    """Rows with equal files (and equal times, or rows of a table, within them); one file in one group twice is none."""
    sizes: dict[str, int] = {}
    for uri in {u for u in manifest.uri if u is not None}:
        try:
            with open_place(uri) as handle:
                sizes[uri] = handle.seek(0, os.SEEK_END)
        except (OSError, ValueError):
            unread.add(uri)
    of_size: dict[int, list[str]] = defaultdict(list)
    for uri, size in sizes.items():
        of_size[size].append(uri)
    content: dict[str, str] = {}
    for uris in of_size.values():
        for uri in uris:
            content[uri] = _digest(uri, unread) or uri if len(uris) > 1 else uri

    names, index = manifest.modality_names, manifest.extra.get("index")
    shared = Counter(uri for uri, _ in {*zip(manifest.uri, names, strict=True)})  # columns of one table

    def key(row: int) -> Hashable:
        times = (float(manifest.start[row]), float(manifest.end[row]))  # type: ignore[arg-type]
        uri = str(manifest.uri[row])
        part = (index[row], names[row] if shared[uri] > 1 else "") if index is not None and _holds_many(uri) else None
        return content[uri], part, *(None if t != t else t for t in times)

    return _sets((key(row), row) for row, uri in enumerate(manifest.uri) if uri in content)


def _holds_many(uri: str) -> bool:
    """Whether a file is a table of features, of which an item is a row."""
    return uri.lower().endswith(TABLES)


def _digest(uri: str, unread: set[str]) -> str | None:
    try:
        with open_place(uri) as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except (OSError, ValueError):
        unread.add(uri)
        return None


def _alike(manifest: Manifest, bits: int, equal: Sequence[tuple[int, ...]], unread: set[str]) -> list[Pair]:
    """Pairs of rows whose pictures look alike; of equal files just the first stands for all."""
    copies = {row for rows in equal for row in rows[1:]}
    rows: list[int] = []
    hashes: list[np.ndarray] = []
    seen: set[str] = set()
    for row, (modality, uri) in enumerate(zip(manifest.modality_names, manifest.uri, strict=True)):
        if modality != "image" or uri is None or row in copies or uri in seen or uri in unread or _holds_many(uri):
            continue
        seen.add(uri)
        found = picture_hash(uri)
        if found is None:
            unread.add(uri)
            continue
        rows.append(row)
        hashes.append(found)
    pairs = near_pairs(np.stack(hashes), bits) if hashes else []
    return [(rows[i], rows[j]) for i, j in pairs]


def _near(manifest: Manifest, modality: str, x: Any, cosine: float) -> list[tuple[int, int, float]]:
    """Pairs of rows of different groups whose features have at least this cosine, most alike first."""
    rows = manifest.rows(modality)
    group = np.asarray(manifest.group)[rows]
    unit = np.asarray(x, dtype=np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(rows), CHUNK):
        alike = unit[start : start + CHUNK] @ unit[start:].T
        i, j = (alike >= cosine).nonzero()
        later = (j > i) & (group[start + i] != group[start + j])
        pairs = zip(i[later], j[later], strict=True)
        found += [(int(rows[start + p]), int(rows[start + q]), round(float(alike[p, q]), 4)) for p, q in pairs]
    return sorted(found, key=lambda f: (-f[2], f[:2]))
