"""Barycentres: closed forms, descent, bad input."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.cost import cost
from modalign.geometry.transport import Problem, Solver, barycentre, solve


def points(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_single_set_is_its_own_barycentre() -> None:
    x = points(10, 3, 0)
    torch.testing.assert_close(barycentre([x], cost="sqeuclidean", solver=Solver(epsilon=1e-3)), x, atol=1e-4, rtol=0)


def test_on_a_line_quantiles_are_averaged() -> None:
    x, y = points(15, 1, 0), 3 * points(15, 1, 1) + 5
    found = barycentre([x, y], cost="sqeuclidean", rounds=200, solver=Solver(epsilon=2e-3))
    wanted = (x.sort(0).values + y.sort(0).values) / 2
    torch.testing.assert_close(found.sort(0).values, wanted, atol=0.05, rtol=0)


def test_one_diracs_barycentre_is_the_mean() -> None:
    sets = [points(1, 4, k) for k in range(3)]
    torch.testing.assert_close(barycentre(sets, cost="sqeuclidean"), torch.stack(sets).mean(0))


def test_rounds_lower_the_objective_and_rows_stay_unit() -> None:
    sets = [points(20, 6, k) for k in range(3)]

    def objective(y: torch.Tensor) -> float:
        return sum(float(solve(Problem(cost(y, x, "cosine"))).objective) for x in sets)

    values = [objective(barycentre(sets, rounds=k)) for k in (0, 1, 3, 8)]
    assert values == sorted(values, reverse=True)
    torch.testing.assert_close(barycentre(sets).norm(dim=1), torch.ones(20))


def test_bad_input() -> None:
    with pytest.raises(ModalignError, match="one width"):
        barycentre([points(3, 2, 0), points(3, 4, 0)])
    with pytest.raises(ModalignError, match="one width"):
        barycentre([])
    with pytest.raises(ModalignError, match="cost"):
        barycentre([points(3, 2, 0)], cost="manhattan")
