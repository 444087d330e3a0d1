"""Similarities of representations: the published values, dense formulas, invariances, degenerate sets."""

from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import similarity as sim

GOLDEN = Path(__file__).parents[1] / "golden" / "official_values.npz"


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turn(d, seed=0):
    return torch.linalg.qr(rows(d, d, seed)).Q


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: torch.as_tensor(file[name]) for name in file if name.startswith(("metric_", "in_A", "in_B"))}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("mutual_knn", lambda a, b: sim.mutual_knn(a, b, 5).mean()),
        ("cycle_knn", lambda a, b: sim.cycle_knn(a, b, 5).mean()),
        ("lcs_knn", lambda a, b: sim.lcs_knn(a, b, 5).mean() * 5),
        ("cka", sim.cka),
        ("unbiased_cka", lambda a, b: sim.cka(a, b, unbiased=True)),
        ("cknna", lambda a, b: sim.cknna(a, b, 5, constant=1e-6)),
    ],
)
def test_golden_metrics(golden, name, ours):
    found = float(ours(golden["in_A"], golden["in_B"]))
    assert found == pytest.approx(float(golden[f"metric_{name}"]), abs=1e-5)


# ------------------------------------------------------------------ neighbours


def test_neighbour_similarities_of_a_set_with_its_turned_copy_are_one():
    x = rows(40, 6)
    for measure in (sim.mutual_knn, sim.lcs_knn):
        assert (measure(x, 3 * x @ turn(6), 7) == 1).all()
    assert sim.cknna(x, x @ turn(6), 7) == pytest.approx(1.0)


def test_mutual_knn_is_the_share_of_common_neighbours():
    x, y = rows(30, 5), rows(30, 4, 1)
    near = []
    for v in (x, y):
        c = torch.nn.functional.normalize(v) @ torch.nn.functional.normalize(v).T
        near.append(c.fill_diagonal_(-2).argsort(1, descending=True)[:, :6])
    expected = [len(set(a) & set(b)) / 6 for a, b in zip(near[0].tolist(), near[1].tolist(), strict=True)]
    assert sim.mutual_knn(x, y, 6).tolist() == pytest.approx(expected)


def test_more_neighbours_than_items_means_all():
    assert sim.mutual_knn(rows(4, 3), rows(4, 3, 1), 10).tolist() == [1.0] * 4


def test_unrelated_sets_share_neighbours_at_chance():
    value = sim.mutual_knn(rows(400, 20), rows(400, 20, 1), 10).mean().item()
    assert value == pytest.approx(10 / 399, abs=0.01)


def test_lcs_equals_dynamic_programming():
    x, y = rows(25, 4), rows(25, 4) + 0.5 * rows(25, 4, 1)

    def longest(a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        for i, p in enumerate(a):
            for j, q in enumerate(b):
                table[i + 1, j + 1] = table[i, j] + 1 if p == q else max(table[i, j + 1], table[i + 1, j])
        return table[-1, -1]

    a, b = sim.neighbours._neighbours(x, y, 6)
    expected = [longest(p, q) / 6 for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    assert sim.lcs_knn(x, y, 6).tolist() == pytest.approx(expected)


# ------------------------------------------------------------------ kernels


def dense_cka(k, l_, unbiased):
    n = len(k)

    def hsic(a, b):
        if not unbiased:
            h = torch.eye(n, dtype=a.dtype) - 1 / n
            return torch.trace(a @ h @ b @ h)
        a, b = a.clone().fill_diagonal_(0), b.clone().fill_diagonal_(0)
        middle = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b).sum() / (n - 2)
        return (torch.trace(a @ b) + middle) / (n * (n - 3))

    return (hsic(k, l_) / (hsic(k, k) * hsic(l_, l_)).sqrt()).item()


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("width", [4, 200])  # through covariances and through blocks of the kernel
def test_linear_cka_equals_the_dense_formula(unbiased, width):
    x, y = rows(30, width) + 2, rows(30, width, 1) + rows(30, width)
    assert sim.cka(x, y, unbiased=unbiased) == pytest.approx(dense_cka(x @ x.T, y @ y.T, unbiased))


@pytest.mark.parametrize("unbiased", [False, True])
def test_rbf_cka_equals_the_dense_formula(unbiased, monkeypatch):
    monkeypatch.setattr(sim.kernel, "CELLS", 200)  # several blocks
    x, y = rows(30, 4), rows(30, 3, 1)

    def kernel(v):
        scale = torch.pdist(v).median()
        return torch.exp(-(torch.cdist(v, v) ** 2) / (2 * scale**2))

    found = sim.cka(x, y, kernel="rbf", unbiased=unbiased)
    assert found == pytest.approx(dense_cka(kernel(x), kernel(y), unbiased), abs=1e-9)


def test_cka_is_free_of_scale_shift_and_rotation():
    x, y = rows(40, 5), rows(40, 5, 1)
    for kernel in ("linear", "rbf"):
        plain = sim.cka(x, y, kernel=kernel)
        assert sim.cka(1e-6 * x @ turn(5) + 3e-6, y, kernel=kernel) == pytest.approx(plain, abs=1e-9)
        assert sim.cka(x, x, kernel=kernel) == pytest.approx(1.0)


def test_biased_cka_grows_with_width_and_the_unbiased_one_does_not():
    x, y = rows(50, 500), rows(50, 500, 1)
    assert sim.cka(x, y) > 0.8
    assert abs(sim.cka(x, y, unbiased=True)) < 0.1


def test_cka_of_degenerate_sets_is_refused():
    x = rows(3, 2)
    with pytest.raises(ModalignError, match="at least 4 items, got 3"):
        sim.cka(x, x, unbiased=True)
    for constant in (torch.zeros(5, 2), torch.full((5, 2), 0.1)):
        with pytest.raises(ModalignError, match="undefined"):
            sim.cka(rows(5, 2), constant)
    with pytest.raises(ModalignError, match="did you mean 'linear'"):
        sim.cka(x, x, kernel="linar")


def test_cknna_equals_the_dense_formula():
    x, y = rows(40, 5), rows(40, 5) + rows(40, 5, 1)
    k, l_ = (torch.nn.functional.normalize(v) @ torch.nn.functional.normalize(v).T for v in (x, y))
    masks = []
    for kernel in (k, l_):
        near = kernel.clone().fill_diagonal_(-2).topk(6, 1).indices
        masks.append(torch.zeros_like(kernel).scatter_(1, near, 1.0))
    n = 40

    def hsic(a, b):
        middle = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b).sum() / (n - 2)
        return ((a * b.T).sum() + middle) / (n * (n - 3))

    both = masks[0] * masks[1]
    own = hsic(masks[0] * k, masks[0] * k) * hsic(masks[1] * l_, masks[1] * l_)
    assert sim.cknna(x, y, 6) == pytest.approx((hsic(both * k, both * l_) / own.sqrt()).item())


# ------------------------------------------------------------------ correlations and null


def test_svcca_equals_scikit_learns_canonical_correlations():
    from sklearn.cross_decomposition import CCA

    x = rows(200, 3)
    y = x @ rows(3, 4, 1) + rows(200, 4, 2)
    a, b = CCA(3, max_iter=5000, tol=1e-12).fit_transform(x.numpy(), y.numpy())
    expected = np.mean([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)])
    assert sim.svcca(x, y, variance=1.0) == pytest.approx(expected, abs=1e-6)


def test_canonical_correlations_ignore_linear_maps():
    x, y = rows(100, 3), rows(100, 4, 1)
    mixed = sim.svcca(x @ rows(3, 3, 5), y, variance=1.0)
    assert mixed == pytest.approx(sim.svcca(x, y, variance=1.0))
    assert sim.pwcca(x, x @ rows(3, 3, 5), variance=1.0) == pytest.approx(1.0)
    assert 0 <= sim.pwcca(x, y) <= 1


def test_rsa_equals_scipys_spearman():
    from scipy.stats import spearmanr

    x, y = rows(20, 4), rows(20, 4) + rows(20, 4, 1)
    i, j = torch.triu_indices(20, 20, 1)
    distance = [(1 - torch.nn.functional.cosine_similarity(v[i], v[j])).numpy() for v in (x, y)]
    assert sim.rsa(x, y) == pytest.approx(spearmanr(*distance).statistic)
    assert sim.rsa(x, y, rows=10) != sim.rsa(x, y)


def test_calibration_puts_chance_at_zero_and_identity_at_one():
    x, y = rows(60, 5), rows(60, 5, 1)
    null = sim.permuted(sim.cka, x, y, times=20)
    assert null.shape == (20,)
    assert sim.calibrate(float(null.median()), null) == 0.0
    assert sim.calibrate(1.0, null) == 1.0


def test_rows_must_match():
    for measure in (sim.mutual_knn, sim.cknna, sim.cka, sim.svcca, sim.rsa):
        with pytest.raises(ModalignError, match=r"\(5, 2\) and \(4, 2\)"):
            measure(rows(5, 2), rows(4, 2))
        with pytest.raises(ModalignError, match=r"NaN|at least"):
            measure(rows(5, 2) * torch.nan, rows(5, 2))


# ------------------------------------------------------------------ trustworthiness


@pytest.mark.parametrize("k", [1, 5, 12])
def test_trustworthiness_equals_scikit_learn(k):
    from sklearn.manifold import trustworthiness as theirs

    x = torch.nn.functional.normalize(rows(60, 8))
    y = torch.nn.functional.normalize(x[:, :3] + 0.3 * rows(60, 3, 1))
    ours = float(sim.trustworthiness(x, y, k).mean())
    assert ours == pytest.approx(theirs(x.double().numpy(), y.double().numpy(), n_neighbors=k), abs=1e-9)
    assert 0.5 < ours < 1.0


def test_trustworthiness_whatever_the_blocks(monkeypatch):
    x, y = rows(50, 6), rows(50, 4, 1)
    whole = sim.trustworthiness(x, y, 5)
    monkeypatch.setattr(sim.neighbours, "CELLS", 150)
    torch.testing.assert_close(sim.trustworthiness(x, y, 5), whole, atol=0, rtol=0)


def test_trustworthiness_of_copies_unrelated_and_collapsed_sets():
    x = rows(200, 5)
    assert torch.equal(sim.trustworthiness(x, 2 * x, 10), torch.ones(200).double())
    assert float(sim.trustworthiness(x, rows(200, 5, 1), 10).mean()) == pytest.approx(0.5, abs=0.06)
    flat = torch.full((200, 5), 0.3)
    assert float(sim.trustworthiness(flat, x, 10).mean()) == pytest.approx(
        0.5, abs=0.06
    )  # all neighbours at their mean rank
    with pytest.raises(ModalignError, match="k < n / 2"):
        sim.trustworthiness(x, x, 100)


@pytest.mark.slow
def test_rbf_cka_with_every_second_row_equal():
    x, y = rows(2000, 4), rows(2000, 3, 1)
    x[::2] = 1.0  # the rows whose distances are looked at are all equal
    assert sim.cka(x, 2 * x, kernel="rbf") == pytest.approx(1.0)
    assert 0 <= sim.cka(x, y, kernel="rbf") < 0.05
    scale = torch.pdist(torch.unique(x.double() - x.double().mean(0), dim=0)[::1]).median()
    kernel = torch.exp(-(torch.cdist(x.double(), x.double()) ** 2) / (2 * scale**2))
    other = torch.exp(-(torch.cdist(y.double(), y.double()) ** 2) / (2 * torch.pdist(y[::2].double()).median() ** 2))
    assert sim.cka(x, y, kernel="rbf") == pytest.approx(dense_cka(kernel, other, False), rel=0.02)
