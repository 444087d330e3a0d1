"""How modalities are spread in the shared space: gap, alignment, uniformity, ranks, hubs, as metrics over views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..geometry import neighbours, spread
from ..geometry.cost import unit
from ..parameters import Count
from ..registry import register
from ..views import Views
from .key import Key
from .score import Measure, Score

GAP = Measure(
    "Modality gap", "distance", "Distance between the centroids of two modalities' unit rows.", higher_is_better=False
)
ALIGNMENT = Measure("Alignment", "distance", "Mean squared distance of true pairs.", higher_is_better=False)
UNIFORMITY = Measure(
    "Uniformity", "number", "Log mean Gaussian potential of all pairs of items; low where they spread evenly.",
    higher_is_better=False,
)  # fmt: skip
EFFECTIVE_RANK = Measure("Effective rank", "count", "Directions in use, by the entropy of the spectrum; 1 is collapse.")
MEAN_COSINE = Measure(
    "Mean cosine", "correlation", "Mean cosine of different items; 1 is collapse.", higher_is_better=False
)
DIMENSION = Measure("Intrinsic dimension", "count", "Dimension of the cloud near its points (TwoNN).")
SKEWNESS = Measure(
    "Hubness", "number", "Skewness of how often items are among the first k results; 0 is without hubs.",
    higher_is_better=False,
)  # fmt: skip
ROBIN_HOOD = Measure(
    "Robin Hood index", "index", "Share of all results that would have to move for items to be found equally often.",
    higher_is_better=False,
)  # fmt: skip
UNREACHED = Measure(
    "Never found", "share", "Share of items that are among the first k results of no query.", higher_is_better=False
)


@register("metric", "gap")
@dataclass(frozen=True)
class Gap:
    """Modality gap: distance between the centroids of two modalities' unit rows; 0 is best.

    Use when: modalities may lie in different places of one space. Related: ``Alignment`` (pair by pair),
    ``Connectivity`` (whether clouds touch).

    Example:
        >>> import torch
        >>> Gap()(Views.from_arrays(a=torch.eye(2)[:1], b=torch.eye(2)[:1]))["gap/a~b"].value
        0.0
    """

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities that both have items and one width."""
        return {
            str(Key("gap", a, b, mutual=True)): GAP.score(spread.gap(z[a], z[b]))
            for a, b in z.pairs()
            if len(z[a]) and len(z[b]) and z[a].shape[1] == z[b].shape[1]
        }


@register("metric", "alignment")
@dataclass(frozen=True)
class Alignment:
    """Alignment of positive pairs (mean squared distance) and uniformity of each modality; lower is better for both.

    Use when: a contrastive loss is to be taken apart into its two ends. Related: ``Gap``, ``Dimension``.
    """

    gives: ClassVar = ("uniformity",)

    def __call__(self, z: Views) -> dict[str, Score]:
        """``alignment/a~b`` per pair of one width with positives, ``uniformity/a`` per modality with two items.

        The chance value of alignment is its mean over all pairs, right and wrong.
        """
        out = {}
        for a, b in z.pairs():
            pairs = z.paired(a, b)
            if len(pairs) and z[a].shape[1] == z[b].shape[1]:
                values = spread.alignment(z[a][pairs[:, 0]], z[b][pairs[:, 1]]).cpu()
                group = z.group[a][pairs[:, 0]].cpu()
                chance = 2.0 - 2.0 * float(unit(z[a].double()).mean(0) @ unit(z[b].double()).mean(0))
                out[str(Key("alignment", a, b, mutual=True))] = ALIGNMENT.mean(values, group=group, chance=chance)
        for m, x in z.data.items():
            if len(x) > 1:
                out[str(Key("uniformity", m))] = UNIFORMITY.score(spread.uniformity(x))
        return out


@register("metric", "dimension")
@dataclass(frozen=True)
class Dimension:
    """Directions in use: effective rank, intrinsic dimension (TwoNN) and mean cosine of each modality.

    Use when: a space may have collapsed, or use few of its directions. Related: ``Alignment`` (uniformity).
    """

    gives: ClassVar = ("effective_rank", "intrinsic_dimension", "mean_cosine")

    def __call__(self, z: Views) -> dict[str, Score]:
        """``effective_rank/a``, ``intrinsic_dimension/a``, ``mean_cosine/a`` per modality with five items."""
        out = {}
        for m, x in z.data.items():
            if len(x) < 5:
                continue
            signs = neighbours.collapse(x)
            out[str(Key("effective_rank", m))] = EFFECTIVE_RANK.score(signs["effective_rank"])
            out[str(Key("mean_cosine", m))] = MEAN_COSINE.score(signs["mean_cosine"])
            dimension = spread.intrinsic_dimension(x)
            if dimension == dimension:  # undefined where nearly all points have an equal twin
                out[str(Key("intrinsic_dimension", m))] = DIMENSION.score(dimension)
        return out


@register("metric", "hubness")
@dataclass(frozen=True)
class Hubness:
    """Hubs of each gallery under cross-modal queries: skewness, Robin Hood index and share of items never retrieved.

    Use when: the same few results come up for many queries. Related: ``CorrectedRetrieval`` (what takes hubs away).

    Args:
        k: neighbours counted per query.
    """

    k: Count = 10

    def __call__(self, z: Views) -> dict[str, Score]:
        """``hubness/query->gallery`` (skewness), ``/robin_hood`` and ``/unreached``, for every direction; 0 is best."""
        out = {}
        for a, b in (d for pair in z.pairs() for d in (pair, pair[::-1])):
            if len(z[a]) == 0 or len(z[b]) == 0 or z[a].shape[1] != z[b].shape[1]:
                continue
            count = spread.occurrences(z[a], z[b], self.k)
            note = f"the first {self.k} are the whole gallery of {len(z[b])}" if self.k >= len(z[b]) else ""
            for form, score in (
                ("", SKEWNESS.score(spread.skewness(count), note=note)),
                ("robin_hood", ROBIN_HOOD.score(spread.robin_hood(count), note=note)),
                ("unreached", UNREACHED.score(float((count == 0).double().mean()), note=note)),
            ):
                out[str(Key("hubness", a, b, form))] = score
        return out
