"""Encode a manifest on this machine: shard by shard, resumable, broken items counted and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.left_out import summary
from ..data.manifest import Manifest, Row, with_soundtracks
from ..data.named import read_named
from ..errors import ModalignError, explained
from ..files import cache_folder
from ..outputs import claim, tell
from ..parameters import Count, checked
from ..progress import Progress, kept, silent
from ..specification import located
from .batches import Encoded, encode_batches
from .choose import entries_for, make_encoders, no_modality, parse_entries
from .encoders.base import Encoder, credits_of
from .pool import Passing, Pool, item_key
from .reading import remarks
from .store import Failure, Store

POOL = "features"
Engine = Callable[[str, Encoder, Iterable[Sequence[Row]]], Iterator[Iterable[Encoded]]]
"""Modality, its encoder and shards of items -> what comes of each shard, in order."""


def embed(
    manifest: Manifest,
    encoders: Mapping[str, Encoder],
    folder: str | Path,
    *,
    pool: str | Path | None = None,
    cache: str | Path | None = None,
    entries: Mapping[str, Mapping[str, Any]] | None = None,
    half: bool = False,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Store:
    """Encode the items of a manifest into a feature store.

    Items that the pool already has, from this or any other run, are not encoded again; equal items (the same words,
    the same file) are encoded once. A run that is killed goes on where the last whole shard ended. Items that cannot
    be decoded are left out and listed in ``Store.failures``; they are tried again at every run.

    Args:
        manifest: rows. Modalities without an encoder are left out.
        encoders: modality -> encoder.
        folder: of the store, made if need be.
        pool: folder of features that several stores share; None: inside ``folder``.
        cache: another such folder: what it has is taken into the pool, and what is new goes into it too. The store
            needs the pool alone.
        entries: modality -> name and settings of the encoder. The store remembers them, so that what is trained on
            it can encode new items.
        half: keep the features in float16: half the space, three decimal digits; they are read back as float32.
        progress: called as (done, total, what); None: silent.
        engine: what encodes the shards, for example ``features.on_ray.OnRay``; None: this process.

    Raises:
        ModalignError: an encoder for a modality that the manifest lacks, or of another modality; no item at all could
            be encoded; the disk refuses.
        MissingExtraError: an encoder needs a package that is not installed.
    """
    with claim(Path(folder), "store"):
        store = _embed(manifest, encoders, Path(folder), pool, cache, entries, half, progress or silent, engine)
        with explained(f"store cannot be written: {folder}", OSError):
            store.save()
        return store


def _embed(
    manifest: Manifest,
    encoders: Mapping[str, Encoder],
    folder: Path,
    pool: str | Path | None = None,
    cache: str | Path | None = None,
    entries: Mapping[str, Mapping[str, Any]] | None = None,
    half: bool = False,
    progress: Progress = silent,
    engine: Engine | None = None,
) -> Store:
    shared = Path(pool) if pool is not None else folder / POOL
    if not isinstance(manifest, Manifest):
        raise ModalignError(f"what is embedded is a Manifest, as ma.datasets give, got {type(manifest).__name__}")
    for modality, encoder in encoders.items():
        if isinstance(encoder, str | Mapping):
            raise ModalignError(
                f"the encoder of '{modality}' is named, not made: make_encoders(manifest, ...) makes it"
            )
        if modality not in manifest.modalities:
            raise no_modality(manifest, modality)
        if encoder.modality != modality:
            raise ModalignError(f"the encoder given for '{modality}' is one for '{encoder.modality}'")
    described: dict[str, dict[str, Any]] = {}
    shards: dict[str, Sequence[str]] = {}
    places: dict[str, np.ndarray] = {}
    failures: list[Failure] = []
    for modality, encoder in encoders.items():
        mark = encoder.fingerprint()
        facts: dict[str, Any] = getattr(encoder, "description", dict)()
        described[modality] = {"fingerprint": mark, "dim": encoder.dim, "description": facts}
        described[modality]["credits"] = [c.line for c in credits_of(encoder)]
        if entries and modality in entries:
            described[modality]["entry"] = located(entries[modality])
        if half:
            described[modality]["half"] = True
        if told := remarks([t for r in manifest.rows(modality) if (t := manifest.text[r]) is not None], encoder):
            described[modality]["notes"] = told
        with explained(f"features cannot be written to {shared}", OSError):
            bank = Pool(shared, mark, encoder.dim, half, None if cache is None else Path(cache), alone=pool is None)
            found, broken = _fill(manifest, modality, encoder, bank, progress, engine or local)
        shards[modality], places[modality] = _index(found, bank)
        failures += broken
    store = Store(folder, manifest, described, tuple(failures), shared.resolve(), shards, places)
    if failures and not any(len(p) for p in places.values()):
        raise ModalignError(f"no item of '{manifest.name}' could be encoded: {summary(store.left_out)}")
    return store


def embed_cached(manifest: Manifest, encoders: Mapping[str, Encoder], progress: Progress | None = None) -> Store:
    """``embed`` into the pool of the cache folder (``cache_folder``), which is one for all manifests.

    The store has no files of its own, so that many may encode at once, and a second call with the same rows, files and
    encoders only reads.
    """
    cache = cache_folder()
    return _embed(manifest, encoders, cache, cache / POOL, progress=progress or silent)


@checked
def embed_dataset(
    name: str,
    root: Path | None,
    out: Path,
    encoders: Sequence[str],
    settings: Sequence[str] = (),
    split: str | None = None,
    limit: Count | None = None,
    half: bool = False,
    progress: Progress = silent,
    engine: str = "local",
    address: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Encode a data set into a feature store.

    Args:
        encoders: "modality=NAME,setting=value" entries; text, image, audio, video and words of other names have
            defaults. An entry for "audio" takes the sound tracks of videos where there are no sound files.
        settings: "key=value" entries of the data set, as in TOML.
        limit: only this many groups, the first ones.
        half: features in float16.
        engine: "local" or "ray"; address, workers: see ``features.on_ray.OnRay``.

    Returns: {"store", "items": {modality: n}, "failures": what is left out, see ``data.left_out``, "notes": on texts
        that are not read as they are, see ``reading.remarks``}.
    """
    with claim(out, "store", inputs=[root]):
        manifest, entries = _asked(read_named(name, root, settings, split), encoders, limit)
        if before := _replaced(out, manifest):
            tell(out, before, progress)
        made = make_encoders(manifest, entries)
        store = embed(
            manifest, made, out, cache=cache_folder() / POOL, entries=entries, half=half, progress=progress,
            engine=engine_of(engine, entries, address, workers),
        )  # fmt: skip
    return {
        "store": str(out),
        "items": {m: len(x) for m, x in store.places.items()},
        "failures": [x.json() for x in store.left_out],
        "notes": list(store.notes),
    }


def _asked(
    manifest: Manifest, encoders: Sequence[str], limit: int | None
) -> tuple[Manifest, dict[str, dict[str, Any]]]:
    """The rows to encode and with what."""
    if limit is not None:
        chosen = set(manifest.groups()[:limit].tolist())
        manifest = manifest.where(lambda row: row.group in chosen)
    given = parse_entries(encoders)
    if "audio" in given:
        manifest = with_soundtracks(manifest)
    return manifest, entries_for(manifest, given)


def _replaced(folder: Path, manifest: Manifest) -> str | None:
    """What a store holds of another data set; None where there is none, the same, or the first rows of the same."""
    if not Store.is_store(folder):
        return None
    try:
        before = Store.open(folder).manifest
    except ModalignError:
        return "a damaged feature store"
    groups = set(before.groups().tolist())
    same = before.fingerprint() == manifest.where(lambda row: row.group in groups).fingerprint()
    return None if same else f"features of {len(before):,} items of '{before.name}'"


def _fill(
    manifest: Manifest, modality: str, encoder: Encoder, bank: Pool, progress: Progress, engine: Engine
) -> tuple[list[tuple[int, bytes]], list[Failure]]:
    """Encode what the pool lacks. Returns (manifest row, key) of all items that have features, and failures."""
    rows = manifest.rows(modality).tolist()
    keys: dict[int, bytes] = {}
    broken: dict[int, str] = {}
    for r in rows:
        try:
            keys[r] = item_key(manifest[r])
        except ModalignError as problem:
            broken[r] = str(problem)
    bank.adopt(keys.values())
    first: dict[bytes, int] = {}
    for r, key in keys.items():
        if key not in bank.where:
            first.setdefault(key, r)
    what = f"encoding {modality}"
    todo, size, done = list(first.items()), getattr(encoder, "shard_size", 512), len(keys) - len(first)
    reasons: dict[bytes, str] = {}
    if todo:
        progress(done, len(keys), what)
    with kept(lambda: f"{done:,} of {len(keys):,} items of '{modality}' are encoded and kept"):
        parts = [todo[start : start + size] for start in range(0, len(todo), size)]
        shards = ([manifest[r] for _, r in part] for part in parts)
        for part, batches in zip(parts, engine(modality, encoder, shards), strict=True):
            with Passing(bank) as shard:
                for places, block, errors in batches:
                    shard.add([part[i][0] for i in places], block)
                    reasons |= {part[i][0]: reason for i, reason in errors.items()}
                    done += len(places) + len(errors)
                    progress(done, len(keys), what)
    broken |= {r: reasons[key] for r, key in keys.items() if key in reasons}
    found = [(r, key) for r, key in keys.items() if r not in broken]
    return found, [Failure(r, modality, manifest[r].name, broken[r]) for r in sorted(broken)]


def engine_of(name: str, entries: Mapping[str, Any], address: str | None, workers: int | None) -> Engine:
    """The engine of a name."""
    from .on_ray import OnRay, wants_ray

    if wants_ray(name, address, workers):
        return OnRay(located(entries), address, workers)
    return local


def local(modality: str, encoder: Encoder, shards: Iterable[Sequence[Row]]) -> Iterator[Iterable[Encoded]]:
    """The engine of one process."""
    return (encode_batches(items, encoder) for items in shards)


def _index(found: Sequence[tuple[int, bytes]], bank: Pool) -> tuple[list[str], np.ndarray]:
    """Shard names, and where each item lies: (n, 3) manifest row, number of the shard, row in the shard."""
    used = [(row, *bank.where[key]) for row, key in found]
    names = sorted({name for _, name, _ in used})
    number = {name: i for i, name in enumerate(names)}
    return names, np.asarray([(row, number[name], place) for row, name, place in used], np.int64).reshape(-1, 3)
