"""Encoder: what turns raw items of one modality into feature vectors."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from ...data.manifest import Row
from ...errors import ModalignError, explained, few
from ...values import whole_text
from .weights import Credit

T = TypeVar("T")
Item = Any
"""What an encoder takes: a manifest ``Row``, or the plain thing (words, path, bytes, picture)."""


@runtime_checkable
class Encoder(Protocol):
    """Items of one modality -> feature vectors.

    modality: the modality it reads. dim: width of its features.

    ``fingerprint()`` changes whenever the features would: weights, preprocessing, version of the code.
    ``collate(items)`` decodes items into a batch; it raises ModalignError for one that is broken.
    Calling it on a batch gives (n, dim) features, row by row; what else is in the batch makes no difference.
    """

    modality: str
    dim: int

    def fingerprint(self) -> str: ...

    def collate(self, items: Sequence[Item]) -> Any: ...

    def __call__(self, batch: Any) -> Tensor: ...


class Tokenised(NamedTuple):
    """Texts as tokens, none of them cut.

    ids: of each text; texts of equal ids are read alike. longest: tokens that the encoder takes, None for any number.
    unknown: tokens of what it does not know. special: tokens that stand for no part of a text.
    """

    ids: list[list[int]]
    longest: int | None
    unknown: frozenset[int]
    special: frozenset[int]


class FrozenEncoder:
    """Common ground of encoders with fixed weights. A subclass sets ``modality`` and ``dim`` and fills in the rest.

    Weights are loaded at the first call, not when the encoder is made, so that a run whose features are cached
    pays nothing for them.
    """

    modality: str
    dim: int
    batch_size: int = 8
    shard_size: int = 512
    """Items that are encoded between two writes to the feature store."""
    parallel: bool = False
    """Whether several threads may decode and encode batches at once."""
    typical: tuple[float, float] = (0.0, 1.0)
    """Usual mean and deviation of a feature's numbers: what makes encoders comparable where they are joined."""
    credit: Credit | None = None
    """Whose weights it uses; None where it has none of its own, or those that the user names."""

    def credits(self) -> tuple[Credit, ...]:
        """Whose weights it uses, those of the encoders that it is made of included."""
        return (self.credit,) if self.credit else ()

    def description(self) -> dict[str, Any]:
        """All that decides the features: name, weights, preprocessing, version. JSON values."""
        raise TypeError(f"{type(self).__name__} must define description()")

    def fingerprint(self) -> str:
        """Identity of weights, preprocessing and code version: 32 hexadecimal digits."""
        text = json.dumps(self.description(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def collate(self, items: Sequence[Item]) -> Any:
        """Decode items into a batch.

        Raises:
            ModalignError: an item is missing or broken; names the file.
        """
        raise TypeError(f"{type(self).__name__} must define collate()")

    def __call__(self, batch: Any) -> Tensor:
        """(n, dim) features of a batch."""
        raise TypeError(f"{type(self).__name__} must define __call__()")

    def plan(self, items: Sequence[Item]) -> list[list[int]]:
        """Cut items into batches: lists of positions, each position once."""
        return [list(range(i, min(i + self.batch_size, len(items)))) for i in range(0, len(items), self.batch_size)]

    def encode(self, items: Iterable[Item]) -> Tensor:
        """Features of a few items at once, in their order, (n, dim) float32.

        Raises:
            ModalignError: an item is broken. (Data sets with broken items go through ``modalign.features.embed``.)
        """
        if isinstance(items, str | bytes | os.PathLike | Row) or not isinstance(items, Iterable):
            raise ModalignError(f"encode takes a list of items, got one {type(items).__name__}: put it into a list")
        items = list(items)  # in their order: a Series of pandas would give those of its labels
        out = torch.empty(len(items), self.dim)
        for places in self.plan(items):
            out[places] = self(self.collate([items[i] for i in places])).float().cpu()
        return out


_LOCK = threading.RLock()


@contextmanager
def loading() -> Iterator[None]:
    """Entered while weights are loaded: by one thread at a time, and outside the caller's inference mode.

    Weights that were made within it could never be part of a gradient, in an attack or a training that comes later.
    """
    with _LOCK, torch.inference_mode(False):
        yield


class loaded(cached_property[T]):
    """A property that is made at first use and kept: weights, a network, a tokenizer. Made within ``loading``."""

    def __get__(self, instance: object, owner: type[Any] | None = None) -> T:  # type: ignore[override]
        with loading():
            return super().__get__(instance, owner)


def plan(encoder: Encoder, items: Sequence[Item]) -> list[list[int]]:
    """Batches as the encoder wants them; batches of 8 where it does not say."""
    cut = getattr(encoder, "plan", None)
    return cut(items) if cut is not None else FrozenEncoder.plan(FrozenEncoder(), items)


def credits_of(encoder: Encoder) -> tuple[Credit, ...]:
    """Whose weights an encoder uses; nobody's where it does not say."""
    return getattr(encoder, "credits", tuple)()


def file_hash(path: str | Path) -> str:
    """Hash of a file's content, for fingerprints.

    Raises:
        ModalignError: the file is missing or unreadable.
    """
    with explained(f"weights cannot be read: {path}", OSError), open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def source(item: Item) -> Item:
    """The plain thing to decode: the file or the words of a row, anything else as it is."""
    if isinstance(item, Row):
        return item.text if item.text is not None else item.uri
    return item


def sentences(items: Sequence[Item]) -> list[str]:
    """The words of items, as a tokenizer takes them.

    Raises:
        ModalignError: an item that is no text.
    """
    texts = [source(i) for i in items]
    wrong = [i for i, t in enumerate(texts) if not isinstance(t, str)]
    if wrong:
        raise ModalignError(f"text encoder got {type(texts[wrong[0]]).__name__} at positions {few(wrong)}: not text")
    return [whole_text(t) for t in texts]


def frozen(module: nn.Module) -> nn.Module:
    """In evaluation mode, without gradients."""
    return module.eval().requires_grad_(False)
