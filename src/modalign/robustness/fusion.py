"""Rules that turn several embeddings of a thing, as far as they are present, into one score.

Reference: for the volume: Cicchetti et al. 2025, arXiv 2412.11959; for the largest similarity: late interaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import check_known
from ..geometry.volume import gram_distance
from ..metrics.found import Found
from ..metrics.ranking import rank, rank_scores
from ..views import Stack, compose
from ..views.groups import join

RULES = ("mean", "weighted", "max", "volume")
CELLS = 1 << 22  # scores computed at once


def ranking(
    query: Stack,
    gallery: Stack,
    rule: str = "mean",
    weights: Mapping[str, Sequence[float]] | None = None,
    pairs: Tensor | None = None,
) -> Found:
    """Rank a gallery for each query by a fusion rule.

    "mean", "weighted": cosine of the composed rows. "max": the largest cosine of any present item of the query with any
    of the gallery's. "volume": GRAM's distance (``gram_distance``) of one composed row, from the side with fewer
    modalities, to the tuple of the other side's present items.

    Args:
        query, gallery: see ``views.side``.
        weights: of "weighted": "query" and "gallery" -> one weight per modality.
        pairs: (p, 2) positives; None: equal groups.

    Raises:
        ModalignError: unknown rule.
    """
    check_known("fusion rule", rule, RULES)
    pairs = join(query.group, gallery.group) if pairs is None else pairs
    if rule in ("mean", "weighted"):
        given = (weights or {}) if rule == "weighted" else {}
        asked, searched = compose(query, given.get("query")), compose(gallery, given.get("gallery"))
        return rank(asked, searched, pairs, group=query.group)
    scores = largest(query, gallery) if rule == "max" else volumes(query, gallery)
    return rank_scores(scores, pairs, query.group)


def largest(query: Stack, gallery: Stack) -> Tensor:
    """(n, m) largest cosine between a present item of the query and one of the gallery item."""
    best = torch.full((len(query.group), len(gallery.group)), -torch.inf, dtype=torch.float64)
    for q in range(query.data.shape[1]):
        for g in range(gallery.data.shape[1]):
            both = query.present[:, q, None] & gallery.present[None, :, g]
            cosine = cosines(query.data[:, q], gallery.data[:, g])
            best = torch.maximum(best, cosine.masked_fill(~both, -torch.inf))
    return best


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) float64 inner products of unit rows, to twelve digits: beyond, equal rows may differ by where they stand.

    Example:
        >>> cosines(torch.eye(2), torch.eye(2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return (x.double() @ y.double().T).round_(decimals=12)


def volumes(query: Stack, gallery: Stack) -> Tensor:
    """(n, m) minus the volume distance of one composed side to the other side's tuples."""
    if query.data.shape[1] < gallery.data.shape[1]:
        anchor, tuples = compose(query), gallery
    else:
        anchor, tuples = compose(gallery), query
    step = max(1, CELLS // max(1, len(anchor)))
    parts = [
        gram_distance(anchor, tuples.data[i : i + step], tuples.present[i : i + step])
        for i in range(0, len(tuples.group), step)
    ]
    distance = torch.cat(parts, 1)  # (anchors, tuples)
    return -distance if tuples is gallery else -distance.T
