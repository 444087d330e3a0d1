"""Figures as SVG text: pure functions of plain values."""

from .architecture import architecture_figure
from .curves import budget_figure, rank_figure, training_figure
from .recall import recall_figure, recall_picture
from .space import space_figure

__all__ = [
    "architecture_figure", "budget_figure", "rank_figure", "recall_figure", "recall_picture", "space_figure",
    "training_figure",
]  # fmt: skip
