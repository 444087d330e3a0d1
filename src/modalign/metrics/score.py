"""What a metric gives: a value with its samples, and what a reader must know of the measure to judge it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ..equality import ByContent
from ..errors import ModalignError, check_known, unknown
from ..views import Views


class Unit(NamedTuple):
    """What a value is in.

    low, high: the range of one measurement; a difference of two keeps the unit and may leave it.
    scale, digits, sign: how it is shown: times ``scale``, digits after the point, and what follows.
    """

    low: float
    high: float
    scale: float = 1.0
    digits: int = 3
    sign: str = ""


UNITS = {
    "share": Unit(0.0, 1.0, 100.0, 1, " %"),  # of queries, items, neighbours: quoted in percent
    "ratio": Unit(0.0, math.inf, 100.0, 1, " %"),  # to another value, which it may exceed: quoted in percent
    "index": Unit(0.0, 1.0),  # quoted as it is
    "points": Unit(0.0, 100.0, digits=1),  # of a scale that ends at 100: BLEU, chrF
    "correlation": Unit(-1.0, 1.0),
    "distance": Unit(0.0, math.inf),
    "radians": Unit(0.0, math.pi, sign=" rad"),
    "rank": Unit(1.0, math.inf, digits=1),
    "count": Unit(0.0, math.inf, digits=1),
    "bits": Unit(-math.inf, math.inf, digits=2, sign=" bits"),
    "number": Unit(-math.inf, math.inf),  # on a scale of its own
}
"""Unit -> its range and how it is shown."""

IMPORTANCE = ("detail", "usual", "main", "headline")
"""Where a score is shown: "headline" before all others, "main" in first tables, "usual" in full listings, "detail" in
files and behind a click."""
TEXTS = ("heading", "explanation", "topic", "note", "signature")


@dataclass(frozen=True, eq=False, repr=False)
class Score(ByContent):
    """One number with what is needed to judge it.

    Args:
        value: the metric on all items.
        higher_is_better: direction.
        per_item: (n,) values whose mean (or median) is ``value``; None for metrics of whole sets (Procrustes, CKA).
        group: (n,) group of each item: the unit that is resampled, so that five captions of one photo move together.
            Both are kept on the CPU, where draws are the same whatever device the items were on.
        low, high: ends of the interval, once computed.
        chance: the value that a random aligner would reach, where it is known.
        skipped: items left out because the metric is undefined for them (queries without a positive).
        statistic: what ``value`` is of the per-item values, "mean" or "median".
        unit: of ``value``, one of ``UNITS``: what a reader is shown.
        heading: what people call the measure, for tables and axes; empty: the measure's name in its key.
        explanation: one sentence on how to read it.
        topic: the table in which a report lists it.
        importance: one of ``IMPORTANCE``.
        note: what limits this very value, such as fewer items than neighbours asked for.
        signature: how it was computed, where a field has settled on a notation (sacrebleu's).

    Example:
        >>> Score(0.5, low=0.4, high=0.6, chance=0.1, unit="share", heading="R@1")
        <R@1 50.0 % [40.0, 60.0], chance 10.0>
        >>> Score(3.2, higher_is_better=False, unit="distance", heading="Mapping error").json()["unit"]
        'distance'
    """

    value: float
    higher_is_better: bool = True
    per_item: Tensor | None = None
    group: Tensor | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    skipped: int = 0
    statistic: str = "mean"
    unit: str = "number"
    heading: str = ""
    explanation: str = ""
    topic: str = "Other measures"
    importance: str = "usual"
    note: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        check_known("unit of a score", self.unit, UNITS)
        check_known("importance of a score", self.importance, IMPORTANCE)
        for name in ("per_item", "group"):
            if (samples := getattr(self, name)) is not None:
                object.__setattr__(self, name, samples.cpu())

    def __repr__(self) -> str:
        from .shown import line

        return f"<{self.heading or 'Score'} {line(self)}>"

    def at_least(self, importance: str) -> bool:
        """Whether it is as important, or more.

        Example:
            >>> Score(1.0, importance="headline").at_least("main"), Score(1.0).at_least("main")
            (True, False)
        """
        return IMPORTANCE.index(self.importance) >= IMPORTANCE.index(importance)

    def better_than(self, other: Score) -> bool:
        """Whether its value is the better one in the measure's direction; intervals play no part.

        Example:
            >>> Score(0.1, higher_is_better=False).better_than(Score(0.2, higher_is_better=False))
            True
        """
        return self.value > other.value if self.higher_is_better else self.value < other.value

    def json(self) -> dict[str, Any]:
        """Plain values, without the samples: what ``from_json`` reads. A value that is not finite is null."""
        out: dict[str, Any] = {
            k: _finite(v) for k, v in (("value", self.value), ("low", self.low), ("high", self.high))
        }
        if self.chance is not None:
            out["chance"] = _finite(self.chance)
        if self.skipped:
            out["skipped"] = self.skipped
        out |= {"unit": self.unit, "higher_is_better": self.higher_is_better, "importance": self.importance}
        return out | {k: getattr(self, k) for k in TEXTS if getattr(self, k)}

    @classmethod
    def from_json(cls, table: Mapping[str, Any], where: str = "score") -> Score:
        """A score from what ``json`` wrote; a value that is null or not finite becomes NaN.

        Args:
            where: file and key, for the message.

        Raises:
            ModalignError: a value that is no number, no unit or direction (scores of an old version), an unknown unit.

        Example:
            >>> score = Score(0.5, unit="share", heading="R@1", note="8 candidates")
            >>> Score.from_json(score.json()) == score
            True
        """
        value, low, high, chance = (_number(table.get(k), f"{where}.{k}") for k in ("value", "low", "high", "chance"))
        if "unit" not in table or "higher_is_better" not in table:
            raise ModalignError(f"{where} has no unit or direction: it is of an older version, evaluate the run again")
        unit, higher = table["unit"], table["higher_is_better"]
        if unit not in UNITS:
            raise unknown(f"unit of {where}", str(unit), UNITS)
        if not isinstance(higher, bool):
            raise ModalignError(f"scores are damaged: {where}.higher_is_better must be true or false, got {higher!r}")
        said: dict[str, Any] = {k: str(table.get(k, "")) for k in TEXTS}
        return cls(
            math.nan if value is None else value,
            higher,
            low=low,
            high=high,
            chance=chance,
            skipped=int(table.get("skipped") or 0),
            unit=unit,
            importance=str(table.get("importance", "usual")),
            **said,
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: Any, where: str) -> float | None:
    """A number, or None for null and for what is not finite."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ModalignError(f"scores are damaged: {where} must be a number, got {value!r}")
    return None if value is None else _finite(float(value))


@dataclass(frozen=True)
class Measure:
    """The part of a score that is the same whatever the data; its fields are those of ``Score``.

    Example:
        >>> gap = Measure("Modality gap", "distance", "Distance of the centroids.", higher_is_better=False)
        >>> gap.score(0.25).heading
        'Modality gap'
    """

    heading: str
    unit: str
    explanation: str
    higher_is_better: bool = True
    topic: str = "Geometry"
    importance: str = "usual"
    statistic: str = "mean"

    def score(self, value: float, **rest: Any) -> Score:
        """A score of this measure.

        Args:
            value: the metric on all items.
            **rest: further fields of ``Score``.
        """
        return Score(value, **(vars(self) | rest))

    def mean(self, per_item: Tensor, **rest: Any) -> Score:
        """A score whose value is the mean of (n,) values."""
        return self.score(float(per_item.mean()), per_item=per_item, **rest)


class Metric(Protocol):
    """Views in the shared space -> named scores; the names are texts of ``key.Key``."""

    def __call__(self, z: Views) -> dict[str, Score]: ...
