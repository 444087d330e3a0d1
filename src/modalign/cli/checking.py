"""The command check: parse and call, no logic."""

from __future__ import annotations

from pathlib import Path

from .common import Flag, Json, Set, emit


def check(
    dataset: str,
    root: Path | None = None,
    *,
    set: Set = None,
    split: str | None = None,
    quick: Flag = False,
    against: str | None = None,
    json: Json = False,
) -> None:
    """Look at a data set before it is encoded: files that are missing or not what they say, items in two splits.

    Parameters
    ----------
    dataset
        See: modalign list dataset.
    root
        Folder of the data set's files; not needed for built-in data.
    split
        Only this split.
    quick
        Leave out pictures that look alike without being the same file, for which each is decoded once.
    against
        NAME=ROOT of another data set, such as one that an encoder has learnt from: what lies in both is told.
    """
    from ..data.check import check_dataset

    found = check_dataset(dataset, root, set or [], split, not quick, against)
    emit(found, json, lambda table: "\n".join(table["lines"]))
