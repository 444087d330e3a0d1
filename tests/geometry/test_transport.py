"""The front door: right values, user-visible faults, oracles, broken input."""

import itertools
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modalign.errors import ModalignError
from modalign.geometry.cost import cosine, sqeuclidean
from modalign.geometry.transport import (
    ConvergenceWarning,
    Partial,
    Potentials,
    Problem,
    SemiPaired,
    Solver,
    Unbalanced,
    solve,
)

ot = pytest.importorskip("ot")
INF = math.inf
GOLDEN = Path(__file__).parents[1] / "golden" / "official_values.npz"

KINDS = {"entropic": Problem, "exact": Problem, "unbalanced": Unbalanced, "partial": Partial, "semi_paired": SemiPaired}
OWN = ("rho", "mass", "pairs", "strength")


def solved(cost, a=None, b=None, method="entropic", start=None, **options):
    """The plan of a kind of problem, its own options and the solver's told apart."""
    own = {name: options.pop(name) for name in OWN if name in options}
    if method == "exact":
        options["epsilon"] = 0.0
    return solve(KINDS[method](cost, a, b, **own), Solver(**options), start)


def rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights(n, seed=0):
    w = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1
    return w / w.sum()


def marginals_wrong_by(found, a, b):
    return float((found.plan.sum(-1) - a).abs().sum() + (found.plan.sum(-2) - b).abs().sum())


# ---- values with one right answer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_by_two_has_its_closed_form_and_tells_cost_from_objective(dtype):
    found = solved(torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=dtype), epsilon=1.0)
    near = 1 / (2 * (1 + math.exp(-1)))
    expected = torch.tensor([[near, 0.5 - near], [0.5 - near, near]], dtype=dtype)
    torch.testing.assert_close(found.plan, expected)
    assert float(found.value) == pytest.approx(1 / (1 + math.e), abs=1e-6)
    divergence = float((expected * (4 * expected).log()).sum())
    assert float(found.objective) == pytest.approx(1 / (1 + math.e) + divergence, abs=1e-6)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-4])
@pytest.mark.parametrize("shift", [0.0, 100.0, -7.0])
def test_small_epsilon_neither_underflows_nor_depends_on_a_shift(epsilon, shift):
    found = solved(torch.tensor([[1.0, 2.0], [2.0, 1.0]]) + shift, epsilon=epsilon)
    torch.testing.assert_close(found.plan, 0.5 * torch.eye(2), atol=1e-5, rtol=0)
    assert float(found.value) == pytest.approx(1 + shift, abs=1e-4)
    assert found.converged


def test_forbidden_pairs_get_no_mass_and_no_nan():
    found = solved(torch.tensor([[0.0, INF], [INF, 0.0]]))
    assert torch.equal(found.plan, 0.5 * torch.eye(2))
    assert float(found.value) == 0.0
    assert torch.isfinite(found.objective)


@pytest.mark.parametrize("method", ["entropic", "exact"])
def test_infeasible_problems_are_refused(method):
    with pytest.raises(ModalignError, match=r"infeasible: every pair of row 1 "):
        solved(torch.tensor([[0.0, 1.0], [INF, INF]]), method=method)
    with pytest.raises(ModalignError, match=r"infeasible: every pair of column 0 "):
        solved(torch.tensor([[INF, 1.0], [INF, 1.0]]), method=method)
    crowded = torch.tensor([[0.0, INF, INF], [0.0, INF, INF], [0.0, 0.0, 0.0]])  # two rows, one column
    with pytest.raises(ModalignError, match="infeasible: the allowed pairs"):
        solved(crowded, method=method, max_iterations=50)


def test_a_row_without_allowed_pair_may_have_weight_zero():
    found = solved(torch.tensor([[0.0, 1.0], [INF, INF]]), a=torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(found.plan, torch.tensor([[0.5, 0.5], [0.0, 0.0]]))


def test_unconverged_plans_warn_with_the_marginal_error():
    cost = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    with pytest.warns(ConvergenceWarning, match=r"wrong by [0-9.e-]+ \(L1\) after 1 iterations") as caught:
        found = solved(cost, epsilon=1e-4, max_iterations=1)
    assert not found.converged
    assert found.iterations == 1
    assert caught[0].filename == __file__
    assert found.marginal_error == pytest.approx(marginals_wrong_by(found, 1 / 6, 1 / 6), rel=1e-3)
    assert f"{found.marginal_error:.3g}" in str(caught[0].message)
    assert float(found.plan.sum()) == pytest.approx(1.0, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(7)), st.sampled_from(["exact", "entropic"]))
def test_a_permuted_set_is_matched_back(order, method):
    x = torch.eye(7, dtype=torch.float64)
    found = solved(cosine(x, x[list(order)]), epsilon=0.02, method=method)
    assert found.plan.argmax(0).tolist() == list(order)
    assert float(found.value) == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=2, max_size=6), st.floats(-1, 1))
def test_between_diracs_the_cost_is_the_distance(point, shift):
    x = torch.tensor([point], dtype=torch.float64)
    y = x + shift
    for method in ("exact", "entropic", "unbalanced"):
        found = solved(sqeuclidean(x, y), method=method, **({"rho": 1e9} if method == "unbalanced" else {}))
        assert float(found.value) == pytest.approx(len(point) * shift**2, abs=1e-6)


def test_sorted_values_are_the_optimum_on_a_line():
    x, y = rows(9, 1), rows(9, 1, seed=1)
    best = ((x.sort(0).values - y.sort(0).values) ** 2).mean()
    torch.testing.assert_close(solved(sqeuclidean(x, y), method="exact").value, best)
    entropic = solved(sqeuclidean(x, y), epsilon=1e-3, max_iterations=5000)
    assert float(entropic.value) == pytest.approx(float(best), abs=2e-3)


def test_gaussians_come_near_their_closed_form():
    """Exact transport of centred samples against the Wasserstein distance of N(0, S) and N(m, T)."""
    scale, shift = torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.0])
    x = rows(600, 2, dtype=torch.float32)
    y = rows(600, 2, seed=1, dtype=torch.float32)
    whiten = [torch.linalg.inv(torch.linalg.cholesky(torch.cov(z.T))) for z in (x, y)]
    x = (x - x.mean(0)) @ whiten[0].T  # sample moments equal to the population's
    y = (y - y.mean(0)) @ whiten[1].T * scale + shift
    expected = float((shift**2).sum() + ((1 - scale) ** 2).sum())
    assert float(solved(sqeuclidean(x, y), method="exact").value) == pytest.approx(expected, rel=0.02)
    assert float(solved(sqeuclidean(x, y), epsilon=0.05).value) == pytest.approx(expected, rel=0.04)


def test_entropic_gaussian_objective_has_its_closed_form_between_a_line_and_itself():
    """N(0, 1) with itself on a fine grid: OT_e = 1 - s + e/2 (1 + ...) through sigma (Janati et al., 2020)."""
    epsilon, grid = 0.5, torch.linspace(-6, 6, 400, dtype=torch.float64)
    a = torch.exp(-0.5 * grid**2)
    a /= a.sum()
    found = solved((grid[:, None] - grid) ** 2, a, a, epsilon=epsilon, tolerance=1e-10)
    s = epsilon / 2  # their sigma squared is epsilon / 2 for the cost |x - y|^2
    d = math.sqrt(4 + s**2)
    expected = 2 - d + s * (1 - math.log(2 * s)) + s * math.log(d + s)
    assert float(found.objective) == pytest.approx(expected, abs=1e-6)


# ---- oracles


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.01])
def test_entropic_plan_equals_pot(epsilon):
    cost, a, b = cosine(rows(9, 4), rows(13, 4, seed=1)), weights(9), weights(13, seed=1)
    found = solved(cost, a, b, epsilon=epsilon, tolerance=1e-11, max_iterations=5000)
    peer = ot.sinkhorn(a.numpy(), b.numpy(), cost.numpy(), epsilon, "sinkhorn_log", 20000, 1e-13)
    np.testing.assert_allclose(found.plan, peer, atol=1e-9)
    assert marginals_wrong_by(found, a, b) < 1e-10
    potentials = (found.f[:, None] + found.g - cost) / epsilon
    torch.testing.assert_close(a[:, None] * b * potentials.exp(), found.plan)


def test_exact_plan_equals_pot_and_its_potentials_prove_it():
    cost, a, b = cosine(rows(9, 4), rows(13, 4, seed=1)), weights(9), weights(13, seed=1)
    found = solved(cost, a, b, method="exact")
    assert float(found.value) == pytest.approx(ot.emd2(a.numpy(), b.numpy(), cost.numpy()), abs=1e-12)
    slack = cost - found.f[:, None] - found.g
    assert slack.min() > -1e-12
    assert (slack * found.plan).abs().max() < 1e-12


@pytest.mark.parametrize("rho", [0.05, 1.0, 50.0])
def test_unbalanced_plan_equals_pot(rho):
    cost, a, b = cosine(rows(6, 4), rows(8, 4, seed=1)), weights(6), 1.3 * weights(8, seed=1)
    found = solved(cost, a, b, epsilon=0.1, method="unbalanced", rho=rho, tolerance=1e-12, max_iterations=20000)
    peer = ot.unbalanced.sinkhorn_unbalanced(
        a.numpy(), b.numpy(), cost.numpy(), 0.1, rho, reg_type="kl", numItermax=200000, stopThr=1e-14
    )
    np.testing.assert_allclose(found.plan, peer, atol=1e-7)
    p, q = found.plan, a[:, None] * b

    def kl(u, v):
        return float((u * (u / v).log() - u + v).sum())

    primal = float(found.value) + 0.1 * kl(p, q) + rho * (kl(p.sum(1), a) + kl(p.sum(0), b))
    assert float(found.objective) == pytest.approx(primal, abs=1e-8)


def test_unbalanced_with_a_tiny_price_moves_almost_nothing_and_stays_finite():
    cost = cosine(rows(6, 4), rows(8, 4, seed=1))
    found = solved(cost, epsilon=1e-3, method="unbalanced", rho=1e-3)
    assert float(found.plan.sum()) < 0.2
    assert torch.isfinite(found.f).all()
    assert torch.isfinite(found.g).all()
    assert found.converged


def test_unbalanced_may_be_soft_on_one_side_only():
    cost, a = cosine(rows(6, 4), rows(8, 4, seed=1)), weights(6)
    found = solved(cost, a, method="unbalanced", rho=(INF, 0.1), tolerance=1e-10)
    torch.testing.assert_close(found.plan.sum(1), a)
    assert (found.plan.sum(0) - 1 / 8).abs().max() > 1e-3


@pytest.mark.parametrize("mass", [0.2, 0.7, 1.0])
def test_partial_moves_the_asked_mass_and_tends_to_the_exact_partial_plan(mass):
    cost, a, b = cosine(rows(6, 4), rows(8, 4, seed=1)), weights(6), weights(8, seed=1)
    found = solved(cost, a, b, method="partial", mass=mass, epsilon=2e-3, tolerance=1e-8, max_iterations=20000)
    assert float(found.plan.sum()) == pytest.approx(mass, abs=1e-7)
    assert (found.plan.sum(1) <= a + 1e-7).all()
    assert (found.plan.sum(0) <= b + 1e-7).all()
    peer = ot.partial.partial_wasserstein(a.numpy(), b.numpy(), cost.numpy(), m=mass * (1 - 1e-12))
    assert float(found.value) == pytest.approx(float((peer * cost.numpy()).sum()), abs=5e-3)


def test_partial_leaves_the_outlier_behind():
    cost = sqeuclidean(torch.tensor([[0.0], [1.0], [50.0]]), torch.tensor([[0.0], [1.0], [-50.0]]))
    found = solved(cost, method="partial", mass=2 / 3, epsilon=0.01)
    torch.testing.assert_close(found.plan, torch.diag(torch.tensor([1.0, 1.0, 0.0])) / 3, atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore::modalign.geometry.transport.ConvergenceWarning")
def test_golden_plan_of_an_official_program():
    """100 plain iterations from zero, with the mean of the last two row potentials."""
    data = np.load(GOLDEN)
    text, image = torch.tensor(data["in_text"]), torch.tensor(data["in_image"])
    cost, zero = -(text @ image.T), Potentials(None, torch.zeros(12, dtype=torch.float64))
    options = {"epsilon": 0.05, "tolerance": 0.0, "start": zero, "accelerate": False}
    now, then = (solved(cost, max_iterations=k, **options) for k in (100, 101))
    assert now.iterations == 100
    plan = ((0.5 * (now.f + then.f)[:, None] + then.g - cost) / 0.05).exp() / 144
    np.testing.assert_allclose(plan, data["sinkhorn_plan_eps005_it100_symmetric"], atol=1e-8)


# ---- semi-paired


def test_semi_paired_with_all_pairs_is_the_pairing():
    cost = cosine(rows(6, 4), rows(6, 4, seed=1))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    found = solved(cost, method="semi_paired", pairs=torch.stack([torch.arange(6), order], 1))
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[torch.arange(6), order] = 1 / 6
    torch.testing.assert_close(found.plan, expected)
    torch.testing.assert_close(found.value, cost[torch.arange(6), order].mean())


def test_semi_paired_holds_pairs_and_matches_the_rest_freely():
    cost = cosine(rows(6, 4), rows(6, 4, seed=1))
    found = solved(cost, method="semi_paired", pairs=torch.tensor([[0, 5], [2, 2]]), tolerance=1e-10)
    rest_x, rest_y = torch.tensor([1, 3, 4, 5]), torch.tensor([0, 1, 3, 4])
    free = solved(cost[rest_x][:, rest_y], tolerance=1e-10)
    assert float(found.plan[0, 5]) == pytest.approx(1 / 6)
    assert float(found.plan[2, 2]) == pytest.approx(1 / 6)
    torch.testing.assert_close(found.plan[rest_x][:, rest_y], free.plan * 4 / 6)
    torch.testing.assert_close(found.value, (cost[0, 5] + cost[2, 2]) / 6 + free.value * 4 / 6)


def test_semi_paired_shares_an_item_among_its_pairs():
    """One picture with two captions, rectangular: each caption holds half of the picture."""
    cost = cosine(rows(3, 4), rows(6, 4, seed=1))
    pairs = torch.tensor([[i // 2, i] for i in range(6)])
    found = solved(cost, method="semi_paired", pairs=pairs)
    torch.testing.assert_close(found.plan[pairs[:, 0], pairs[:, 1]], torch.full((6,), 1 / 6, dtype=torch.float64))
    assert float(found.plan.sum()) == pytest.approx(1.0)


def test_semi_paired_holds_the_smaller_of_both_shares():
    """Heavy rows and light columns: a pair holds what both sides can give, and the rest of the row goes elsewhere."""
    cost = cosine(rows(3, 4), rows(4, 4, seed=1))
    a, b = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    pairs = torch.tensor([[0, 0], [1, 3], [2, 3]])  # the last column is shared by two rows
    found = solved(cost, a, b, method="semi_paired", pairs=pairs, tolerance=1e-10)
    held = torch.minimum(a[pairs[:, 0]], torch.tensor([0.1, 0.2, 0.2]).double())
    assert bool((found.plan[pairs[:, 0], pairs[:, 1]] >= held - 1e-8).all())
    torch.testing.assert_close(found.plan.sum(1), a)
    torch.testing.assert_close(found.plan.sum(0), b)
    assert float(found.plan[0, 0]) == pytest.approx(0.1)  # a full column takes no more
    assert float(found.plan[2, 3]) == pytest.approx(0.2)


def test_favoured_pairs_gain_mass_with_strength():
    cost = cosine(rows(6, 4), rows(6, 4, seed=1))
    pairs = torch.tensor([[0, 5], [2, 2]])
    mass = [
        float(solved(cost, method="semi_paired", pairs=pairs, strength=s).plan[pairs[:, 0], pairs[:, 1]].sum())
        for s in (0.0, 0.1, 0.5, 5.0)
    ]
    assert mass == sorted(mass)
    assert mass[0] == pytest.approx(float(solved(cost).plan[pairs[:, 0], pairs[:, 1]].sum()), abs=1e-4)
    assert mass[-1] == pytest.approx(2 / 6, abs=1e-3)
    found = solved(cost, method="semi_paired", pairs=pairs, strength=0.5)
    assert float(found.value) == pytest.approx(float((found.plan * cost).sum()), rel=1e-9)  # of the cost as given


# ---- invariances and sizes


@pytest.mark.parametrize("method", ["entropic", "exact", "unbalanced"])
def test_permuting_items_permutes_the_plan(method):
    cost, a, b = cosine(rows(6, 4), rows(8, 4, seed=1)), weights(6), weights(8, seed=1)
    p, q = torch.randperm(6), torch.randperm(8)
    found = solved(cost, a, b, method=method, tolerance=1e-10)
    moved = solved(cost[p][:, q], a[p], b[q], method=method, tolerance=1e-10)
    torch.testing.assert_close(moved.plan, found.plan[p][:, q], atol=1e-8, rtol=0)


def test_transposing_the_problem_transposes_the_plan():
    cost = cosine(rows(6, 4), rows(8, 4, seed=1))
    torch.testing.assert_close(
        solved(cost.T, tolerance=1e-11).plan.T, solved(cost, tolerance=1e-11).plan, atol=1e-9, rtol=0
    )


def test_a_duplicated_item_shares_its_mass():
    cost = cosine(rows(6, 4), rows(8, 4, seed=1))
    twice = torch.cat([cost, cost[:1]])
    a = torch.full((7,), 1 / 6, dtype=torch.float64)
    a[[0, 6]] /= 2
    found, doubled = solved(cost, tolerance=1e-11), solved(twice, a, tolerance=1e-11)
    torch.testing.assert_close(doubled.plan[0], doubled.plan[6])
    torch.testing.assert_close(doubled.plan[0] + doubled.plan[6], found.plan[0])
    torch.testing.assert_close(doubled.objective, found.objective)


@pytest.mark.parametrize("method", ["entropic", "exact", "unbalanced", "partial"])
def test_a_batch_equals_its_problems_one_by_one(method):
    cost = torch.stack([cosine(rows(5, 4, seed=s), rows(7, 4, seed=s + 9)) for s in range(3)])
    cost = cost * torch.tensor([1.0, 0.2, 3.0], dtype=torch.float64)[:, None, None]
    a = torch.stack([weights(5, seed=s) for s in range(3)])
    a[1, 2] = 0.0
    a = a / a.sum(1, keepdim=True)
    options = {"mass": 0.6} if method == "partial" else {}
    together = solved(cost, a, method=method, tolerance=1e-10, **options)
    for i in range(3):
        alone = solved(cost[i], a[i], method=method, tolerance=1e-10, **options)
        torch.testing.assert_close(together.plan[i], alone.plan, atol=1e-8, rtol=0)
        torch.testing.assert_close(together.value[i], alone.value, atol=1e-7, rtol=0)
        torch.testing.assert_close(together.objective[i], alone.objective, atol=1e-7, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("method", ["entropic", "exact"])
def test_a_single_item_takes_all(shape, method):
    cost = torch.rand(shape)
    found = solved(cost, method=method)
    torch.testing.assert_close(found.plan, torch.full(shape, 1 / max(shape)))
    torch.testing.assert_close(found.value, cost.mean())


def test_identical_and_nearly_identical_rows_are_finite():
    same = solved(torch.zeros(5, 7), epsilon=1e-4)
    torch.testing.assert_close(same.plan, torch.full((5, 7), 1 / 35))
    x = torch.ones(40, 16) + 1e-4 * rows(40, 16, dtype=torch.float32)
    near = solved(cosine(x, x))
    assert near.converged
    assert torch.isfinite(near.plan).all()


def test_weight_zero_items_get_nothing_and_a_potential():
    cost, a = cosine(rows(5, 4), rows(6, 4, seed=1)), weights(5)
    a[1] = 0.0
    a = a / a.sum()
    found, kept = solved(cost, a, tolerance=1e-10), [0, 2, 3, 4]
    assert float(found.plan[1].sum()) == 0.0
    torch.testing.assert_close(found.plan[kept], solved(cost[kept], a[kept], tolerance=1e-10).plan)
    torch.testing.assert_close((((found.f[:, None] + found.g - cost) / 0.05).exp() / 6).sum(1), torch.ones(5).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_costs_are_solved_in_float32(dtype):
    cost = cosine(rows(30, 8), rows(20, 8, seed=1)).to(dtype)
    found = solved(cost)
    assert found.plan.dtype == torch.float32
    assert found.converged
    torch.testing.assert_close(found.plan, solved(cost.float()).plan)


# ---- the iteration


def clusters(n, seed=0, d=32, k=8):
    scale = torch.arange(1, d + 1, dtype=torch.float64) ** -1.0
    centre = rows(k, d, seed) * scale
    draw = torch.Generator().manual_seed(seed)
    return [centre[torch.randint(k, (n,), generator=draw)] + 0.4 * scale * rows(n, d, seed + side) for side in (1, 2)]


@pytest.mark.parametrize(("epsilon", "dtype"), [(1e-2, torch.float32), (1e-3, torch.float32), (2e-4, torch.float64)])
def test_hard_problems_converge_to_the_stated_error(epsilon, dtype):
    x, y = clusters(120)
    cost = cosine(x, y).to(dtype)
    found = solved(cost, epsilon=epsilon, max_iterations=5000)
    assert found.converged
    assert marginals_wrong_by(found, 1 / 120, 1 / 120) <= 1.05e-4
    best = float(solved(cost, method="exact").value)
    assert best - 1e-5 <= float(found.value) <= best + epsilon * math.log(120) + 1e-3


def test_acceleration_saves_most_iterations_and_changes_nothing_else():
    x, y = clusters(120)
    cost = cosine(x, y)
    fast = solved(cost, epsilon=0.02, tolerance=1e-9, max_iterations=20000)
    plain = solved(cost, epsilon=0.02, tolerance=1e-9, max_iterations=20000, accelerate=False)
    assert fast.iterations * 4 < plain.iterations
    torch.testing.assert_close(fast.plan, plain.plan, atol=1e-9, rtol=0)


def test_the_log_domain_takes_over_and_says_so():
    generator = torch.Generator().manual_seed(0)
    cost = torch.rand(12, 12, generator=generator, dtype=torch.float64) * 100
    found = solved(cost, epsilon=0.05, anneal=1.0, max_iterations=3000, tolerance=1e-6)
    assert found.log_domain
    assert found.converged
    eased = solved(cost, epsilon=0.05, max_iterations=3000, tolerance=1e-6)
    torch.testing.assert_close(eased.plan, found.plan, atol=1e-5, rtol=0)
    assert not solved(cost / 100).log_domain


@pytest.mark.parametrize("anneal", [0.1, 0.5])
def test_annealing_ends_at_the_same_plan(anneal):
    x, y = clusters(60)
    cost = cosine(x, y)
    direct = solved(cost, epsilon=0.02, tolerance=1e-9, anneal=1.0)
    eased = solved(cost, epsilon=0.02, tolerance=1e-9, anneal=anneal)
    torch.testing.assert_close(eased.plan, direct.plan, atol=1e-8, rtol=0)


def test_a_warm_start_saves_iterations():
    x, y = clusters(120)
    cold = solved(cosine(x, y), epsilon=0.01)
    again = solved(cosine(x, y), epsilon=0.01, start=cold.potentials)
    nearby = solved(cosine(x + 1e-3, y), epsilon=0.01, start=cold.potentials)
    assert again.iterations <= 2
    assert nearby.iterations < cold.iterations
    other_size = solved(cosine(x, y[:50]), epsilon=0.01, start=cold.potentials)
    assert other_size.converged


def test_a_nearly_decoupled_problem_converges_far_down():
    """Plain iterations need tens of thousands of passes here, and a short memory gets stuck."""
    x, y = clusters(60)
    assert solved(cosine(x, y), epsilon=0.01, tolerance=1e-9).iterations < 400


def test_the_same_problem_gives_the_same_bits():
    x, y = clusters(60)
    assert torch.equal(solved(cosine(x, y)).plan, solved(cosine(x, y)).plan)


# ---- gradients of the objective


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": 0.5},
        {"method": "exact"},
        {"method": "unbalanced", "rho": 0.3},
        {"method": "partial", "mass": 0.5},
        {"method": "semi_paired", "pairs": [[0, 0], [1, 3]]},
        {"method": "semi_paired", "pairs": [[0, 0], [1, 3]], "strength": 0.2},
    ],
    ids=str,
)
def test_the_gradient_in_the_cost_is_the_plan_by_finite_differences(options):
    options = dict(options)
    if "pairs" in options:
        options["pairs"] = torch.tensor(options["pairs"])
    cost = cosine(rows(4, 3), rows(5, 3, seed=1)).requires_grad_()

    def objective(matrix):
        return solved(matrix, tolerance=1e-12, max_iterations=20000, **options).objective

    assert torch.autograd.gradcheck(objective, (cost,), atol=1e-5)
    found = solved(cost, tolerance=1e-12, max_iterations=20000, **options)
    found.objective.backward()
    torch.testing.assert_close(cost.grad, found.plan)


@pytest.mark.parametrize("options", [{}, {"method": "unbalanced", "rho": 0.3}, {"method": "exact"}], ids=str)
def test_the_gradient_in_the_weights_is_right_along_the_simplex(options):
    cost = cosine(rows(4, 3), rows(5, 3, seed=1))
    b = weights(5, seed=1)

    def objective(logits):
        return solved(cost, logits.softmax(0), b, tolerance=1e-12, max_iterations=20000, **options).objective

    assert torch.autograd.gradcheck(objective, (rows(4, 1).squeeze(1).requires_grad_(),), atol=1e-5)


def test_forbidden_pairs_have_a_finite_gradient():
    cost = torch.tensor([[0.0, INF, 0.3], [INF, 0.0, 0.2]], requires_grad=True)
    solved(cost).objective.backward()
    assert torch.isfinite(cost.grad).all()
    assert float(cost.grad[0, 1]) == 0.0


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cost": torch.zeros(3)}, r"got shape \(3,\)"),
        ({"cost": torch.zeros(0, 3)}, r"non-empty cost"),
        ({"cost": torch.zeros(2, 2, dtype=torch.int64)}, "floating-point"),
        ({"cost": torch.tensor([[math.nan, 0.0]])}, "NaN"),
        ({"cost": torch.tensor([[-INF, 0.0]])}, "-inf"),
        ({"a": torch.ones(4)}, r"weights a have shape \(4,\) for 2 rows"),
        ({"b": torch.tensor([1.5, -0.5, 0.0])}, "weights b must be finite, non-negative"),
        ({"a": torch.tensor([1.0, 1.0])}, "different mass"),
        ({"epsilon": -1.0}, "epsilon must be at least 0, got -1.0"),
        ({"epsilon": math.nan}, "epsilon must be at least 0, got nan"),
        ({"method": "unbalanced", "epsilon": 0.0}, "needs epsilon > 0"),
        ({"method": "unbalanced", "rho": -1.0}, "rho is -1.0"),
        ({"method": "partial", "mass": 2.0}, r"needs a mass in \(0, 1\], got 2.0"),
        ({"method": "semi_paired", "pairs": torch.tensor([[0, 3]])}, "pairs name rows outside the 2 and 3 "),
        ({"method": "semi_paired", "pairs": torch.tensor([0, 1])}, r"must be \(p, 2\)"),
        ({"method": "semi_paired", "pairs": torch.tensor([[0, 0]]), "strength": -1.0}, "strength is -1.0"),
        ({"anneal": 2.0}, "anneal must lie in"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
    ],
)
def test_mistakes_are_named(arguments, message):
    arguments = {"cost": torch.zeros(2, 3), **arguments}
    with pytest.raises(ModalignError, match=message):
        solved(arguments.pop("cost"), **arguments)


def test_every_method_is_silent_where_it_converges():
    cost = cosine(rows(5, 4), rows(6, 4, seed=1))
    extra = {"partial": {"mass": 0.5}, "semi_paired": {"pairs": torch.tensor([[0, 0]])}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method, dtype in itertools.product(
            ("exact", "entropic", "unbalanced", "partial", "semi_paired"), (torch.float32, torch.float64)
        ):
            assert solved(cost.to(dtype), method=method, **extra.get(method, {})).converged


def test_a_plan_shows_its_shape_and_how_it_went_in_one_line() -> None:
    found = solve(Problem(torch.rand(40, 30)), Solver(epsilon=0.1))
    assert repr(found).startswith("Plan(40 x 30, objective ")
    assert repr(found).endswith("iterations, converged)")
    assert len(repr(found)) < 80
    assert repr(solve(Problem(torch.rand(2, 4, 3)), Solver(epsilon=0.1))).startswith("Plan(2 x 4 x 3, ")


def test_a_cost_in_place_of_a_problem_is_refused_in_one_line() -> None:
    for cost in (torch.rand(4, 3), np.ones((4, 3))):
        with pytest.raises(ModalignError, match=r"problem must be Problem, got .*: Problem\(cost\) makes one"):
            solve(cost)  # type: ignore[arg-type]


@pytest.mark.parametrize("epsilon", [0.02, 0.05, 0.3, 2.0])  # exponents out of range, in range (twice), tiny
def test_a_kernel_of_points_in_large_pages_gives_the_plan_of_the_definition(monkeypatch, epsilon):
    from modalign.geometry.transport import between, kernel

    g = torch.Generator().manual_seed(5)
    x, y = (torch.randn(n, 6, generator=g) for n in (40, 30))
    cost = 1 - torch.nn.functional.normalize(x).double() @ torch.nn.functional.normalize(y).double().T
    f = torch.zeros(40, dtype=torch.float64)
    for _ in range(3000):  # Sinkhorn's iteration by the book, in float64
        v = -torch.logsumexp((f[:, None] - cost) / epsilon - math.log(40), 0) * epsilon
        f = -torch.logsumexp((v[None] - cost) / epsilon - math.log(30), 1) * epsilon
    expected = torch.exp((f[:, None] + v[None] - cost) / epsilon) / 1200
    monkeypatch.setattr(kernel, "LARGE_BYTES", 0)
    found = solve(Problem(between(x, y)), Solver(epsilon, 1e-6))
    assert found.converged
    assert not found.log_domain
    torch.testing.assert_close(found.plan.double(), expected, atol=2e-7, rtol=1e-3)


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [0.1, 0.02, 0.01, 0.005])
def test_masses_that_must_move_by_many_epsilons_arrive(epsilon: float, dtype: torch.dtype, accelerate: bool) -> None:
    """The one plan of a forbidden pair. Its first entry is exp(-1 / epsilon) at first: passes seem to do nothing."""
    cost = torch.tensor([[1.0, 0.0], [0.0, math.inf]], dtype=dtype)
    solver = Solver(epsilon, accelerate=accelerate)
    for first in (0.2, 0.6):
        weights = torch.tensor([first + 0.4, 0.4], dtype=dtype)
        plan = solve(Problem(cost, weights, weights), solver)
        assert plan.converged
        assert plan.plan.flatten().tolist() == pytest.approx([first, 0.4, 0.4, 0.0], abs=2e-4)
        two = torch.stack([weights, weights.flip(0)])
        both = solve(Problem(torch.stack([cost, cost.flip(0, 1)]), two, two), solver)
        assert torch.allclose(both.plan, torch.stack([plan.plan, plan.plan.flip(0, 1)]), atol=4e-4)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 7), (2, 2), (3, 5), (20, 1)])
@pytest.mark.parametrize("mass", [0.3, 0.6, 0.99])
def test_a_part_of_few_items_moves(mass: float, shape: tuple[int, int]) -> None:
    cost = 0.5 + torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plan = solve(Partial(cost, mass=mass), Solver(0.01))
    assert plan.converged
    assert float(plan.plan.sum()) == pytest.approx(mass, abs=2e-4)
    least = float(solve(Partial(cost, mass=mass), Solver(0)).value)
    assert least - 2e-4 < float(plan.value) < least + 0.01 * math.log((shape[0] + 1) * (shape[1] + 1))
