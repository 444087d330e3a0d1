"""Pair budgets: nested, and hidden links leave no trace."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from modalign.errors import ModalignError
from modalign.views import Views
from modalign.views.links import hide_links, linked_groups


def photos() -> Views:
    """Five photos with two captions each."""
    return Views(
        {"image": torch.randn(5, 3), "text": torch.randn(10, 4)},
        {"image": torch.arange(5) + 3, "text": (torch.arange(10) % 5) + 3},
    )


def test_budgets_are_nested_and_seeded() -> None:
    x = photos()
    sets = [set(linked_groups(x, n, seed=1).tolist()) for n in range(6)]
    assert [len(s) for s in sets] == [0, 1, 2, 3, 4, 5]
    assert all(a < b for a, b in pairwise(sets))
    assert linked_groups(x, 3, seed=1).tolist() == linked_groups(x, 3, seed=1).tolist()
    assert linked_groups(x, None).tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ModalignError, match="have 5 complete groups"):
        linked_groups(x, 6)


def test_hidden_links_keep_items_and_break_only_the_links() -> None:
    x = photos()
    y = hide_links(x, torch.tensor([4, 6]))
    linked = y.positives("image", "text")
    assert torch.equal(linked.nonzero(), x.positives("image", "text").nonzero()[[2, 3, 6, 7]])
    assert torch.equal(y["text"], x["text"])
    assert len(torch.unique(y.group["text"])) == 5  # two captions of one hidden photo still belong together
