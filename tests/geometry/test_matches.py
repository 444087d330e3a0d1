"""What is read off a plan that is never held, against the plan itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from modalign.geometry.transport import Problem, Solver, matches, solve


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [0.2, 0.05, 0.01])
def test_it_says_what_the_plan_says(epsilon: float, dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(0)
    x, y = (normalize(torch.randn(n, 6, generator=g), dim=1).to(dtype) for n in (70, 90))
    left, right = (torch.randn(n, d, generator=g).to(dtype) for n, d in ((70, 3), (90, 4)))
    solver = Solver(epsilon, 1e-6, 5000)
    found = matches(x, y, left, right, solver)
    plan = solve(Problem(1.0 - x @ y.T), solver).plan
    torch.testing.assert_close(found.moment, left.T @ plan @ right, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found.certainty, plan.max(1).values, atol=1e-6, rtol=1e-3)
    assert torch.equal(found.partner, plan.argmax(1))
    assert torch.equal(found.mutual, plan.argmax(0)[found.partner] == torch.arange(70))


def test_matches_come_surest_first_and_once() -> None:
    g = torch.Generator().manual_seed(1)
    y = normalize(torch.randn(30, 5, generator=g), dim=1)
    x = normalize(y[:20] + 0.1 * torch.randn(20, 5, generator=g), dim=1)
    x = torch.cat([x, x[:4]])  # equal rows have equal claims: the first of them wins
    found = matches(x, y, x, y, Solver(0.02))
    sure = found.surest(10)
    assert len(sure) == 10
    assert (found.certainty[sure].diff() <= 0).all()
    assert len(found.partner[found.mutual].unique()) == int(found.mutual.sum())
    assert not found.mutual[20:].any()
