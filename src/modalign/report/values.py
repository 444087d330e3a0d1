"""Scores as tables write them."""

from __future__ import annotations

from .load import Number
from .svg import percent

PERCENT = (
    "mean_recall", "recall", "mutual_knn", "mrr", "ndcg", "map", "r_precision", "accuracy", "balanced_accuracy",
    "exact_match",
)  # fmt: skip


def shown(key: str, number: Number | None) -> str:
    """A score as the tables write it: percent for fractions, else three digits after the point.

    Example:
        >>> shown("recall/a->b/any@1", Number(0.1234)), shown("procrustes", Number(0.7421))
        ('12.3', '0.742')
    """
    if number is None:
        return "–"
    if key.startswith("rank/"):
        return f"{number.value:,.1f}".removesuffix(".0")
    return percent(number.value) if key.startswith(PERCENT) else f"{number.value:.3f}"


def interval(key: str, number: Number | None) -> str:
    """The 95 % interval of a score, or nothing."""
    if number is None or number.low is None or number.high is None:
        return ""
    return f"{shown(key, Number(number.low))} to {shown(key, Number(number.high))}"
