"""Kernel alignment and correlation of modalities, as metrics over views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..errors import ModalignError
from ..geometry import similarity
from ..parameters import Count, Number
from ..registry import register
from ..views import Views
from .key import Key
from .paired import item_sets, shuffled
from .score import Measure, Score

BIASED = Measure(
    "CKA, biased", "correlation", "Centred kernel alignment; its value by chance grows with width.", importance="detail"
)
UNBIASED = Measure("CKA", "correlation", "Centred kernel alignment without the bias of width; 1 for equal geometry.")
NEAREST = Measure("CKNNA", "correlation", "Centred kernel alignment over mutual nearest neighbours alone.")
SVCCA = Measure("SVCCA", "correlation", "Mean canonical correlation of the leading directions.")
PWCCA = Measure("PWCCA", "correlation", "Canonical correlations weighted by how much of the data each explains.")
RSA = Measure("RSA", "correlation", "Rank correlation of all pairwise distances of the two modalities.")

Form = tuple[str, int | None]  # form and k, as in a key
Similarity = Callable[[Tensor, Tensor], float]


@register("metric", "cka")
@dataclass(frozen=True)
class Cka:
    """Centred kernel alignment between modalities, biased and unbiased; higher is better.

    The biased value grows with width; the unbiased one does not, and is the one to compare.

    Use when: modalities of any widths are to be compared without a map between them. Related: ``Calibrated`` (against
    shuffled pairs), ``Cknna`` (near items alone), ``Rsa`` (ranks of distances).

    Args:
        kernel: "linear" or "rbf". pick: one row per group: its "first" item or the "mean" of its items.
        null: random pairings whose mean is the chance value; 0: none.
    """

    kernel: str = "linear"
    pick: str = "first"
    null: Number = 3

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least four common groups."""
        found: dict[Form, tuple[Measure, Similarity]] = {
            ("", None): (BIASED, lambda x, y: similarity.cka(x, y, kernel=self.kernel)),
            ("unbiased", None): (UNBIASED, lambda x, y: similarity.cka(x, y, kernel=self.kernel, unbiased=True)),
        }
        return _scores(z, "cka", found, self.pick, self.null, least=4)


@register("metric", "cknna")
@dataclass(frozen=True)
class Cknna:
    """Centred kernel nearest-neighbour alignment between modalities; higher is better.

    Use when: local likeness matters more than the layout of the whole. Related: ``Cka``, ``MutualKnn``.

    Args:
        k: neighbours. rows: at most so many groups enter. pick: one row per group.
        null: random pairings for the chance value; 0: none.
    """

    k: Count = 10
    rows: Count = 5000
    pick: str = "first"
    null: Number = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least four common groups."""
        found: dict[Form, tuple[Measure, Similarity]] = {
            ("", self.k): (NEAREST, lambda x, y: similarity.cknna(x, y, self.k))
        }
        return _scores(z, "cknna", found, self.pick, self.null, least=4, rows=self.rows)


@register("metric", "svcca")
@dataclass(frozen=True)
class Svcca:
    """Mean canonical correlation of the leading directions (SVCCA) and its weighted form (PWCCA); higher is better.

    Use when: one space should be a linear map of the other. Related: ``Cka`` (less sensitive to small directions).

    Args:
        variance: share of the variance that the kept directions explain.
        pick: one row per group. null: random pairings for the chance value, which is high unless groups are many.
    """

    variance: float = 0.99
    pick: str = "first"
    null: Number = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        found: dict[Form, tuple[Measure, Similarity]] = {
            ("", None): (SVCCA, lambda x, y: similarity.svcca(x, y, self.variance)),
            ("weighted", None): (PWCCA, lambda x, y: similarity.pwcca(x, y, self.variance)),
        }
        return _scores(z, "svcca", found, self.pick, self.null, least=3)


@register("metric", "rsa")
@dataclass(frozen=True)
class Rsa:
    """Representational similarity: rank correlation of all pairwise distances of two modalities; higher is better.

    Use when: only the order of distances counts. Related: ``Cka``, ``Gromov`` (the distances themselves).

    Args:
        rows: at most so many groups enter. pick: one row per group. null: random pairings for the chance value.
    """

    rows: Count = 1000
    pick: str = "first"
    null: Number = 1

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every pair of modalities with at least three common groups."""
        found: dict[Form, tuple[Measure, Similarity]] = {
            ("", None): (RSA, lambda x, y: similarity.rsa(x, y, self.rows))
        }
        return _scores(z, "rsa", found, self.pick, self.null, least=3)


def _scores(
    z: Views,
    name: str,
    found: dict[Form, tuple[Measure, Similarity]],
    pick: str,
    null: int,
    least: int,
    rows: int | None = None,
) -> dict[str, Score]:
    out = {}
    for a, b, items in item_sets(z, pick, least=least, rows=rows, varied=True):
        for (form, k), (what, measure) in found.items():
            try:
                value, chance = measure(items.x, items.y), shuffled(measure, items.x, items.y, null)
            except ModalignError:
                continue  # undefined for these points, such as ranks of distances that are all equal
            if value == value:
                known = None if chance is None or chance != chance else chance
                out[str(Key(name, a, b, form, k, mutual=True))] = what.score(value, chance=known)
    return out
