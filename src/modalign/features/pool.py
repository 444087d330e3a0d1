"""Pools: shards of features by content, written whole or not at all and never changed.

A pool holds ``<pool>/<encoder>/<shard>.safetensors``, where ``<encoder>`` is the encoder's fingerprint and each feature
row carries the key of its item (words, or content of a file, times). So runs may be killed, resumed, and share a pool;
a changed file or encoder has other keys, and nothing stale is ever found.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..data import media
from ..data.manifest import Row
from ..errors import ModalignError
from ..files import atomic, sweep_old
from ..progress import Pause

KEY_BYTES = 16
LEAST_HALF, LARGEST_HALF = 2.0**-14, 65504.0
"""Numbers that half precision holds to three digits."""


def item_key(row: Row) -> bytes:
    """Identity of what an encoder is given: modality, words or content of the file, times, index. 16 bytes.

    Raises:
        ModalignError: the file is missing.
    """
    content = ["text", row.text] if row.text is not None else ["file", media.signature(str(row.uri))]
    facts = [row.modality, *content, row.start, row.end, row.extra.get("index")]
    text = json.dumps(facts, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


class Pool:
    """Features of one encoder, by item key.

    Args:
        folder: of all pools. encoder: fingerprint. dim: width of the features.
        half: features are kept in float16, in a folder of their own.
        cache: folder of pools that this one shares features with; shards are linked where both lie on one disk.
        alone: nobody else reads this pool now.
    """

    def __init__(
        self, folder: Path, encoder: str, dim: int, half: bool = False, cache: Path | None = None, alone: bool = False
    ) -> None:
        self.folder = folder / pool_name(encoder, half)
        self.dim = dim
        self.half, self.alone = half, alone
        self.cache = None if cache is None else Pool(cache, encoder, dim, half)
        self.where: dict[bytes, tuple[str, int]] = {}
        self.damaged: list[Path] = []
        if not alone:
            sweep_old(self.folder)
        for path in sorted(self.folder.glob("*.safetensors")):
            self._scan(path)

    def adopt(self, keys: Iterable[bytes]) -> None:
        """Take in the shards of the cache that hold items which this pool lacks."""
        if self.cache is None:
            return
        there = self.cache.where
        for name in sorted({there[key][0] for key in keys if key in there and key not in self.where}):
            _share(self.cache.folder / name, self.folder / name)
            self._scan(self.folder / name)

    def _scan(self, path: Path) -> None:
        """Learn what a shard holds. A damaged one is as good as absent: its items are encoded again."""
        try:
            with safe_open(path, framework="pt") as shard:
                keys = shard.get_tensor("key")
                rows, width = shard.get_slice("features").get_shape()
        except (SafetensorError, OSError, ValueError):
            self.damaged.append(path)
            return
        if keys.shape != (rows, KEY_BYTES) or width != self.dim:
            self.damaged.append(path)
            return
        table = keys.numpy().tobytes()
        for i in range(rows):
            self.where.setdefault(table[i * KEY_BYTES : (i + 1) * KEY_BYTES], (path.name, i))

    def add(self, keys: Sequence[bytes], features: Tensor, passing: bool = False) -> str:
        """Write a shard: whole or not at all. The same items always go to a file of the same name, which is returned.

        Args:
            passing: it will be replaced by one with more items, and the cache need not have it.

        Raises:
            ModalignError: half precision, and a row whose largest number it cannot hold to three digits.
        """
        if self.half:
            features = _halved(features)
        name = hashlib.blake2b(b"".join(keys), digest_size=12).hexdigest() + ".safetensors"
        table = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, KEY_BYTES)
        with atomic(self.folder / name) as partial:
            save_file({"features": features.contiguous(), "key": table}, partial)
        for i, key in enumerate(keys):
            self.where[key] = (name, i)
        self.damaged = [p for p in self.damaged if p.name != name]
        if self.cache is not None and not passing:
            with suppress(OSError, ModalignError):  # what the cache has no room for is encoded again another time
                _share(self.folder / name, self.cache.folder / name)
        return name

    def drop(self, name: str) -> None:
        """Remove a shard whose items all lie in a later one as well."""
        (self.folder / name).unlink(missing_ok=True)


def _halved(features: Tensor) -> Tensor:
    """Features in half precision. Raises ModalignError where a row has no three digits there."""
    peak = features.abs().amax(1)
    peak = peak[peak > 0]  # zeros are held as they are
    least, largest = (float(peak.min()), float(peak.max())) if len(peak) else (1.0, 1.0)
    if largest > LARGEST_HALF:
        problem = f"features reach {largest:.3g}, half precision ends at {LARGEST_HALF:.0f}"
    elif least < LEAST_HALF:
        problem = (
            f"features of an item reach {least:.3g} alone, half precision has three digits from {LEAST_HALF:.2g} on"
        )
    else:
        return features.half()
    raise ModalignError(f"{problem}: keep them in full precision, without --half")


def _share(source: Path, target: Path) -> None:
    """The same shard in another pool: one file under two names on one disk, else a copy. Shards never change."""
    with atomic(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)


def pool_name(encoder: str, half: bool) -> str:
    """Folder of an encoder's features in a pool; rounded features are never taken for others.

    Example:
        >>> pool_name("0123", half=True)
        '0123-half'
    """
    return f"{encoder}-half" if half else encoder


class Passing:
    """Features on their way to the pool: written at its end, after an interruption too, and every few seconds.

    In a pool of the store's own, what was written on the way is replaced at the end: a shard is one file whatever time
    it took. In a shared one, others may read it already.
    """

    def __init__(self, bank: Pool) -> None:
        self.bank, self.pause = bank, Pause()
        self.keys: list[bytes] = []
        self.blocks: list[Tensor] = []
        self.written: str | None = None

    def add(self, keys: Sequence[bytes], block: Tensor) -> None:
        """Take features; what waits is written where it waits for long."""
        self.keys += keys
        self.blocks.append(block)
        if self.pause.over():
            self.write(passing=self.bank.alone)

    def write(self, passing: bool = False) -> None:
        """Write what waits."""
        if not self.keys:
            return
        name = self.bank.add(self.keys, torch.cat(self.blocks), passing)
        if self.written not in (None, name):
            self.bank.drop(str(self.written))
        if passing:
            self.written = name
        else:
            self.keys, self.blocks = [], []
        self.pause = Pause(self.pause.spent())

    def __enter__(self) -> Passing:
        return self

    def __exit__(self, *problem: object) -> None:
        self.write()
