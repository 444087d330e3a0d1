"""Index arithmetic on ids: joins, pairs to groups, numbers that stand for ids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modalign.errors import ModalignError
from modalign.views import Views
from modalign.views.groups import HIGHEST, LOWEST, groups_of_pairs, join, places, row_pairs, unused


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 6), max_size=12), st.lists(st.integers(-3, 6), max_size=12))
def test_join_equals_the_dense_comparison(a: list[int], b: list[int]) -> None:
    left, right = torch.tensor(a, dtype=torch.long), torch.tensor(b, dtype=torch.long)
    assert torch.equal(join(left, right), (left[:, None] == right[None]).nonzero())


def test_a_chain_of_pairs_is_one_group() -> None:
    n = 50
    links = torch.tensor([[i, i] for i in range(n)] + [[i + 1, i] for i in range(n - 1)])
    v = Views.from_arrays(links, x=torch.ones(n, 1), y=torch.ones(n, 1))
    assert len(v) == 1


def test_groups_of_pairs_equal_a_slow_union() -> None:
    draw = torch.Generator().manual_seed(0)
    for size in (0, 1, 5, 20, 60):
        pairs = torch.stack([torch.randint(12, (size,), generator=draw), torch.randint(9, (size,), generator=draw)], 1)
        a, b = groups_of_pairs(pairs, 12, 9, "a", "b")
        sets = [{("a", i)} for i in range(12)] + [{("b", j)} for j in range(9)]
        for i, j in pairs.tolist():
            one, other = (next(s for s in sets if item in s) for item in (("a", i), ("b", j)))
            if one is not other:
                one |= other
                sets.remove(other)
        for i in range(12):
            assert all(
                (int(a[i]) == int(b[j])) == (("b", j) in next(s for s in sets if ("a", i) in s)) for j in range(9)
            )


def test_places_keep_small_ids_and_rank_large_ones() -> None:
    assert places(torch.tensor([5, 2, 9])).tolist() == [5, 2, 9]
    assert places(torch.tensor([-5, 2, 9])).tolist() == [0, 1, 2]
    assert places(torch.arange(4) * 10**15).tolist() == [0, 1, 2, 3]
    assert places(torch.tensor([HIGHEST, LOWEST])).tolist() == [1, 0]
    assert places(torch.empty(0, dtype=torch.long)).tolist() == []


def test_unused_ids_lie_above_or_below_or_nowhere() -> None:
    assert unused(torch.tensor([-7, 4]), 10) == 5
    assert unused(torch.tensor([-7, -4]), 10) == 0
    assert unused(torch.tensor([1, HIGHEST - 3]), 3) == HIGHEST - 2
    assert unused(torch.tensor([1, HIGHEST - 3]), 4) == -3
    with pytest.raises(ModalignError, match="number the groups anew"):
        unused(torch.tensor([LOWEST, HIGHEST]), 1)


@pytest.mark.parametrize(
    "pairs",
    [
        [[0, 3], [1, 4]],
        ((0, 3), (1, 4)),
        zip([0, 1], [3, 4], strict=True),
        ((i, i + 3) for i in range(2)),
        dict.fromkeys([(0, 3), (1, 4)]).keys(),
        np.array([[0, 3], [1, 4]], dtype=np.uint16),
        torch.tensor([[0, 3], [1, 4]], dtype=torch.int32),
        pd.DataFrame({"x": [0, 1], "y": [3, 4]}, index=[7, 5]),
        pd.DataFrame({"x": [0, 1], "y": [3, 4]}, dtype="Int64"),
    ],
    ids=["lists", "tuples", "zip", "generator", "keys", "array", "tensor", "frame", "nullable frame"],
)
def test_pairs_are_read_as_people_hold_them(pairs: object) -> None:
    assert row_pairs(pairs).tolist() == [[0, 3], [1, 4]]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ({0: 3}, "list\\(pairs.items"),
        ("pairs.csv", "read a file"),
        (7, "got 7"),
        ([[0, 1], [2]], "unequal lengths"),
        ([["a", "b"]], r"got an array of <U1: find each id's row first, for example by pandas.Index"),
        ([[0, None]], "got an array of object"),
        ([[0.5, 1.5]], "integer row numbers"),
        ([0, 1], "shape"),
    ],
)
def test_pairs_that_are_none_are_told_in_one_line(pairs: object, said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        row_pairs(pairs)
