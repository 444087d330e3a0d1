"""Feature store: a folder with an index of the rows of one manifest in a pool of features.

Features that were computed once are found again by what they were computed from (see ``pool``), read as needed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..data.left_out import LeftOut
from ..data.links import links_of
from ..data.manifest import Manifest
from ..errors import ModalignError, check_known, explained, unknown
from ..files import as_path, atomic, read_json, write_json
from ..views import Views
from .pool import pool_name

FORMAT = 1
INDEX, MANIFEST, PLACES = "index.json", "manifest.json", "places.safetensors"


@dataclass(frozen=True)
class Failure:
    """An item that could not be encoded: its manifest row, what it is, and why. It is absent from the features."""

    row: int
    modality: str
    item: str
    reason: str


@dataclass(frozen=True, eq=False)
class Store:
    """Features of a manifest's items, read from disk as they are needed.

    folder: of the index. manifest: the rows. encoders: modality -> fingerprint, dim, description, where known "entry",
    the encoder's name and settings, and where they are kept in float16 "half".
    failures: items that could not be encoded; they are absent, never zeros. ``left_out`` has these and what the
    reader of the data set left out.
    """

    folder: Path
    manifest: Manifest
    encoders: Mapping[str, Mapping[str, Any]]
    failures: tuple[Failure, ...] = ()
    pool: Path = Path()
    shards: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    places: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Modality -> (n_m, 3): manifest row, number of the shard, row in the shard; ascending by manifest row."""

    @property
    def fingerprint(self) -> str:
        """Identity of rows, encoders and what is absent: 32 hexadecimal digits."""
        absent = [f.row for f in self.failures]
        marks = {m: pool_name(e["fingerprint"], bool(e.get("half"))) for m, e in self.encoders.items()}
        facts = [self.manifest.fingerprint(), marks, absent]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        """Modality -> name and settings of its encoder, where the store knows them: what encodes new items alike."""
        return {m: dict(e["entry"]) for m, e in self.encoders.items() if e.get("entry")}

    @property
    def credits(self) -> tuple[str, ...]:
        """Whose weights the encoders used, a line each."""
        return tuple(dict.fromkeys(line for e in self.encoders.values() for line in e.get("credits", ())))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the encoders did not read as it is, a line each."""
        return tuple(f"{m}: {line}" for m, e in self.encoders.items() for line in e.get("notes", ()))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that have features."""
        return tuple(self.encoders)

    def views(self, split: str | None = None, modalities: Sequence[str] | None = None) -> Views:
        """Features with groups and manifest rows.

        Args:
            split: only the rows of this split; None: all.
            modalities: which, in which order; None: all.

        Returns:
            Views of float32 features, rows in the order of the manifest; ``views.row`` numbers them in it. Where the
            manifest has a column ``positives`` that says more than the groups, ``views.links`` holds it
            (``data.links.links_of``).

        Raises:
            ModalignError: no such split or modality, or a shard is damaged or gone.
        """
        splits = self.manifest.splits
        if split is not None and split not in splits:
            raise unknown(f"split of '{self.manifest.name}'", split, set(splits))
        group = torch.from_numpy(np.asarray(self.manifest.group))
        data, rows = {}, {}
        for m in self.modalities if modalities is None else modalities:
            check_known("modality", m, self.encoders)
            places = self.places[m]
            if split is not None:
                places = places[[splits[r] == split for r in places[:, 0]]]
            data[m] = self._read(m, places)
            rows[m] = torch.from_numpy(places[:, 0].astype(np.int64))
        linked = links_of(self.manifest, {m: r.numpy() for m, r in rows.items()})
        links = {pair: torch.from_numpy(table.copy()) for pair, table in linked.items()}
        return Views(data, {m: group[r] for m, r in rows.items()}, links or None, rows)

    def _read(self, modality: str, places: np.ndarray) -> Tensor:
        """Gather rows from memory-mapped shards."""
        encoder = self.encoders[modality]
        folder = self.pool / pool_name(encoder["fingerprint"], bool(encoder.get("half")))
        out = torch.empty(len(places), encoder["dim"])
        kinds = (SafetensorError, OSError, IndexError, ValueError)
        again = "; encode again, only what is missing is done"
        for number in np.unique(places[:, 1]):
            here = places[:, 1] == number
            rows = torch.from_numpy(places[here, 2])
            path = folder / self.shards[modality][number]
            broken = f"feature shard is damaged or gone: {path}"
            with explained(broken, *kinds, then=again), safe_open(path, framework="pt") as shard:
                out[torch.from_numpy(here)] = shard.get_tensor("features")[rows].float()
        return out

    def save(self) -> None:
        """Write manifest and index, the index last: a folder with an index is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.manifest.save(self.folder / MANIFEST)
        with atomic(self.folder / PLACES) as partial:
            save_file({m: torch.from_numpy(p.astype(np.int64)) for m, p in self.places.items()}, partial)
        index = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "manifest": self.manifest.fingerprint(),
            "encoders": self.encoders,
            "pool": os.path.relpath(self.pool, self.folder),
            "shards": self.shards,
            "items": {m: len(p) for m, p in self.places.items()},
            "failures": [vars(f) for f in self.failures],
        }
        write_json(self.folder / INDEX, index)

    @staticmethod
    def is_store(folder: Path) -> bool:
        """Whether a folder holds a feature store."""
        return (folder / PLACES).exists()

    @classmethod
    def open(cls, folder: str | Path) -> Store:
        """Open a store that ``embed`` made. Features are read by ``views``.

        Raises:
            ModalignError: no store there, one that is not finished or damaged, or of a newer modalign.
        """
        folder = as_path(folder)
        if not (folder / INDEX).exists():
            raise ModalignError(f"no feature store in {folder}: it has no {INDEX} (make one with  modalign embed)")
        index = read_json(folder / INDEX, "index of the feature store")
        kinds = (KeyError, TypeError, AttributeError, SafetensorError, OSError)
        with explained(f"feature store is damaged: {folder}", *kinds, then="; encode it again"):
            if index["format"] != FORMAT:
                raise ModalignError(f"feature store {folder} has format {index['format']}, expected {FORMAT}")
            manifest = Manifest.load(folder / MANIFEST)
            if manifest.fingerprint() != index["manifest"]:
                raise ModalignError(f"feature store {folder} does not fit its {MANIFEST}: encode it again")
            with safe_open(folder / PLACES, framework="pt") as file:
                places = {m: file.get_tensor(m).numpy() for m in index["encoders"]}
            for m, rows in places.items():
                _check_places(m, rows, len(manifest), index)
            failures = tuple(Failure(**f) for f in index["failures"])
            pool = (folder / index["pool"]).resolve()
            return cls(folder, manifest, index["encoders"], failures, pool, index["shards"], places)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What the data set names and the store has no features of: what its reader told, and what failed to encode.

        Example:
            >>> Store(Path("x"), Manifest.from_rows([]), {}, (Failure(3, "image", "a.png", "empty: a.png"),)).left_out
            (LeftOut(what="items of 'image'", reason='empty', count=1, places=('a.png',)),)
        """
        found: dict[tuple[str, str], list[str]] = {}
        for f in self.failures:
            reason = f.reason.replace(f": {f.item}", "").replace(f"{f.item}: ", "")
            found.setdefault((f"items of '{f.modality}'", reason), []).append(f.item)
        failed = tuple(LeftOut(*key, len(places), tuple(places)) for key, places in found.items())
        named = [(m, len(self.manifest.rows(m))) for m in self.manifest.modalities if m not in self.encoders]
        unread = tuple(LeftOut(f"items of '{m}'", "no encoder is named for them", n) for m, n in named)
        return (*self.manifest.left_out, *failed, *unread)


def _check_places(modality: str, places: np.ndarray, rows: int, index: Mapping[str, Any]) -> None:
    """Refuse places that point beyond the manifest, the shards or the pool.

    Raises:
        ModalignError: naming the modality.
    """
    encoder, shards = index["encoders"][modality], index["shards"][modality]
    named = isinstance(encoder["fingerprint"], str) and isinstance(encoder["dim"], int) and encoder["dim"] > 0
    inside = isinstance(shards, list) and all(isinstance(n, str) and n == os.path.basename(n) for n in shards)
    fits = places.ndim == 2 and places.shape[1] == 3 and places.dtype == np.int64
    if not (named and inside and fits):
        raise ModalignError(f"feature store is damaged: what it says of '{modality}' does not fit; encode it again")
    if len(places) and (places.min() < 0 or places[:, 0].max() >= rows or places[:, 1].max() >= len(shards)):
        raise ModalignError(f"feature store is damaged: '{modality}' has places that are not there; encode it again")
