"""Positives that are not an equivalence: several images per caption, clips that share labels, candidate captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from ..errors import ModalignError
from .manifest import Manifest

POSITIVES = "positives"  # the column that names what is right for an item

Pair = tuple[str, str]


def positive_links(manifest: Manifest, a: str, b: str, key: str = "positives") -> np.ndarray:
    """Pairs of items of two modalities whose lists in the extra column ``key`` have something in common.

    links = {(i, j) : positives_i and positives_j are not disjoint}, for ``Views.links[(a, b)]``.

    Args:
        manifest: rows that are really there: after items are lost, select the rest first, then link.
        a, b: modalities. key: extra column with a list (or one value) per row.

    Returns:
        (2, p) int64: positions among the items of a and of b, in the manifest's order; sorted, no pair twice.

    Raises:
        ModalignError: no such column.

    Example:
        >>> m = Manifest.from_rows([
        ...     {"group": 0, "modality": "image", "uri": "a.jpg", "extra": {"positives": [7]}},
        ...     {"group": 1, "modality": "image", "uri": "b.jpg", "extra": {"positives": [8]}},
        ...     {"group": 0, "modality": "text", "text": "a cat", "extra": {"positives": [7, 8]}}])
        >>> positive_links(m, "image", "text").tolist()
        [[0, 1], [0, 0]]
    """
    if key not in manifest.extra:
        raise ModalignError(
            f"'{manifest.name}' has no column '{key}' to link by: it has {', '.join(sorted(manifest.extra)) or 'none'}"
        )
    values = manifest.extra[key]
    sides = ([values[r] for r, m in enumerate(manifest.modality_names) if m == name] for name in (a, b))
    return in_common(*sides)


def links_of(manifest: Manifest, rows: Mapping[str, np.ndarray]) -> dict[Pair, np.ndarray]:
    """The links of all pairs of modalities, for ``Views.links``, where they say more than the group ids.

    The column says which things are right for an item: a clip lists several captions, a caption names itself. Two
    modalities that both list several (the picture and the sound of a clip) do not name each other: their groups hold.

    Args:
        manifest: rows with the extra column ``positives``, or without it: then there are no links.
        rows: modality -> the manifest rows of the items that are really there, ascending.

    Returns:
        (a, b) -> (2, p) positions among the rows of a and of b.

    Example:
        >>> m = Manifest.from_rows([
        ...     {"group": 0, "modality": "video", "uri": "v.mp4", "extra": {"positives": [0, 1]}},
        ...     {"group": 0, "modality": "text", "text": "pour", "extra": {"positives": [0]}},
        ...     {"group": 1, "modality": "text", "text": "stir", "extra": {"positives": [1]}}])
        >>> links_of(m, {"video": np.array([0]), "text": np.array([1, 2])})["video", "text"].tolist()
        [[0, 0], [0, 1]]
    """
    if POSITIVES not in manifest.extra:
        return {}
    values = {m: [manifest.extra[POSITIVES][r] for r in own] for m, own in rows.items()}
    most = {m: max((len(_several(v)) for v in column), default=0) for m, column in values.items()}
    links = {}
    for a, b in combinations(rows, 2):
        if min(most[a], most[b]) == 1:
            found = in_common(values[a], values[b])
            same = in_common(*([int(manifest.group[r]) for r in rows[m]] for m in (a, b)))
            if not np.array_equal(found, same):
                links[a, b] = found
    return links


def in_common(left: Sequence[object], right: Sequence[object]) -> np.ndarray:
    """(2, p) positions of the lists that have something in common; sorted, no pair twice."""
    holders: dict[object, list[int]] = defaultdict(list)
    for j, several in enumerate(right):
        for value in _several(several):
            holders[value].append(j)
    pairs = {(i, j) for i, several in enumerate(left) for v in _several(several) for j in holders.get(v, ())}
    return np.asarray(sorted(pairs), dtype=np.int64).reshape(-1, 2).T


def _several(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)
