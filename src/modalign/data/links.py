"""Positives that are not an equivalence: several images per caption, clips that share labels, candidate captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ..errors import ModalignError
from .manifest import Manifest


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
    holders: dict[object, list[int]] = defaultdict(list)
    sides = {m: [row for row, modality in enumerate(manifest.modality_names) if modality == m] for m in (a, b)}
    for j, row in enumerate(sides[b]):
        for value in _several(values[row]):
            holders[value].append(j)
    pairs = {(i, j) for i, row in enumerate(sides[a]) for v in _several(values[row]) for j in holders.get(v, ())}
    return np.asarray(sorted(pairs), dtype=np.int64).reshape(-1, 2).T


def _several(value: object) -> Iterable[object]:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)
