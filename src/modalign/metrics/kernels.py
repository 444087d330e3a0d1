"""Kernel alignment and correlation of modalities, as metrics over views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..errors import ModalignError
from ..geometry import similarity
from ..geometry.procrustes import spread
from ..registry import register
from ..views import Views
from .paired import few_rows, pair_key, same_items, shuffled
from .score import Score


@register("metric", "cka")
@dataclass(frozen=True)
class Cka:
    """Centred kernel alignment between modalities, biased and unbiased; higher is better.

    The biased value grows with width; the unbiased one does not, and is the one to compare.

    Args:
        kernel: "linear" or "rbf". pick: one row per group: its "first" item or the "mean" of its items.
        null: random pairings whose mean is the chance value; 0: none.
    """

    kernel: str = "linear"
    pick: str = "first"
    null: int = 3

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least four common groups."""
        measures: dict[str, Callable[[Tensor, Tensor], float]] = {
            "": lambda x, y: similarity.cka(x, y, kernel=self.kernel),
            "unbiased": lambda x, y: similarity.cka(x, y, kernel=self.kernel, unbiased=True),
        }
        return _scores(z, "cka", measures, self.pick, self.null, least=4)


@register("metric", "cknna")
@dataclass(frozen=True)
class Cknna:
    """Centred kernel nearest-neighbour alignment between modalities; higher is better.

    Args:
        k: neighbours. rows: at most so many groups enter. pick: one row per group.
        null: random pairings for the chance value; 0: none.
    """

    k: int = 10
    rows: int = 5000
    pick: str = "first"
    null: int = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least four common groups."""
        measure = {f"@{self.k}": lambda x, y: similarity.cknna(x, y, self.k)}
        return _scores(z, "cknna", measure, self.pick, self.null, least=4, rows=self.rows)


@register("metric", "svcca")
@dataclass(frozen=True)
class Svcca:
    """Mean canonical correlation of the leading directions (SVCCA) and its weighted form (PWCCA); higher is better.

    Args:
        variance: share of the variance that the kept directions explain.
        pick: one row per group. null: random pairings for the chance value, which is high unless groups are many.
    """

    variance: float = 0.99
    pick: str = "first"
    null: int = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        measures: dict[str, Callable[[Tensor, Tensor], float]] = {
            "": lambda x, y: similarity.svcca(x, y, self.variance),
            "weighted": lambda x, y: similarity.pwcca(x, y, self.variance),
        }
        return _scores(z, "svcca", measures, self.pick, self.null, least=3)


@register("metric", "rsa")
@dataclass(frozen=True)
class Rsa:
    """Representational similarity: rank correlation of all pairwise distances of two modalities; higher is better.

    Args:
        rows: at most so many groups enter. pick: one row per group. null: random pairings for the chance value.
    """

    rows: int = 1000
    pick: str = "first"
    null: int = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        return _scores(z, "rsa", {"": lambda x, y: similarity.rsa(x, y, self.rows)}, self.pick, self.null, least=3)


def _scores(
    z: Views,
    name: str,
    measures: dict[str, Callable[[Tensor, Tensor], float]],
    pick: str,
    null: int,
    least: int,
    rows: int | None = None,
) -> dict[str, Score]:
    out = {}
    for a, b in z.pairs():
        first, second = sorted((a, b))
        items = same_items(z, first, second, pick)
        items = items if rows is None else few_rows(items, rows)
        if len(items.group) < least or 0.0 in (spread(items.x), spread(items.y)):
            continue  # undefined for a modality that has collapsed to one point
        for detail, measure in measures.items():
            try:
                value, chance = measure(items.x, items.y), shuffled(measure, items.x, items.y, null)
            except ModalignError:
                continue  # undefined for these points, such as ranks of distances that are all equal
            if value == value:
                known = None if chance is None or chance != chance else chance
                out[pair_key(name, a, b, detail)] = Score(value, True, chance=known)
    return out
