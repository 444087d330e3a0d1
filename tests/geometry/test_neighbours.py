"""Nearest neighbours and the losses on them: exact order, ties, blocks; closed forms, gradients, collapse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modalign.errors import ModalignError
from modalign.geometry import neighbours as nb
from modalign.geometry.cost import beside
from modalign.geometry.neighbours import brief, flat


def rows(n, d, seed=0, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def dense(x, y, k, metric, without_self):
    """Neighbours by full float64 scores, made equal for equal rows by rounding, ties by index."""
    x, y = x.double(), y.double()
    if metric == "cosine":
        x, y = (v / v.norm(dim=1, keepdim=True).clamp(min=1e-300) for v in (x, y))
    if metric == "euclidean":
        scores = -((x[:, None] - y[None]) ** 2).sum(-1)
    else:
        scores = (x[:, None] * y[None]).sum(-1)
    if without_self:
        scores.fill_diagonal_(-torch.inf)
    values, order = scores.mul(1e12).round().div(1e12).sort(dim=1, descending=True, stable=True)
    values = values[:, :k].neg().sqrt() if metric == "euclidean" else values[:, :k]
    return values, order[:, :k]


# ------------------------------------------------------------------ knn


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("block", [None, 1, 7, 64])
def test_knn_equals_the_dense_order_whatever_the_block(metric, block):
    x, y = rows(40, 6), rows(90, 6, seed=1)
    y[70:80] = y[5:15]  # ties far apart
    x[:3] = y[5:8]
    for gallery, without_self in ((y, False), (None, True)):
        values, indices = nb.knn(x, gallery, 8, metric=metric, block=block)
        expected, order = dense(x, x if gallery is None else y, 8, metric, without_self)
        assert torch.equal(indices, order)
        torch.testing.assert_close(values.double(), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1.0, 1e6])
def test_equal_items_hide_no_nearer_ones_whatever_the_scale(metric, scale):
    """Of short rows all items counted as tied, and the first ones by index were returned."""
    x, y = rows(20, 6), rows(40, 6, seed=1).repeat(5, 1)
    expected = nb.knn(x, y, 7, metric=metric)[1]
    assert torch.equal(nb.knn(x * scale, y * scale, 7, metric=metric)[1], expected)
    assert torch.equal(expected, dense(x, y, 7, metric, False)[1])


@pytest.mark.parametrize(("m", "k"), [(2048, 10), (2049, 10), (5000, 10), (2100, 200)])
@pytest.mark.parametrize("without_self", [False, True])
def test_large_galleries_take_the_grouped_selection_and_agree(m, k, without_self):
    y = rows(m, 8, seed=1)
    y[m - 10 :] = y[:10]
    x = y.clone() if without_self else rows(20, 8)
    values, indices = nb.knn(x, y, k, exclude_self=without_self)
    x, values, indices = x[-20:], values[-20:], indices[-20:]
    expected, order = dense(x, y, k + without_self, "cosine", False)
    if without_self:
        others = order != torch.arange(m - 20, m)[:, None]
        others[others.all(1), -1] = False  # its twins fill the list
        expected, order = expected[others].view(20, k), order[others].view(20, k)
    assert torch.equal(indices, order)
    torch.testing.assert_close(values.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("case", ["distinct", "twins", "crowded", "equal", "opposite", "few above 0"])
@pytest.mark.parametrize("way", ["faiss", "bfloat16", "parts"])
def test_candidates_of_rounded_or_foreign_products_change_no_bit(metric, case, way, monkeypatch):
    y = rows(4096, 16, seed=1)
    x = rows(300, 16, seed=2)
    if case == "twins":  # ties far apart, more of them than neighbours
        y[1496:] = y[:100].repeat(26, 1)
    elif case == "crowded":  # gaps below the error of single precision
        y = rows(1, 16) + 1e-6 * y
    elif case == "equal":
        y = torch.ones_like(y)
    elif case == "opposite":  # no score is above 0
        x, y = x.abs(), -y.abs()
    elif case == "few above 0":
        x, y[12:] = x.abs(), -y[12:].abs()
        y[:12] = y[:12].abs()
    for queries, gallery in ((x, y), (y, None)):
        plain = nb.knn(queries, gallery, 10, metric=metric)
        if way == "faiss":
            pytest.importorskip("faiss")
            monkeypatch.setattr(flat, "LEAST", 0)
        else:
            monkeypatch.setattr(brief, "suits", lambda *_: True)
            monkeypatch.setattr(brief, "GALLERY", 4096 if way == "bfloat16" else 2500)
        found = nb.knn(queries, gallery, 10, metric=metric)
        monkeypatch.undo()
        assert torch.equal(plain[0], found[0])
        assert torch.equal(plain[1], found[1])


@pytest.mark.parametrize("shape", [(700, 2500, 33), (4, 5, 3), (40, 2049, 8), (5000, 30, 4)])
def test_products_in_bfloat16_miss_no_more_than_is_said(shape, monkeypatch):
    n, m, d = shape
    x, y = rows(n, d, seed=3) * 10.0 ** rows(n, 1, seed=4), rows(m, d, seed=5) * 10.0 ** rows(m, 1, seed=6)
    x16, y16, (there, back) = brief.operands(x, y)
    found, true = (x16 @ y16.T).double(), x.double() @ y.double().T
    missed = (found - true).abs() - brief.ROUNDED * found.abs()
    assert (missed <= there[:, None]).all()
    assert (missed <= back).all()
    assert (there < 0.02 * x.norm(dim=1) * y.norm(dim=1).max()).all()
    plain = nb.knn(x, y, 4, metric="dot")
    monkeypatch.setattr(brief, "suits", lambda *_: True)
    assert all(map(torch.equal, nb.knn(x, y, 4, metric="dot"), plain))


@pytest.mark.parametrize("way", ["blocks", "bfloat16", "faiss"])
def test_products_beyond_float32_hide_no_neighbours(way, monkeypatch):
    """Differences of infinite scores were taken for sure: others were given without a word."""
    if way == "bfloat16":
        monkeypatch.setattr(brief, "suits", lambda *_: True)
    elif way == "faiss":
        pytest.importorskip("faiss")
        monkeypatch.setattr(flat, "LEAST", 0)
    for seed in range(12):
        x, y = 1e10 * rows(20, 6, seed), rows(60, 6, seed + 100)
        for gallery in (1e33 * y, y * 10 ** (30 * torch.rand(60, 1, generator=torch.Generator().manual_seed(seed)))):
            assert torch.equal(nb.knn(x, gallery, 3, metric="dot")[1], dense(x, gallery, 3, "dot", False)[1])
            assert torch.equal(nb.knn(gallery, k=3, metric="dot")[1], dense(gallery, gallery, 3, "dot", True)[1])


def test_faiss_keeps_the_settings_of_its_user(monkeypatch):
    faiss = pytest.importorskip("faiss")
    monkeypatch.setattr(flat, "LEAST", 0)
    threads, threshold = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    seen = []
    plain = faiss.knn
    monkeypatch.setattr(
        faiss, "knn", lambda *a, **k: seen.append(faiss.cvar.distance_compute_blas_threshold) or plain(*a, **k)
    )
    nb.knn(rows(30, 5), k=3)
    assert seen == [0]  # products of matrices, however few the queries
    assert (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold) == (threads, threshold)


def test_twins_find_each_other_and_not_themselves():
    x = rows(30, 5)
    x[1] = x[0]
    index = nb.knn(x, k=1)[1]
    assert index[:2].flatten().tolist() == [1, 0]
    assert (nb.knn(x, k=29)[1] != torch.arange(30)[:, None]).all()


@pytest.mark.parametrize("n", [3, 2500])
def test_equal_points_are_ordered_by_index(n):
    values, index = nb.knn(torch.full((n, 7), 0.3), k=2)
    assert index[0].tolist() == [1, 2]
    assert index[1].tolist() == [0, 2]
    assert index[-1].tolist() == [0, 1]
    torch.testing.assert_close(values, torch.ones(n, 2))


def test_order_below_the_resolution_of_float32():
    angle = 1e-7 * torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0], dtype=torch.float64).repeat_interleave(20)
    y = torch.stack([angle.cos(), angle.sin()], 1)
    index = nb.knn(torch.tensor([[1.0, 0.0]], dtype=torch.float64), y, 20, metric="euclidean")[1]
    assert index[0].tolist() == list(range(20, 40))


def test_euclidean_distances_of_nearly_equal_points_are_never_nan():
    x = 1 + 0.01 * rows(200, 512)
    values, _ = nb.knn(x, x, 3, metric="euclidean", exclude_self=False)
    assert (values[:, 0] == 0).all()
    assert torch.isfinite(values).all()
    truth = torch.cdist(x.double(), x.double()).sort(1).values[:, :3]
    torch.testing.assert_close(values[:, 1:].double(), truth[:, 1:], rtol=1e-4, atol=0)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("k", [1, 3, 12])
def test_neighbours_in_tight_clusters_far_apart_are_the_nearest_ones(width, k):
    """Events that come in bursts over years: squares of the whole span hid which of a burst were nearer than others."""
    g = torch.Generator().manual_seed(0)
    burst = 1.5e6 * torch.randint(0, 60, (60, 1), generator=g).double().repeat_interleave(10, 0)
    x = torch.cat([burst + 5e-2 * torch.rand(600, 1, generator=g), 1e-3 * torch.randn(600, 3, generator=g)], 1)
    x = x[:, :width]
    x[7] = x[3]
    value, index = nb.knn(x, k=k, metric="euclidean")
    apart = (x[:, None] - x).square().sum(2).sqrt().fill_diagonal_(torch.inf)
    want = apart.sort(dim=1, stable=True)
    torch.testing.assert_close(value, want.values[:, :k])
    torch.testing.assert_close(apart.gather(1, index), want.values[:, :k])
    assert index[7, 0] == 3


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_one_huge_row_hides_no_neighbours(metric):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 8, generator=g).double(), torch.randn(200, 8, generator=g).double()
    y[100] = -1e14
    index = nb.knn(x, y, 5, metric=metric)[1]
    apart = (x[:, None] - y).square().sum(2) if metric == "euclidean" else -(x[:, None] * y).sum(2)
    assert torch.equal(index, apart.argsort(dim=1, stable=True)[:, :5])


def test_more_neighbours_than_items_returns_all_of_them():
    x = rows(4, 3)
    assert nb.knn(x, k=10)[1].shape == (4, 3)
    assert nb.knn(x, rows(6, 3), k=10)[1].shape == (4, 6)
    assert nb.knn(x[:1], k=3)[1].shape == (1, 0)
    assert nb.knn(x[:0], x, k=3)[1].shape == (0, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 5), st.integers(1, 6), st.integers(0, 10_000))
def test_knn_of_a_permuted_gallery_is_the_permuted_knn(n, d, k, seed):
    x, y = rows(5, d, seed), rows(n, d, seed + 1)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    values, index = nb.knn(x, y, k)
    again, moved = nb.knn(x, y[order], k)
    assert torch.equal(values, again)
    assert torch.equal(order[moved], index)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(dtype):
    x = rows(50, 6).to(dtype)
    values, index = nb.knn(x, k=4)
    assert torch.equal(index, dense(x, x, 4, "cosine", True)[1])
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_layouts_do_not_matter():
    x = rows(40, 12)
    wide = torch.zeros(40, 24)
    wide[:, ::2] = x
    expected = nb.knn(x, k=5)[1]
    assert torch.equal(nb.knn(wide[:, ::2], k=5)[1], expected)
    assert torch.equal(nb.knn(x.T.contiguous().T, k=5)[1], expected)


def test_knn_refuses_mistakes():
    x = rows(4, 3)
    for call, message in (
        (lambda: nb.knn(x, rows(4, 2)), r"\(4, 3\) and \(4, 2\)"),
        (lambda: nb.knn(x, k=0), "at least 1"),
        (lambda: nb.knn(x, metric="cosin"), "did you mean 'cosine'"),
        (lambda: nb.knn(x, rows(5, 3), exclude_self=True), "4 and 5 rows"),
        (lambda: nb.knn(x.long()), "floating point"),
        (lambda: nb.knn(torch.full((2, 2), math.nan)), "NaN"),
    ):
        with pytest.raises(ModalignError, match=message):
            call()


# ------------------------------------------------------------------ literal


def test_literal_equals_its_definition():
    x, y = rows(7, 4, dtype=torch.float64), rows(9, 4, seed=1, dtype=torch.float64)
    squares = torch.cdist(x, y) ** 2
    forward = squares.sort(1).values[:, :3].mean()
    backward = squares.T.sort(1).values[:, :3].mean()
    torch.testing.assert_close(nb.literal(x, y, 3, symmetric=False), forward)
    torch.testing.assert_close(nb.literal(x, y, 3), (forward + backward) / 2)


def test_literal_is_least_when_all_is_equal_which_the_carried_form_is_not():
    point = torch.ones(6, 3, dtype=torch.float64)
    assert nb.literal(point, point, 2).item() == 0.0
    target = torch.eye(6, dtype=torch.float64)
    assert nb.carried(point, point, target).item() == pytest.approx(math.log(6))
    spread = torch.eye(6, dtype=torch.float64)
    assert nb.carried(spread, spread, target).item() < 0.01


def test_mutual_weights_keep_only_mutual_neighbours():
    x = torch.tensor([[0.0], [10.0]])
    y = torch.tensor([[1.0], [2.0], [11.5]])
    # nearest of x: y0 (1), y2 (2.25); nearest of y: x0, x0, x1 -> y1 is not mutual
    assert nb.literal(x, y, 1, weights="mutual").item() == pytest.approx((1.0 + 2.25) / 2)


def test_self_tuning_weights_equal_the_formula():
    x, y = rows(6, 3, dtype=torch.float64), rows(5, 3, seed=2, dtype=torch.float64)
    d = torch.cdist(x, y)
    near = d.argsort(1)[:, :2]
    scale_x, scale_y = d.sort(1).values[:, 1], d.T.sort(1).values[:, 1]
    w = torch.exp(-(d**2) / (scale_x[:, None] * scale_y[None, :])).gather(1, near)
    expected = (w * d.gather(1, near) ** 2).sum() / w.sum()
    torch.testing.assert_close(nb.literal(x, y, 2, weights="self_tuning", symmetric=False), expected)


@pytest.mark.parametrize("weights", ["uniform", "mutual"])
def test_literal_gradient_equals_finite_differences(weights):
    x, y = rows(5, 3, dtype=torch.float64).requires_grad_(), rows(6, 3, seed=1, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nb.literal(a, b, 2, weights=weights), (x, y))


def test_literal_of_empty_sides_and_more_neighbours_than_items():
    x = rows(3, 2).requires_grad_()
    value = nb.literal(x, rows(0, 2))
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(x.grad, torch.zeros(3, 2))
    assert torch.isfinite(nb.literal(rows(1, 2), rows(1, 2), 9))
    with pytest.raises(ModalignError, match="unknown weights 'mutua'"):
        nb.literal(rows(2, 2), rows(2, 2), weights="mutua")


# ------------------------------------------------------------------ carried


def test_carry_all_own_is_plain_pairs():
    pairs = torch.tensor([[0, 1], [0, 2], [2, 0]])
    target = nb.carry(rows(4, 3), pairs, 3, k=2, own=1.0)
    assert torch.equal(target[:3:2], torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(target[1].sum(), torch.tensor(1.0))  # unpaired: its neighbours' partners alone


def test_carry_follows_the_frozen_manifold():
    angle = torch.tensor([0.0, 0.1, 0.2, 3.0])
    frozen = torch.stack([angle.cos(), angle.sin()], 1)
    pairs = torch.tensor([[0, 0], [2, 1], [3, 2]])
    target = nb.carry(frozen, pairs, 3, k=2, temperature=0.1)
    near = torch.softmax(frozen[1] @ frozen[[0, 2]].T / 0.1, 0)
    torch.testing.assert_close(target[1], torch.tensor([near[0], near[1], 0.0]))
    torch.testing.assert_close(target.sum(1), torch.ones(4))


def test_carry_mutual_and_self_tuning_rows_still_sum_to_one_or_zero():
    frozen, pairs = rows(12, 4), torch.stack([torch.arange(8), torch.arange(8)], 1)
    for weights in nb.losses.WEIGHTS:
        sums = nb.carry(frozen, pairs, 8, k=3, weights=weights).sum(1)
        assert ((sums - 1).abs() < 1e-5).logical_or(sums == 0).all()
        assert (sums[:8] > 0).all()


@pytest.mark.parametrize("weights", nb.losses.WEIGHTS)
def test_carry_weights_equal_their_formulas(weights):
    f = torch.nn.functional.normalize(rows(9, 4, dtype=torch.float64), dim=1)
    paired, k, temperature = 6, 3, 0.2  # item i < 6 is paired with item i of the other side
    near = [sorted((j for j in range(paired) if j != i), key=lambda j, i=i: -float(f[i] @ f[j]))[:k] for i in range(9)]
    reach = [max(float((f[i] - f[j]).norm()) for j in near[i]) for i in range(9)]
    expected = torch.zeros(9, paired, dtype=torch.float64)
    for i in range(9):
        around = torch.zeros(paired, dtype=torch.float64)
        for j in near[i]:
            if weights == "self_tuning":
                around[j] = math.exp(-float((f[i] - f[j]).square().sum()) / (reach[i] * reach[j]))
            elif weights != "mutual" or i in near[j] or (i >= paired and f[i] @ f[j] >= f[near[j][-1]] @ f[j]):
                around[j] = math.exp(float(f[i] @ f[j]) / temperature)
        own = 0.3 if i < paired and around.sum() > 0 else float(i < paired)
        expected[i] = (1 - own) * around / around.sum().clamp(min=1e-300)
        if i < paired:
            expected[i, i] += own
    pairs = torch.arange(paired)[:, None].expand(-1, 2)
    found = nb.carry(f, pairs, paired, k=k, temperature=temperature, own=0.3, weights=weights)
    torch.testing.assert_close(found, expected)


def test_mutual_neighbours_carry_to_items_without_partners_too():
    """None of them could be anybody's neighbour, so that nothing was carried to any."""
    angle = torch.tensor([0.0, 0.1, 1.0, 1.1, 0.05, 0.5])  # the last two without partners
    f = torch.stack([angle.cos(), angle.sin()], 1)
    pairs = torch.arange(4)[:, None].expand(-1, 2)
    found = nb.carry(f, pairs, others=4, k=1, own=0.0, weights="mutual")
    assert found[:4].argmax(1).tolist() == [1, 0, 3, 2]
    assert found[4].sum() == 1.0
    assert found[4, :2].max() == 1.0  # between two that have nothing nearer
    assert found[5].tolist() == [0.0] * 4  # its nearest one has a nearer neighbour
    rest = [0, 1, 2, 3]
    torch.testing.assert_close(found[rest], nb.carry(f[rest], pairs, others=4, k=1, own=0.0, weights="mutual"))
    assert nb.carry(f, pairs, others=4, k=0, weights="mutual").sum() == 4.0


def test_carry_without_pairs_is_empty():
    target = nb.carry(rows(3, 2), torch.empty(0, 2, dtype=torch.long), 4)
    assert torch.equal(target, torch.zeros(3, 4))
    z = rows(3, 2).requires_grad_()
    loss = nb.carried(z, rows(4, 2), target)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(z.grad).all()


def test_carried_is_cross_entropy_with_soft_targets():
    x, y = rows(5, 4, dtype=torch.float64), rows(6, 4, seed=1, dtype=torch.float64)
    target = rows(5, 6, seed=2, dtype=torch.float64).softmax(1)
    logits = torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T / 0.07
    torch.testing.assert_close(nb.carried(x, y, target), torch.nn.functional.cross_entropy(logits, target))


def test_carried_plain_is_a_weighted_squared_distance():
    x, y = torch.eye(2), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert nb.carried(x, y, torch.eye(2), form="plain").item() == pytest.approx(2.0)
    assert nb.carried(x, y, torch.eye(2).flip(0), form="plain").item() == pytest.approx(0.0)


@pytest.mark.parametrize("form", ["contrastive", "plain"])
def test_carried_gradient_equals_finite_differences(form):
    x, y = rows(4, 3, dtype=torch.float64).requires_grad_(), rows(5, 3, seed=1, dtype=torch.float64).requires_grad_()
    target = rows(4, 5, seed=2, dtype=torch.float64).softmax(1)
    assert torch.autograd.gradcheck(lambda a, b: nb.carried(a, b, target, form=form), (x, y))


def test_carried_refuses_mistakes():
    with pytest.raises(ModalignError, match=r"target must have the shape \(n, m\) with n = 2"):
        nb.carried(rows(2, 2), rows(3, 2), torch.ones(3, 2))
    with pytest.raises(ModalignError, match="unknown form"):
        nb.carried(rows(2, 2), rows(2, 2), torch.eye(2), form="soft")
    with pytest.raises(ModalignError, match=r"own must lie in \[0, 1\]"):
        nb.carry(rows(2, 2), torch.tensor([[0, 0]]), 1, own=1.5)


# ------------------------------------------------------------------ structure


def slow_structure(frozen, aligned, tau, levels, official=False):
    def walk(x):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        x = x - x.mean(0)
        e = np.exp(x @ x.T / tau)
        return e / e.sum(1, keepdims=True)

    p, q = walk(frozen), walk(aligned)
    total = 0.0
    for level in range(1, levels + 1):
        a, b = np.linalg.matrix_power(p, level), np.linalg.matrix_power(q, level)
        m = (a + b) / 2
        if official:  # the divergence the other way round, and every level counts alike
            total += 0.5 * ((m * np.log(m / a)).sum(1) + (m * np.log(m / b)).sum(1)).mean()
            continue
        total += 0.5 * ((a * np.log(a / m)).sum(1) + (b * np.log(b / m)).sum(1)).mean() / level
    return total / levels


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("levels", [1, 3])
def test_structure_equals_a_slow_copy_of_its_formula(levels, official):
    frozen, aligned = rows(9, 6, dtype=torch.float64), rows(9, 4, seed=1, dtype=torch.float64)
    expected = slow_structure(frozen.numpy(), aligned.numpy(), 0.05, levels, official)
    assert nb.structure(frozen, aligned, levels=levels, official=official).item() == pytest.approx(expected, rel=1e-10)


def test_structure_ignores_rotations_and_row_lengths_and_is_bounded():
    frozen = rows(10, 5, dtype=torch.float64)
    turn = torch.linalg.qr(rows(5, 5, seed=2, dtype=torch.float64)).Q
    assert nb.structure(frozen, 3 * frozen @ turn, levels=2).item() == pytest.approx(0.0, abs=1e-12)
    value = nb.structure(frozen, rows(10, 5, seed=3, dtype=torch.float64), temperature=0.01).item()
    assert 0.0 < value <= math.log(2)


@pytest.mark.parametrize("exclude_self", [False, True])
def test_structure_gradient_equals_finite_differences(exclude_self):
    frozen, aligned = rows(6, 4, dtype=torch.float64), rows(6, 3, seed=1, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: nb.structure(frozen, a, 0.2, levels=2, exclude_self=exclude_self), (aligned,)
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_structure_of_tiny_and_equal_batches_is_finite(n):
    for aligned in (torch.ones(n, 3), rows(n, 3)):
        z = aligned.clone().requires_grad_()
        value = nb.structure(rows(n, 4), z)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(z.grad).all()


# ------------------------------------------------------------------ geodesics


def test_geodesics_of_an_arc_are_its_length():
    angle = torch.linspace(0, 3.0, 61)
    arc = torch.stack([angle.cos(), angle.sin()], 1)
    rows_, length = nb.geodesics(arc, k=2)
    truth = (angle[:, None] - angle[None, :]).abs()
    assert torch.equal(rows_, torch.arange(61))
    torch.testing.assert_close(length, truth, atol=2e-3, rtol=1e-3)


def test_landmarks_are_rows_of_the_full_distances():
    x = rows(40, 4)
    full = nb.geodesics(x, k=5)[1]
    chosen, length = nb.geodesics(x, k=5, count=7)
    assert len(set(chosen.tolist())) == 7
    torch.testing.assert_close(length, full[chosen])


def test_separate_clusters_are_joined():
    x = torch.cat([rows(10, 3) * 0.01 + torch.tensor([1.0, 0, 0]), rows(10, 3, 1) * 0.01 + torch.tensor([0, 1.0, 0])])
    assert torch.isfinite(nb.geodesics(x, k=2)[1]).all()


def test_duplicates_keep_their_edges():
    x = torch.cat([torch.eye(3), torch.eye(3), torch.eye(3)])
    assert torch.isfinite(nb.geodesics(x, k=2)[1]).all()
    graph = nb.knn_graph(x, 2)
    assert (graph.data > 0).all()
    assert graph.nnz == 18


def test_stress_is_free_of_scale_and_does_not_reward_collapse():
    z = torch.nn.functional.normalize(rows(12, 4, dtype=torch.float64))
    everyone = torch.arange(12)
    own = torch.cdist(z, z)
    assert nb.stress(z, everyone, 5 * own).item() == pytest.approx(0.0, abs=1e-10)
    assert nb.stress(torch.ones(12, 4), everyone, own.float()).item() == 1.0
    target = torch.cdist(rows(12, 3, 5, torch.float64), rows(12, 3, 5, torch.float64))
    scale = (own * target).sum() / target.square().sum()
    expected = (own - scale * target).square().sum() / own.square().sum()
    torch.testing.assert_close(nb.stress(z, everyone, target), expected)


def test_geodesic_gradient_equals_finite_differences():
    frozen, aligned = rows(8, 4, dtype=torch.float64), rows(8, 3, seed=1, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: nb.geodesic(frozen, a, 3, 4), (aligned,), atol=1e-4)


def test_geodesic_of_one_item_is_zero():
    z = rows(1, 2).requires_grad_()
    nb.geodesic(rows(1, 3), z).backward()
    assert torch.equal(z.grad, torch.zeros(1, 2))


# ------------------------------------------------------------------ collapse


def test_collapse_of_known_sets():
    assert nb.collapse(torch.ones(9, 4)) == pytest.approx({"effective_rank": 1.0, "mean_cosine": 1.0}, abs=1e-3)
    both = torch.cat([torch.eye(4), -torch.eye(4)])
    assert nb.collapse(both) == pytest.approx({"effective_rank": 4.0, "mean_cosine": -1 / 7})
    z = rows(20, 6)
    cosine = torch.nn.functional.cosine_similarity(z[:, None], z[None], dim=-1)
    off = (cosine.sum() - cosine.diagonal().sum()) / (20 * 19)
    assert nb.collapse(z)["mean_cosine"] == pytest.approx(off.item(), abs=1e-6)
    assert math.isnan(nb.collapse(z[:1])["mean_cosine"])


def test_plan_entropy_lies_between_one_to_one_and_independence():
    assert nb.plan_entropy(torch.eye(5)[torch.randperm(5)]) == pytest.approx(0.0)
    a, b = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.9, 0.1])
    assert nb.plan_entropy(a[:, None] * b) == pytest.approx(1.0)
    assert 0.0 < nb.plan_entropy(torch.eye(5) + 0.05) < 1.0
    assert nb.plan_entropy(torch.ones(1, 4)) == 0.0
    assert math.isnan(nb.plan_entropy(torch.zeros(2, 2)))


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_the_error_of_products_with_a_bias_beside_the_rows_counts_its_size(metric):
    x, y = rows(50, 3), rows(60, 3, seed=1)
    bias = 100 * rows(60, 1, seed=2).double()[:, 0]
    scorer = nb.Scorer(x, y, metric, bias)
    single, gallery, extra = scorer.single()
    single, gallery = beside(single, torch.ones(50, 1)), beside(gallery, extra[:, None])
    exact = scorer.candidates(torch.arange(50), torch.arange(60).expand(50, 60))
    off = (single @ gallery.T).double() - exact
    assert (off.abs() <= scorer.error(single, gallery, None)[:, None]).all()
    assert off.abs().max() > 1e-6  # more than lengths of 1 would allow
