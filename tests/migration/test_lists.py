"""Lists of a store against the definition, and the law that runs through what is kept, against a bounded solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from modalign.migration import migrate
from modalign.migration.curve import _power_laws
from modalign.migration.lists import as_one, first_equal, ndcg, nearest, overlap


@pytest.mark.parametrize("away", [0.0, 100.0, 10_000.0])
def test_distances_do_not_depend_on_where_the_store_lies(away: float) -> None:
    """The squares of far rows left no digit for what tells them apart: of 10,000 on lists were those of chance."""
    draw = torch.Generator().manual_seed(0)
    store, queries = (torch.randn(n, 32, generator=draw) + away for n in (500, 40))
    want = torch.cdist(queries.double(), store.double()).topk(10, largest=False).indices
    assert torch.equal(nearest(queries, store, 10, "l2"), want)
    wide = store.double()
    want = torch.cdist(wide[:40], wide).topk(10, largest=False).indices[:, 1:]
    assert torch.equal(nearest(store[:40], store, 9, "l2", torch.arange(40)), want)


def test_the_law_is_the_least_squares_one_within_its_bounds() -> None:
    """Where it ran beyond 1, only its top was cut: the fall that belongs to the cut one is another."""
    draw = np.random.default_rng(0)
    pairs = np.array([25.0, 50, 100, 200, 400, 800])
    fall = draw.random(60) * 3 * pairs[:, None] ** -(0.2 + draw.random(60))
    levels = np.clip(np.minimum(1, 0.7 + 0.5 * draw.random(60)) - fall + 0.03 * draw.standard_normal((6, 60)), 0, 1)
    top, a, power = _power_laws(pairs, levels)
    assert (top <= 1).all()
    assert (a >= 0).all()
    for i in range(60):
        best = min(
            2 * lsq_linear(np.stack([np.ones(6), -(pairs**-b)], 1), levels[:, i], ([-np.inf, 0], [1, np.inf])).cost
            for b in np.arange(0.1, 1.55, 0.05)
        )
        error = ((top[i] - a[i] * pairs ** -power[i] - levels[:, i]) ** 2).sum()
        assert error == pytest.approx(best, abs=1e-8)


def test_copies_of_a_row_are_one_row() -> None:
    """Equal texts of a store were told apart by the rounding of the fold that mapped them: .97 where all is kept."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((300, 32), np.float32)[draw.integers(0, 300, 2000)]
    turn = np.linalg.qr(draw.standard_normal((32, 32)))[0].astype(np.float32)
    moved = migrate(x, x @ turn, np.stack([np.arange(400)] * 2, 1), methods=["orthogonal"])
    for direction in ("queries", "rows"):
        for what in ("kept", "kept_ndcg", "kept_new", "kept_new_ndcg"):
            assert moved.facts[direction][what]["value"] == pytest.approx(1.0, abs=1e-6)


def test_of_copies_the_first_comes_first_and_no_more_count_than_there_are() -> None:
    store = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    assert nearest(torch.tensor([[1.0, 0.0]]), store, 4).tolist() == [[0, 2, 3, 4]]
    assert nearest(torch.tensor([[1.0, 0.0]] * 2), store, 3, "l2", torch.tensor([2, -1])).tolist() == [
        [0, 3, 4],
        [0, 2, 3],
    ]
    first = first_equal(store)
    assert first.tolist() == [0, 1, 0, 0, 4]
    found, truth = as_one(torch.tensor([[2, 3, 0]]), first), as_one(torch.tensor([[0, 2, 4]]), first)
    assert overlap(found, truth).tolist() == pytest.approx([2 / 3])
    assert ndcg(found, truth).tolist() == pytest.approx([(3 + 2 / np.log2(3)) / (3 + 2 / np.log2(3) + 1 / 2)])
