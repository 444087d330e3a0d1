"""How much of the exact answer an approximate index gives, measured with the queries that people will ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..metrics.key import Key
from ..metrics.score import Measure, Score
from ..metrics.shown import line
from ..progress import Progress, silent
from .exact import exact_scores
from .gallery import Gallery

KEPT = Measure(
    "Recall against exact search", "share", "Share of the exact first results that the index gives.", topic="Index",
    importance="main",
)  # fmt: skip
QUERIES = 256  # at most, for each pair of modalities
K = 10


def overlap(found: np.ndarray, right: np.ndarray) -> float:
    """Mean share of the right results that were found, by their scores: of equal ones any is right. In [0, 1].

    Args:
        found, right: (n, k) scores, falling; -inf marks no result.

    Example:
        >>> overlap(np.array([[0.9, 0.7]]), np.array([[0.9, 0.8]]))
        0.5
    """
    there = np.isfinite(right)
    last = np.where(there, right, np.inf).min(1, initial=np.inf)
    hit = np.minimum((found >= last[:, None]).sum(1), there.sum(1))
    return float((hit / np.maximum(there.sum(1), 1)).mean()) if len(right) else 1.0


def scores_of(gallery: Gallery, to: str, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, k) exact scores of found rows, falling; -inf where the row is -1."""
    out = np.full(rows.shape, -np.inf)
    for i, own in enumerate(rows):
        own = own[own >= 0]
        out[i, : len(own)] = np.sort(exact_scores(gallery.vectors(to, own), queries[i]))[::-1]
    return out


def cross_modal_recall(
    gallery: Gallery, queries: Mapping[str, np.ndarray], progress: Progress = silent
) -> dict[str, Any]:
    """Recall@10 of the index against exact search, for queries of every modality in every indexed modality.

    Quantised and graph indexes are tuned on neighbours of one modality; queries of another come from elsewhere in the
    space and may find far less. So each direction is measured by itself.

    Args:
        gallery: with an approximate index. queries: modality -> (n, d) unit rows, evenly sampled.

    Returns:
        {"k": 10, "queries": modality -> how many, "scores": key -> score as JSON}, with the chance of ten random items.
    """
    table: dict[str, Any] = {"k": K, "queries": {}, "scores": {}}
    directions = [(a, b) for b in gallery.modalities for a in queries if len(queries[a])]
    for done, (a, b) in enumerate(directions):
        progress(done, len(directions), "recall against exact search")
        count = min(QUERIES, len(queries[a]))
        rows = np.arange(count) * len(queries[a]) // count
        some = np.ascontiguousarray(queries[a][rows])
        found, right = (scores_of(gallery, b, some, gallery.nearest_many(some, b, K, exact=e)) for e in (False, True))
        value = round(overlap(found, right), 4)
        score = KEPT.score(value, chance=min(1.0, K / max(1, gallery.count(b))))
        table["scores"][str(Key("index_recall", a, b, k=K))] = score.json()
        table["queries"][a] = len(rows)
    progress(len(directions), len(directions), "recall against exact search")
    return table


def recall_text(table: Mapping[str, Any] | None) -> list[str]:
    """The measured recall as lines of text; other modalities first, since that is what is asked."""
    if not table:
        return []
    scores = {Key.parse(text): Score.from_json(entry, text) for text, entry in table["scores"].items()}
    lines = [f"recall@{table['k']} against exact search:"]
    for key, score in sorted(scores.items(), key=lambda entry: entry[0].source == entry[0].target):
        kind = "within one modality" if key.source == key.target else "across modalities"
        lines.append(f"  {key.source} -> {key.target}: {line(score)} ({kind})")
    return lines
