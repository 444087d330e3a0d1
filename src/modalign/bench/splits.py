"""Features of a suite by split, and the splits that its data lack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from ..errors import ModalignError
from ..runs.once import add_views
from ..views import Views

SPLITS = ("train", "dev", "test")


class Splits(NamedTuple):
    """Features of one suite by split."""

    train: Views
    dev: Views
    test: Views


@dataclass(frozen=True)
class Source:
    """Where cells get their features from.

    Args:
        splits: with all items and links.
        finish: for features that are fitted to the training items of a cell (tags): splits in which such a modality
            holds numbers of documents -> splits with features; None: the features are ready.
        facts: what the report says of the data.
    """

    splits: Splits
    finish: Callable[[Splits], Splits] | None = None
    facts: Mapping[str, Any] | None = None

    def fingerprint(self) -> str:
        """Identity of every number and group id."""
        digest = hashlib.blake2b(digest_size=12)
        for part in self.splits:
            add_views(digest, part)
        return digest.hexdigest()


def limited(x: Views, most: int) -> Views:
    """Views of a random set of groups, always the same one."""
    ids = x.group_ids()
    return x.groups(ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(7))[:most]])


def completed(found: Mapping[str, Views], share: float, by: Mapping[int, str] | None = None) -> Splits:
    """The three splits: a missing test is taken from dev, or held out of train; a missing dev is held out of train.

    Where there is one split only, whatever its name, dev and test are held out of it.
    """
    if len(found) == 1:
        found = {"train": next(iter(found.values()))}
    if "train" not in found:
        raise ModalignError(f"the suite's data have no split 'train' (they have: {', '.join(found) or 'none'})")
    train, dev, test = found["train"], found.get("dev"), found.get("test")
    if test is None:
        dev, test = None, dev
    if test is None:
        train, test = held_out(train, share, 11, by)
    if dev is None:
        train, dev = held_out(train, share, 12, by)
    return Splits(train, dev, test)


def held_out(x: Views, share: float, seed: int, by: Mapping[int, str] | None = None) -> tuple[Views, Views]:
    """The rest and a random share of the groups, always the same one; groups of one key (a video) stay together."""
    if not 0 < share < 1:
        raise ModalignError(f"holdout is {share}: it must be between 0 and 1")
    ids = x.group_ids()
    keys = [int(i) if by is None else by.get(int(i), str(int(i))) for i in ids]
    distinct = list(dict.fromkeys(keys))
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = {distinct[i] for i in order[: max(2 if by is None else 1, round(share * len(distinct)))]}
    inside = torch.tensor([k in chosen for k in keys])
    return x.groups(ids[~inside]), x.groups(ids[inside])
