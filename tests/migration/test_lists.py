"""Lists of a store against the definition, and the law that runs through what is kept, against a bounded solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from modalign.migration.curve import _power_laws
from modalign.migration.lists import nearest


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
