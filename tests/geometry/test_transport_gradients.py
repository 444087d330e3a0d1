"""Gradients of transport in weights, of which some are 0 or shared by a batch; second derivatives; plans of batches."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.matching import plan_divergence
from modalign.geometry.transport import (
    Problem,
    Solver,
    Unbalanced,
    barycentric,
    between,
    shared,
    sinkhorn_divergence,
    solve,
)

pytest.importorskip("ot")
EXACT, ENTROPIC = Solver(0.0), Solver(0.1, tolerance=1e-11)


def costs(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(*values):
    return torch.tensor(values, dtype=torch.float64)


def problem(kind, cost, a, b):
    return Unbalanced(cost, a, b, rho=0.5) if kind == "unbalanced" else Problem(cost, a, b)


@pytest.mark.parametrize(("kind", "solver"), [("hard", EXACT), ("hard", ENTROPIC), ("unbalanced", ENTROPIC)])
@pytest.mark.parametrize("side", [0, 1])
def test_a_weight_of_zero_has_the_gradient_of_what_it_would_cost(kind, solver, side):
    """It was 0, as if the item could be had for nothing; of exact transport a bound of it."""
    cost = costs(3, 3, seed=side)
    given = [weights(0.5, 0.5, 0.0), weights(0.25, 0.6, 0.15)]
    given = [w.requires_grad_() for w in (given if side == 0 else given[::-1])]
    found = solve(problem(kind, cost, *given), solver)
    gradient = torch.autograd.grad(found.objective, given)[side]
    step = 1e-5 * weights(-1.0, 0.0, 1.0)
    moved = [w.detach() + (step if i == side else 0.0) for i, w in enumerate(given)]
    risen = (solve(problem(kind, cost, *moved), solver).objective - found.objective.detach()) / 1e-5
    assert float(gradient @ weights(-1.0, 0.0, 1.0)) == pytest.approx(float(risen), abs=2e-4)
    assert gradient[2] != 0


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_weight_of_zero_has_its_gradient_in_the_divergence_too(cost, side):
    draw = torch.Generator().manual_seed(side)
    x, y = (torch.randn(3, 2, generator=draw, dtype=torch.float64) for _ in range(2))
    given = [weights(0.5, 0.5, 0.0), weights(0.3, 0.6, 0.1)]
    given = [w.requires_grad_() for w in (given if side == 0 else given[::-1])]

    def loss(a, b):
        return sinkhorn_divergence(x, y, a, b, cost=cost, solver=Solver(5.0, 1e-12))

    gradient = torch.autograd.grad(loss(*given), given)[side]
    step = 1e-7 * weights(-0.5, -0.5, 1.0)
    moved = [w.detach() + (step if i == side else 0.0) for i, w in enumerate(given)]
    risen = (loss(*moved) - loss(*given)).detach() / 1e-7
    assert float(gradient @ step / 1e-7) == pytest.approx(float(risen), abs=1e-4)


def test_a_weight_of_zero_whose_pairs_are_all_forbidden_has_no_gradient():
    cost = costs(2, 2)
    cost[1] = math.inf
    a = weights(1.0, 0.0).requires_grad_()
    solve(Problem(cost, a, weights(0.5, 0.5)), ENTROPIC).objective.backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("solver", [EXACT, ENTROPIC])
def test_weights_that_all_problems_of_a_batch_share_have_the_sum_of_their_gradients(solver):
    """There was none."""
    cost, a = costs(4, 3, 3), weights(0.2, 0.3, 0.5)
    shared, alone = a.clone().requires_grad_(), a.clone().requires_grad_()
    solve(Problem(cost, shared, a), solver).objective.sum().backward()
    sum(solve(Problem(c, alone, a), solver).objective for c in cost).backward()
    torch.testing.assert_close(shared.grad, alone.grad, atol=1e-8, rtol=0)


def test_second_derivatives_are_refused_and_gradients_are_the_same_where_they_may_be_asked_for():
    """The plan was held fixed in them too: from embeddings they were wrong without a word."""
    x, y = (v.requires_grad_() for v in (costs(4, 3), costs(4, 3, seed=1)))
    loss = solve(Problem(between(x, y)), ENTROPIC).objective
    plain = torch.autograd.grad(loss, (x, y), retain_graph=True)
    graphed = torch.autograd.grad(loss, (x, y), create_graph=True)
    assert all(torch.equal(p, g) for p, g in zip(plain, graphed, strict=True))
    with pytest.raises(ModalignError, match="no second derivatives"):
        torch.autograd.grad(graphed[0].square().sum(), x)
    k = costs(2, 2).requires_grad_()
    target = torch.eye(2, dtype=torch.float64) / 2
    (slope,) = torch.autograd.grad(plan_divergence(k, k.softmax(1) / 2, target, 0.5), k, create_graph=True)
    with pytest.raises(ModalignError, match="no second derivatives"):
        slope.sum().backward()


@pytest.mark.parametrize("columns", [40, 4096])
def test_a_batch_of_plans_sends_its_rows_as_the_plans_themselves_do(columns):
    """Many rows come in blocks, which were put one below the other along the batch."""
    found = solve(Problem(costs(4, 128, columns).float()), Solver(0.1))
    targets = costs(columns, 2, seed=1).float()
    sent, means = found.apply(targets), found.barycentric(targets)
    assert sent.shape == means.shape == (4, 128, 2)
    torch.testing.assert_close(sent, found.plan @ targets)
    torch.testing.assert_close(means, barycentric(found.plan, targets))


class Halves:
    """A holder of every other half of the rows, in a thread of its own."""

    def __init__(self, place, barrier, board):
        self.place, self.barrier, self.board = place, barrier, board

    def rows(self, n, m):
        return slice(0, n // 2) if self.place == 0 else slice(n // 2, n)

    def everyones(self, x):
        self.board[self.place] = x
        self.barrier.wait(60)
        found = torch.stack(list(self.board))
        self.barrier.wait(60)
        return found

    def total(self, x):
        return self.everyones(x).sum(0)

    def least(self, x):
        return self.everyones(x).amin(0)


def test_a_plan_in_parts_takes_weights_and_gives_those_of_the_columns_their_gradient():
    x, a = costs(6, 3), weights(0.1, 0.2, 0.3, 0.1, 0.2, 0.1)
    barrier, board = threading.Barrier(2), [None, None]

    def loss(y, b):
        return solve(Problem(between(x, y), a, b), ENTROPIC).objective

    def gradients():
        inputs = costs(4, 3, seed=1).requires_grad_(), weights(0.25, 0.25, 0.3, 0.2).requires_grad_()
        found = loss(*inputs)
        return found.detach(), *torch.autograd.grad(found, inputs)

    def part(place):
        with shared(Halves(place, barrier, board)):
            return gradients()

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(part, range(2)))
    for found in parts:
        for got, right in zip(found, gradients(), strict=True):
            torch.testing.assert_close(got, right, atol=1e-8, rtol=0)
