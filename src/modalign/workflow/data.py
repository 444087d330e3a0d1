"""Features of the data that a run asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config import Specification, named
from ..datasets.manifest import Manifest
from ..embed.local import embed_cached
from ..errors import ModalignError
from ..progress import Progress, silent
from ..registry import make
from ..store import Store
from ..views import Views

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Data:
    """Features by split, and what the items are.

    Args:
        splits: "train", and where there are any "dev" and "test".
        encoders: modality -> name and settings; empty for plain arrays.
        fingerprints: modality -> fingerprint of the encoder.
        manifest: of the items that the views' ``row`` points into.
    """

    splits: Mapping[str, Views]
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None

    def __getitem__(self, split: str) -> Views:
        if split not in self.splits:
            raise ModalignError(f"the data have no split '{split}' (they have: {', '.join(self.splits) or 'none'})")
        return self.splits[split]


def load_data(spec: Specification, progress: Progress = silent) -> Data:
    """The features that a specification asks for, encoded into the cache where they are not there yet."""
    if "store" in spec.data:
        return _from_store(Store.open(Path(spec.data["store"])))
    manifest: Manifest = make("dataset", **spec.data)
    encoders = {m: named(entry) for m, entry in spec.encoders.items()}
    return encode(manifest, encoders, progress)


def encode(manifest: Manifest, encoders: dict[str, dict[str, Any]], progress: Progress = silent) -> Data:
    """Features of a manifest, from the cache of this user."""
    made = {m: make("encoder", **entry) for m, entry in encoders.items()}
    store = embed_cached(manifest, made, progress=progress)
    return replace(_from_store(store), encoders=encoders, fingerprints={m: e.fingerprint() for m, e in made.items()})


def _from_store(store: Store) -> Data:
    present = [s for s in SPLITS if s in set(store.manifest.splits)]
    return Data({s: store.views(split=s) for s in present}, manifest=store.manifest)
