"""Items of several modalities with their groups, the one data type that travels everywhere, and what is done to it."""

from .aligned import Aligned, Stack, aligned, row_aligned
from .batch import Batch
from .compose import compose, composed, side, task_views
from .links import connected_groups, hide_links, hold_out, keep_items, linked_groups, lose, queries_present
from .presence import presence
from .views import Pair, Views, concat

__all__ = [
    "Aligned", "Batch", "Pair", "Stack", "Views", "aligned", "compose", "composed", "concat", "connected_groups",
    "hide_links", "hold_out", "keep_items", "linked_groups", "lose", "presence", "queries_present", "row_aligned",
    "side", "task_views",
]  # fmt: skip
