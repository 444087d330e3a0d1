"""Transport from embeddings: losses, divergence, warm starts, large sets, Gromov."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.cost import cosine, cost, sqeuclidean
from modalign.geometry.transport import (
    ConvergenceWarning,
    Partial,
    Problem,
    SemiPaired,
    Solver,
    Unbalanced,
    barycentric,
    between,
    fused_gromov,
    gromov,
    sinkhorn_divergence,
    solve,
)

ot = pytest.importorskip("ot")
INF = math.inf

KINDS = {"entropic": Problem, "exact": Problem, "unbalanced": Unbalanced, "partial": Partial, "semi_paired": SemiPaired}
OWN = ("rho", "mass", "pairs", "strength")


def solved(cost, a=None, b=None, method="entropic", start=None, **options):
    """The plan of a kind of problem, its own options and the solver's told apart."""
    own = {name: options.pop(name) for name in OWN if name in options}
    if method == "exact":
        options["epsilon"] = 0.0
    return solve(KINDS[method](cost, a, b, **own), Solver(**options), start)


def loss_of(x, y, a=None, b=None, cost="cosine", debias=False, **options):
    """The objective between embeddings, or their divergence."""
    if debias:
        return sinkhorn_divergence(x, y, a, b, cost=cost, solver=Solver(**options))
    return solved(between(x, y, cost), a, b, **options).objective


def rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights(n, seed=0):
    w = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1
    return w / w.sum()


# ---- the loss


@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("options", [{}, {"method": "unbalanced", "rho": 0.5}, {"rows": 3}], ids=str)
def test_the_loss_and_its_gradient_equal_those_through_the_cost(kind, options):
    x, y = rows(9, 5).requires_grad_(), rows(7, 5, seed=1).requires_grad_()
    a, b = weights(9), weights(7, seed=1)
    dense = {k: v for k, v in options.items() if k != "rows"}
    direct = loss_of(x, y, a, b, cost=kind, tolerance=1e-11, **options)
    through = solved(cost(x, y, kind), a, b, tolerance=1e-11, **dense).objective
    torch.testing.assert_close(direct, through)
    for ours, theirs in zip(torch.autograd.grad(direct, (x, y)), torch.autograd.grad(through, (x, y)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": 0.01},
        {"debias": True},
        {"debias": True, "rows": 2},
        {"method": "unbalanced", "rho": (0.3, 0.1)},
        {"method": "partial", "mass": 0.4},
        {"method": "semi_paired", "pairs": [[0, 0], [1, 3]]},
        {"method": "exact"},
    ],
    ids=str,
)
def test_gradients_equal_finite_differences(kind, options):
    options = dict(options)
    if "pairs" in options:
        options["pairs"] = torch.tensor(options["pairs"])
    x, y = rows(4, 3).requires_grad_(), rows(5, 3, seed=1).requires_grad_()

    def loss(u, v):
        return loss_of(u, v, cost=kind, tolerance=1e-12, max_iterations=20000, **options)

    assert torch.autograd.gradcheck(loss, (x, y), atol=1e-5, fast_mode=True)


def test_gradients_in_the_weights_equal_finite_differences():
    x, y = rows(4, 3), rows(5, 3, seed=1)

    def loss(u, v):
        return loss_of(x, y, u.softmax(0), v.softmax(0), tolerance=1e-12, debias=True)

    logits = rows(4, 1).squeeze(1).requires_grad_(), rows(5, 1, seed=1).squeeze(1).requires_grad_()
    assert torch.autograd.gradcheck(loss, logits, atol=1e-5)


def test_items_of_weight_zero_do_not_count_and_get_no_gradient():
    x, y = rows(5, 3).requires_grad_(), rows(4, 3, seed=1)
    a = torch.tensor([0.25, 0.0, 0.25, 0.25, 0.25], dtype=torch.float64)
    loss = loss_of(x, y, a, tolerance=1e-10)
    loss.backward()
    torch.testing.assert_close(loss, loss_of(x[[0, 2, 3, 4]], y, tolerance=1e-10))
    assert float(x.grad[1].abs().sum()) == 0.0


def test_descending_the_divergence_moves_one_set_onto_the_other():
    x, y = rows(20, 2).requires_grad_(), rows(20, 2, seed=1) + 3
    optimizer = torch.optim.SGD([x], lr=5.0)
    first = float(sinkhorn_divergence(x, y, cost="sqeuclidean").detach())
    for _ in range(15):
        optimizer.zero_grad()
        loss = sinkhorn_divergence(x, y, cost="sqeuclidean")
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.01 * first


def test_potentials_carry_a_training_on():
    x, y = rows(60, 16).requires_grad_(), rows(50, 16, seed=1)
    first = solve(Problem(between(x, y)), Solver(0.01))
    assert first.potentials.g.shape == (50,)
    quick = Solver(0.01, max_iterations=2)
    with pytest.warns(ConvergenceWarning):  # two passes are too few from cold
        solve(Problem(between(x, y)), quick)
    again = solve(Problem(between(x, y)), quick, first.potentials)
    torch.testing.assert_close(again.objective, first.objective, atol=1e-5, rtol=0)
    other = solve(Problem(between(x, y[:30])), Solver(0.01), first.potentials)  # another size starts cold
    assert other.potentials.g.shape == (30,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("debias", [False, True])
def test_half_precision_embeddings(dtype, debias):
    x, y = rows(30, 64).to(dtype).requires_grad_(), rows(20, 64, seed=1).to(dtype)
    loss = loss_of(x, y, debias=debias)
    loss.backward()
    assert loss.dtype == torch.float32
    assert x.grad.dtype == dtype
    assert torch.isfinite(x.grad).all()
    exact = loss_of(x.double(), y.double(), debias=debias)
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), abs=1e-4)


def test_autocast_does_not_change_the_loss():
    x, y = rows(30, 64, dtype=torch.float32).requires_grad_(), rows(20, 64, seed=1, dtype=torch.float32)
    plain = loss_of(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss_of(x, y)
    assert torch.equal(plain, cast)
    assert torch.isfinite(torch.autograd.grad(cast, x)[0]).all()


@pytest.mark.parametrize("debias", [False, True])
def test_collapsed_embeddings_have_finite_values_and_gradients(debias):
    x = torch.ones(12, 8, requires_grad=True)
    loss = loss_of(x, torch.ones(10, 8), debias=debias)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert torch.isfinite(x.grad).all()


def test_the_largest_gradient_problem_holds_one_matrix():
    """Nothing of the cost's size stays alive between the forward and the backward pass."""
    x, y = rows(300, 4, dtype=torch.float32).requires_grad_(), rows(200, 4, seed=1, dtype=torch.float32)
    loss = loss_of(x, y)
    saved = [t for t in loss.grad_fn.saved_tensors if torch.is_tensor(t)]
    assert saved
    assert max(t.numel() for t in saved) <= 300 * 4


# ---- the divergence


@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.005])
def test_the_divergence_is_zero_at_equality(kind, epsilon):
    x = rows(50, 160, dtype=torch.float32)
    assert abs(float(sinkhorn_divergence(x, x.clone(), cost=kind, solver=Solver(epsilon=epsilon)))) < 1e-5
    shuffled = x[torch.randperm(50)]
    assert abs(float(sinkhorn_divergence(x, shuffled, cost=kind, solver=Solver(epsilon=epsilon)))) < 1e-5


@pytest.mark.parametrize("distance", [0.25, 0.05, 0.01])
def test_the_divergence_is_not_negative_between_near_clouds(distance):
    x = rows(50, 160, dtype=torch.float32)
    step = rows(50, 160, seed=1, dtype=torch.float32)
    y = x + distance * step / step.norm(dim=1, keepdim=True)
    for kind in ("cosine", "sqeuclidean"):
        assert float(sinkhorn_divergence(x, y, cost=kind)) >= -1e-6


@pytest.mark.parametrize("epsilon", [1e-3, 0.05, 10.0])
def test_the_divergence_of_diracs_is_their_cost(epsilon):
    x, y = torch.tensor([[0.0]]), torch.tensor([[1.0]])
    assert float(sinkhorn_divergence(x, y, cost="sqeuclidean", solver=Solver(epsilon=epsilon))) == 1.0


def test_the_divergence_equals_geomloss():
    geomloss = pytest.importorskip("geomloss")
    x, y, a, b = rows(30, 3), rows(40, 3, seed=1), weights(30), weights(40, seed=1)
    peer = geomloss.SamplesLoss("sinkhorn", p=2, blur=0.5, scaling=0.99, debias=True)(a, x, b, y)
    # geomloss: cost |x - y|^2 / 2 and epsilon = blur^2
    ours = sinkhorn_divergence(x, y, a, b, cost="sqeuclidean", solver=Solver(epsilon=2 * 0.25, tolerance=1e-10)) / 2
    assert float(ours) == pytest.approx(float(peer), rel=2e-3)  # it stops after its last epsilon


def test_the_divergence_equals_that_of_pots_plans():
    x, y, a, b = rows(12, 3), rows(15, 3, seed=1), weights(12), weights(15, seed=1)

    def objective(u, v, p, q):
        matrix = sqeuclidean(u, v).numpy()
        plan = ot.sinkhorn(p.numpy(), q.numpy(), matrix, 2.0, "sinkhorn_log", 20000, 1e-12)
        return float((plan * matrix).sum() + 2.0 * (plan * np.log(plan / np.outer(p, q))).sum())

    expected = objective(x, y, a, b) - objective(x, x, a, a) / 2 - objective(y, y, b, b) / 2
    ours = sinkhorn_divergence(x, y, a, b, cost="sqeuclidean", solver=Solver(epsilon=2.0, tolerance=1e-11))
    assert float(ours) == pytest.approx(expected, abs=1e-8)


def test_the_divergence_between_gaussians_of_equal_shape_is_the_squared_shift():
    x = rows(200, 2)
    shift = torch.tensor([0.7, -0.2], dtype=torch.float64)
    value = sinkhorn_divergence(x, x + shift, cost="sqeuclidean", solver=Solver(epsilon=0.2, tolerance=1e-9))
    assert float(value) == pytest.approx(float((shift**2).sum()), abs=1e-6)


# ---- any kind of cost in any problem, whole or by blocks


@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("epsilon", [0.5, 0.05])
def test_blocks_equal_the_whole(kind, epsilon):
    x, y, a, b = rows(53, 6), rows(41, 6, seed=1), weights(53), weights(41, seed=1)
    options = {"epsilon": epsilon, "tolerance": 1e-10, "max_iterations": 20000}
    dense = solved(cost(x, y, kind), a, b, **options)
    found = solved(between(x, y, kind), a, b, rows=10, **options)
    assert found.converged
    assert max(len(p) for _, p in found.blocks()) == 10
    torch.testing.assert_close(torch.cat([p for _, p in found.blocks()]), dense.plan, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.value, dense.value, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.objective, dense.objective.detach(), atol=1e-8, rtol=0)
    torch.testing.assert_close(found.barycentric(y), barycentric(dense.plan, y), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.apply(y), dense.plan @ y, atol=1e-8, rtol=0)
    assert found.marginal_error == pytest.approx(dense.marginal_error, abs=1e-9)


@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("blocks", [None, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "exact"},
        {"method": "unbalanced", "rho": (0.3, INF)},
        {"method": "partial", "mass": 0.4},
        {"method": "semi_paired", "pairs": [[0, 0], [1, 3]]},
        {"method": "semi_paired", "pairs": [[0, 0], [1, 3]], "strength": 0.2},
        {"idle": True},
        {"idle": True, "method": "unbalanced"},
    ],
    ids=str,
)
def test_embeddings_and_their_cost_give_the_same_plan(kind, blocks, options):
    options = dict(options)
    if blocks and options.get("method") not in (None, "unbalanced"):
        pytest.skip("holds the cost")
    x, y, a, b = rows(9, 5), rows(7, 5, seed=1), weights(9), weights(7, seed=1)
    if "pairs" in options:
        options["pairs"] = torch.tensor(options["pairs"])
    if options.pop("idle", False):
        a[[0, 4]], b[[6]] = 0.0, 0.0
        a, b = a / a.sum(), b / b.sum()
    options |= {"tolerance": 1e-11, "epsilon": 0.05 if kind == "cosine" else 2.0}
    dense = solved(cost(x, y, kind), a, b, **options)
    found = solved(between(x, y, kind), a, b, **options, **({"rows": blocks} if blocks else {}))
    for name in ("plan", "value", "objective", "f", "g"):
        torch.testing.assert_close(getattr(found, name), getattr(dense, name), atol=1e-8, rtol=0)
    assert found.converged
    assert found.marginal_error == pytest.approx(dense.marginal_error, abs=1e-9)
    assert torch.equal(torch.cat([p for _, p in found.blocks()]), found.plan)
    starts = [r.start for r, _ in found.blocks()]
    assert starts == sorted(starts)


def test_a_plan_that_is_read_halfway_stays_right():
    x, y = rows(2000, 6, dtype=torch.float32), rows(700, 6, seed=1, dtype=torch.float32)
    found, whole = (solved(between(x, y)) for _ in range(2))
    assert len(list(whole.blocks())) > 1
    next(found.blocks())
    assert torch.equal(found.plan, whole.plan)
    assert found.value == whole.value
    torch.testing.assert_close(found.plan.sum(), torch.tensor(1.0))


def test_no_more_rows_are_asked_for_than_stated(monkeypatch):
    from modalign.geometry.transport.points import PointCost

    asked, exponents = [], PointCost.exponents

    def watched(self, *potentials):
        entries = exponents(self, *potentials)

        def some(rows=slice(None), *more):
            asked.append(len(range(*rows.indices(len(self.x)))))
            return entries(rows, *more)

        some.least = entries.least
        return some

    monkeypatch.setattr(PointCost, "exponents", watched)
    monkeypatch.setattr(PointCost, "block", None)  # nobody builds the cost
    x, y = rows(100, 6).requires_grad_(), rows(80, 6, seed=1)
    found = solved(between(x.detach(), y), rows=7)
    assert float(found.value) > 0
    loss_of(x, y, rows=7, debias=True).backward()
    assert max(asked) == 7


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean"])
def test_exponents_know_a_bound_below_them(cost):
    draw = torch.Generator().manual_seed(0)
    f, g = torch.randn(40, generator=draw, dtype=torch.float64), torch.randn(30, generator=draw, dtype=torch.float64)
    for potentials in ((), (f,), (None, g), (f, g)):
        exponents = between(rows(40, 3), -rows(30, 3), cost).exponents(5.0, *potentials)
        assert -1000 < exponents.least <= float(exponents().min()) + 1e-9


def test_powers_of_2_are_0_where_they_would_underflow():
    from modalign.geometry.transport.kernel import exp2_

    given = torch.tensor([0.0, -1.5, -119.0, -121.0, -140.0, -1e9, -math.inf])
    expected = torch.tensor([1.0, 2**-1.5, 2**-119.0, 0.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(exp2_(given.clone()), expected)
    assert exp2_(torch.tensor([math.nan])).isnan().all()
    torch.testing.assert_close(exp2_(given[:3].clone(), least=-119.0), expected[:3])


def test_costs_are_computed_once_however_many_epsilons_a_solver_passes(monkeypatch):
    from modalign.geometry.transport.points import PointCost

    computed, exponents = [], PointCost.exponents
    monkeypatch.setattr(PointCost, "exponents", lambda *args, **how: computed.append(1) or exponents(*args, **how))
    x, y = rows(200, 6, dtype=torch.float32), rows(150, 6, seed=1, dtype=torch.float32)
    kept = solve(Problem(between(x, y)), Solver(0.005, anneal=0.25))
    assert len(computed) == 1  # the kernels of two smaller epsilons are powers of the first
    computed.clear()
    again = solve(Problem(between(x, y)), Solver(0.005, anneal=0.25, rows=200))
    assert len(computed) > 3  # nothing is kept where rows are limited
    torch.testing.assert_close(kept.objective, again.objective, atol=1e-5, rtol=0)


@pytest.mark.parametrize("power", [2.0, 4.0, 3.0])
def test_a_sharper_kernel_is_the_one_that_its_base_tells(power):
    from modalign.geometry.transport.kernel import absorb, sharpen
    from modalign.geometry.transport.problem import pose
    from modalign.geometry.transport.sharing import ALONE

    source = between(rows(30, 6), rows(20, 6, seed=1), "sqeuclidean")
    base = absorb(pose(source, None, None, 1.0), None)
    sharp = sharpen(base, rows(1, 20, seed=2)[0], 1.0, 1.0 / power, ALONE)
    right = (sharp.f[:, None] + sharp.g - source.matrix()) * power
    torch.testing.assert_close(sharp.kernel, right.exp(), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(sharp.kernel.amax(0), torch.ones(20, dtype=torch.float64))
    lost = replace(base, kernel=torch.zeros(30, 20, dtype=torch.float64))
    assert sharpen(lost, torch.zeros(20, dtype=torch.float64), 1.0, 0.5, ALONE) is None


def test_hard_marginals_leave_no_constant_open():
    x, y, a, b = rows(30, 6), rows(20, 6, seed=1), weights(30), weights(20, seed=1)
    found = [
        solved(between(x, y), a, b, epsilon=0.005, tolerance=1e-10, **o) for o in ({}, {"rows": 7}, {"anneal": 1.0})
    ]
    for plan in found:
        torch.testing.assert_close((a * plan.f).sum(), (b * plan.g).sum())
        torch.testing.assert_close(plan.f, found[0].f, atol=1e-7, rtol=0)


def test_mistakes_with_blocks_are_named():
    source = between(rows(2, 3), rows(2, 3))
    with pytest.raises(ModalignError, match="rows must be at least 1"):
        Solver(rows=0)
    with pytest.raises(ModalignError, match="columns cannot send"):
        solved(source, rows=1).apply(rows(5, 3))
    for method, own in (("exact", {}), ("partial", {"mass": 0.5}), ("semi_paired", {"pairs": torch.tensor([[0, 0]])})):
        with pytest.raises(ModalignError, match="rows works with"):
            solved(source, method=method, rows=1, **own)


@pytest.mark.slow
def test_fifty_thousand_items_in_bounded_memory():
    import resource

    x = torch.nn.functional.normalize(rows(50_000, 64, dtype=torch.float32), dim=1)
    order = torch.randperm(50_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = solved(between(x, x[order]), rows=256, tolerance=1e-3)
    assert found.converged
    assert float(found.value) >= 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * 2**20  # 2 GiB; the cost has 9.3


# ---- barycentric, Gromov


def test_barycentric_projection_of_a_permutation_and_of_an_empty_row():
    y = rows(4, 3)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(barycentric(torch.eye(4, dtype=torch.float64)[order] / 4, y), y[order])
    empty = barycentric(torch.zeros(2, 4), y.float())
    assert torch.equal(empty, torch.zeros(2, 3))
    with pytest.raises(ModalignError, match="cannot send rows"):
        barycentric(torch.ones(2, 3), y)


def test_gromov_finds_an_isometry_and_ignores_it():
    x = rows(8, 3)
    turn = torch.linalg.qr(rows(3, 3, seed=5)).Q
    order = torch.randperm(8)
    a = torch.arange(1, 9, dtype=torch.float64)
    a = a / a.sum()
    found = gromov(sqeuclidean(x, x), sqeuclidean(x[order] @ turn, x[order] @ turn), a, a[order])
    assert float(found.value) == pytest.approx(0.0, abs=1e-8)
    assert found.plan.argmax(0).tolist() == order.tolist()


@pytest.mark.parametrize("epsilon", [None, 0.5])
def test_gromov_equals_pot(epsilon):
    cx, cy = (sqeuclidean(z, z) for z in (rows(7, 3), rows(6, 2, seed=1)))
    a, b = weights(7), weights(6, seed=1)
    solver = Solver(epsilon or 0.0, tolerance=1e-7, max_iterations=1000)
    found = gromov(cx, cy, a, b, solver=solver)
    arrays = [t.numpy() for t in (cx, cy, a, b)]
    if epsilon is None:
        peer = ot.gromov.gromov_wasserstein(*arrays, "square_loss", tol_rel=1e-7, tol_abs=1e-7)
    else:
        peer = ot.gromov.entropic_gromov_wasserstein(*arrays, "square_loss", epsilon=epsilon, tol=1e-7)
    np.testing.assert_allclose(found.plan, peer, atol=1e-5)
    brute = torch.einsum("ijkl,ij,kl->", (cx[:, None, :, None] - cy[None, :, None, :]) ** 2, found.plan, found.plan)
    torch.testing.assert_close(found.value, brute)


def test_gromov_gradients_hold_the_plan():
    cx, cy = (sqeuclidean(z, z) for z in (rows(5, 3), rows(4, 2, seed=1)))
    costs = cosine(rows(5, 3), rows(4, 3, seed=2))
    inputs = [t.clone().requires_grad_() for t in (costs, cx, cy)]
    found = fused_gromov(*inputs, alpha=0.3)
    grads = torch.autograd.grad(found.objective, inputs)
    torch.testing.assert_close(grads[0], 0.7 * found.plan)
    step = 1e-6
    for place, grad in ((1, grads[1]), (2, grads[2])):
        moved = [t.detach().clone() for t in inputs]
        moved[place][0, 1] += step
        moved[place][1, 0] += step
        raised = float(fused_gromov(*moved, alpha=0.3, start=found.plan).value)
        expected = float(grad[0, 1] + grad[1, 0])
        assert (raised - float(found.value)) / step == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_fused_gromov_at_its_ends():
    cx = sqeuclidean(rows(6, 3), rows(6, 3))
    costs = cosine(rows(6, 3), rows(6, 3, seed=2))
    linear = fused_gromov(costs, cx, cx, alpha=0.0)
    torch.testing.assert_close(linear.value, solved(costs, method="exact").value)
    inner = fused_gromov(costs, cx, cx, alpha=1.0)
    torch.testing.assert_close(inner.value, gromov(cx, cx).value, atol=1e-9, rtol=0)


def test_gromov_mistakes_are_named():
    with pytest.raises(ModalignError, match="cx has shape"):
        gromov(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(ModalignError, match="alpha must lie in"):
        fused_gromov(torch.zeros(2, 2), torch.zeros(2, 2), torch.zeros(2, 2), alpha=2.0)
    with pytest.raises(ModalignError, match="finite cost"):
        fused_gromov(torch.zeros(2, 3), torch.zeros(2, 2), torch.zeros(2, 2))


# ---- mistakes


def test_loss_mistakes_are_named():
    x = rows(3, 4)
    with pytest.raises(ModalignError, match="did you mean 'cosine'"):
        loss_of(x, x, cost="cosin")
    with pytest.raises(ModalignError, match="divergence needs epsilon > 0"):
        loss_of(x, x, debias=True, epsilon=0.0)
    with pytest.raises(ModalignError, match=r"got \(0, 4\)"):
        loss_of(x[:0], x)
    with pytest.raises(ModalignError, match="equally long rows"):
        loss_of(x, rows(3, 5))
    assert math.isfinite(float(loss_of(x, x)))
