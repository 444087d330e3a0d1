"""Queries and galleries composed of what is present: rules that turn several embeddings of a thing into one score.

Reference: for the volume: Cicchetti et al. 2025, arXiv 2412.11959; for the largest similarity: late interaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, unknown
from ..geometry.volume import gram_distance
from ..metrics.found import Found
from ..metrics.ranking import rank, rank_scores
from .missing import Aligned

RULES = ("mean", "weighted", "max", "volume")
CELLS = 1 << 22  # scores computed at once


class Side(NamedTuple):
    """Queries or gallery: data (g, M, d) unit rows, zeros where absent; present (g, M) bool; group (g,)."""

    data: Tensor
    present: Tensor
    group: Tensor


def side(z: Aligned, modalities: Sequence[str]) -> Side:
    """Some modalities of embedded items; groups with none of them are left out.

    Raises:
        ModalignError: unknown modality, or no group has any of them.
    """
    part = z.only(modalities)
    some = part.present.any(1)
    if not bool(some.any()):
        raise ModalignError(f"no item has any of {', '.join(modalities)}: there is nothing to compose")
    data = normalize(torch.stack([part.data[m][some].float() for m in modalities], 1), dim=-1)
    return Side(data * part.present[some][..., None], part.present[some], part.group[some])


def compose(s: Side, weight: Sequence[float] | None = None) -> Tensor:
    """(g, d) unit rows: normalise(sum_m w_m z_m) over what is present.

    Args:
        weight: (M,) >= 0, one per modality; default equal. A group whose present weights are all 0 counts them equal.

    Example:
        >>> z = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> compose(Side(z, torch.tensor([[True, True]]), torch.tensor([0])), [3.0, 4.0])
        tensor([[0.6000, 0.8000]])
    """
    w = torch.ones(s.data.shape[1]) if weight is None else torch.as_tensor(weight, dtype=torch.float32)
    if len(w) != s.data.shape[1] or bool((w < 0).any()):
        raise ModalignError(f"fusion needs {s.data.shape[1]} weights >= 0, got {w.tolist()}")
    share = s.present * w
    share = torch.where(share.sum(1, keepdim=True) > 0, share, s.present.float())
    return normalize((s.data * share[..., None]).sum(1), dim=-1)


def ranking(
    query: Side, gallery: Side, rule: str = "mean", weights: Mapping[str, Sequence[float]] | None = None
) -> Found:
    """Rank a gallery for each query by a fusion rule; positives are equal groups.

    "mean", "weighted": cosine of the composed rows. "max": the largest cosine of any present item of the query with any
    of the gallery's. "volume": GRAM's distance (``gram_distance``) of one composed row, from the side with fewer
    modalities, to the tuple of the other side's present items.

    Args:
        weights: of "weighted": "query" and "gallery" -> one weight per modality.

    Raises:
        ModalignError: unknown rule.
    """
    if rule not in RULES:
        raise unknown("fusion rule", rule, RULES)
    pairs = (query.group[:, None] == gallery.group[None, :]).nonzero()
    if rule in ("mean", "weighted"):
        given = (weights or {}) if rule == "weighted" else {}
        asked, searched = compose(query, given.get("query")), compose(gallery, given.get("gallery"))
        return rank(asked, searched, pairs, group=query.group)
    scores = largest(query, gallery) if rule == "max" else volumes(query, gallery)
    return rank_scores(scores, pairs, query.group)


def largest(query: Side, gallery: Side) -> Tensor:
    """(n, m) largest cosine between a present item of the query and one of the gallery item."""
    best = torch.full((len(query.group), len(gallery.group)), -torch.inf)
    for q in range(query.data.shape[1]):
        for g in range(gallery.data.shape[1]):
            both = query.present[:, q, None] & gallery.present[None, :, g]
            cosine = query.data[:, q] @ gallery.data[:, g].T
            best = torch.maximum(best, cosine.masked_fill(~both, -torch.inf))
    return best


def volumes(query: Side, gallery: Side) -> Tensor:
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
