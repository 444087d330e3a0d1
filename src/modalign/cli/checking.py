"""The command check: parse and call, no logic."""

from __future__ import annotations

from .common import DataSet, Flag, Json, OneSplit, Root, Set, emit


def check(
    dataset: DataSet,
    root: Root = None,
    *,
    set: Set = None,
    split: OneSplit = None,
    quick: Flag = False,
    against: str | None = None,
    json: Json = False,
) -> None:
    """Look at a data set before it is encoded: files that are missing or not what they say, items in two splits.

    Parameters
    ----------
    quick
        Leave out pictures that look alike without being the same file, for which each is decoded once.
    against
        NAME=ROOT of another data set, such as one that an encoder has learnt from: what lies in both is told.
    """
    from ..data.check import check_dataset

    found = check_dataset(dataset, root, set or [], split, not quick, against)
    emit(found, json, lambda table: "\n".join(table["lines"]))
