"""How modalities are spread in the shared space: gap, alignment, uniformity, ranks, hubs, as metrics over views."""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import neighbours, spread
from ..geometry.cost import unit
from ..registry import register
from ..views import Views
from .paired import pair_key
from .recall import key
from .score import Score


@register("metric", "gap")
@dataclass(frozen=True)
class Gap:
    """Modality gap: distance between the centroids of two modalities' unit rows; 0 is best."""

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities that both have items and one width."""
        return {
            pair_key("gap", a, b): Score(spread.gap(z[a], z[b]), False)
            for a, b in z.pairs()
            if len(z[a]) and len(z[b]) and z[a].shape[1] == z[b].shape[1]
        }


@register("metric", "alignment")
@dataclass(frozen=True)
class Alignment:
    """Alignment of positive pairs (mean squared distance) and uniformity of each modality; lower is better for both."""

    def __call__(self, z: Views) -> dict[str, Score]:
        """``alignment/a~b`` per pair of modalities with positives, ``uniformity/a`` per modality with two items.

        The chance value of alignment is its mean over all pairs, right and wrong.
        """
        out = {}
        for a, b in z.pairs():
            pairs = z.paired(a, b)
            if len(pairs):
                values = spread.alignment(z[a][pairs[:, 0]], z[b][pairs[:, 1]]).cpu()
                group = z.group[a][pairs[:, 0]].cpu()
                chance = 2.0 - 2.0 * float(unit(z[a].double()).mean(0) @ unit(z[b].double()).mean(0))
                out[pair_key("alignment", a, b)] = Score(
                    float(values.mean()), False, per_item=values, group=group, chance=chance
                )
        for m, x in z.data.items():
            if len(x) > 1:
                out[f"uniformity/{m}"] = Score(spread.uniformity(x), False)
        return out


@register("metric", "dimension")
@dataclass(frozen=True)
class Dimension:
    """Directions in use: effective rank, intrinsic dimension (TwoNN) and mean cosine of each modality."""

    def __call__(self, z: Views) -> dict[str, Score]:
        """``effective_rank/a``, ``intrinsic_dimension/a``, ``mean_cosine/a`` per modality with five items."""
        out = {}
        for m, x in z.data.items():
            if len(x) < 5:
                continue
            signs = neighbours.collapse(x)
            out[f"effective_rank/{m}"] = Score(signs["effective_rank"], True)
            out[f"mean_cosine/{m}"] = Score(signs["mean_cosine"], False)
            dimension = spread.intrinsic_dimension(x)
            if dimension == dimension:  # undefined where nearly all points have an equal twin
                out[f"intrinsic_dimension/{m}"] = Score(dimension, True)
        return out


@register("metric", "hubness")
@dataclass(frozen=True)
class Hubness:
    """Hubs of each gallery under cross-modal queries: skewness, Robin Hood index and share of items never retrieved.

    Args:
        k: neighbours counted per query.
    """

    k: int = 10

    def __call__(self, z: Views) -> dict[str, Score]:
        """``hubness/query->gallery`` (skewness), ``/robin_hood`` and ``/unreached``, for every direction; 0 is best."""
        out = {}
        for a, b in (d for pair in z.pairs() for d in (pair, pair[::-1])):
            if len(z[a]) == 0 or len(z[b]) == 0 or z[a].shape[1] != z[b].shape[1]:
                continue
            count = spread.occurrences(z[a], z[b], self.k)
            out[key("hubness", a, b)] = Score(spread.skewness(count), False)
            out[key("hubness", a, b, "robin_hood")] = Score(spread.robin_hood(count), False)
            out[key("hubness", a, b, "unreached")] = Score(float((count == 0).double().mean()), False)
        return out
