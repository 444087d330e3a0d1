"""How much of the exact answer an approximate index gives, measured with the queries that people will ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..progress import Progress, silent
from .gallery import Gallery

QUERIES = 256  # at most, for each pair of modalities


def overlap(found: np.ndarray, right: np.ndarray) -> float:
    """Mean share of each row of ``right`` that is in the same row of ``found``, in [0, 1]; -1 marks no result.

    Example:
        >>> overlap(np.array([[1, 2]]), np.array([[2, 3]]))
        0.5
    """
    hit = ((found[:, :, None] == right[:, None, :]) & (right[:, None, :] >= 0)).any(1).sum(1)
    return float((hit / np.maximum((right >= 0).sum(1), 1)).mean()) if len(right) else 1.0


def cross_modal_recall(
    gallery: Gallery,
    queries: Mapping[str, np.ndarray],
    k: int = 10,
    limit: int = QUERIES,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Recall@k of the index against exact search, for queries of every modality in every indexed modality.

    Quantised and graph indexes are tuned on neighbours of one modality; queries of another come from elsewhere in the
    space and may find far less. So each direction is measured by itself.

    Args:
        gallery: with an approximate index. queries: modality -> (n, d) unit rows, evenly sampled.

    Returns:
        {"k", "queries", "text->image": recall, ..., "chance": {"image": k / n}}.
    """
    table: dict[str, Any] = {"k": k, "queries": {}}
    directions = [(a, b) for b in gallery.modalities for a in queries if len(queries[a])]
    for done, (a, b) in enumerate(directions):
        progress(done, len(directions), "recall against exact search")
        rows = np.arange(min(limit, len(queries[a]))) * len(queries[a]) // min(limit, len(queries[a]))
        some = np.ascontiguousarray(queries[a][rows])
        right = gallery.nearest_many(some, b, k, exact=True)
        table[f"{a}->{b}"] = round(overlap(gallery.nearest_many(some, b, k), right), 4)
        table["queries"][a] = len(rows)
    progress(len(directions), len(directions), "recall against exact search")
    table["chance"] = {m: min(1.0, k / max(1, gallery.count(m))) for m in gallery.modalities}
    return table


def recall_text(table: Mapping[str, Any] | None) -> list[str]:
    """The measured recall as lines of text; other modalities first, since that is what is asked."""
    if not table:
        return []
    pairs = [key for key in table if "->" in key]
    pairs.sort(key=lambda key: len(set(key.split("->"))) == 1)
    lines = [f"recall@{table['k']} against exact search:"]
    for key in pairs:
        source, target = key.split("->")
        kind = "within one modality" if source == target else "across modalities"
        lines.append(f"  {source} -> {target}: {table[key]:.3f}  ({kind}; chance {table['chance'][target]:.4f})")
    return lines
