"""What is equal by content, as a user compares it: results computed twice, items read twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modalign.equality import same
from modalign.metrics.intervals import bootstrap
from modalign.metrics.score import Score
from modalign.migration import load_adapter
from modalign.migration.adapter import Adapter
from modalign.views import Views


def test_scores_computed_twice_are_equal_and_others_are_not() -> None:
    def score(*values: float) -> Score:
        return Score(float(np.mean(values)), per_item=torch.tensor(values), group=torch.arange(len(values)) // 2)

    right = [0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 0.25] * 4
    a = bootstrap(score(*right))
    assert a == bootstrap(score(*right))
    assert hash(a) == hash(bootstrap(score(*right)))
    assert a != bootstrap(score(*right[::-1]))  # of the same value, from other items
    assert a != bootstrap(score(*right), seed=5)
    assert {a} == {a, bootstrap(score(*right))}


def test_views_are_equal_where_their_items_are() -> None:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    a = Views.from_arrays(text=x, image=x + 1)
    assert a == Views.from_arrays(text=x.clone(), image=x + 1)
    assert a == Views(dict(a.data), dict(a.group), a.links, a.row)  # however they came to be
    assert a != Views.from_arrays(text=x, image=x)
    assert a != Views.from_arrays(text=x, sound=x + 1)
    assert a != Views.from_arrays(text=x.double(), image=x + 1)
    assert a != "text"


def test_an_adapter_equals_what_is_read_back(tmp_path: object) -> None:
    a = Adapter("orthogonal", torch.eye(3), torch.ones(3))
    a.save(tmp_path)
    assert load_adapter(tmp_path) == a
    assert Adapter("orthogonal", torch.eye(3), torch.zeros(3)) != a


@pytest.mark.parametrize("array", [np.array, torch.tensor])
def test_arrays_are_compared_as_wholes(array: object) -> None:
    x = array([1.0, float("nan")])
    assert same(x, array([1.0, float("nan")]))
    assert not same(x, array([1.0, 2.0]))
    assert not same(x, array([[1.0, float("nan")]]))
    assert not same(x, [1.0, float("nan")])
    assert same((x, {"a": [x]}), (x, {"a": [array([1.0, float("nan")])]}))
    assert not same([x], (x,))
