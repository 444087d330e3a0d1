"""Contrastive losses: closed forms, masks, edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from modalign.errors import ModalignError
from modalign.geometry import contrast, dispersion


def rows(n, d, seed=0):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=1)


def slow_infonce(similarity, positives, scale):
    """Row by row, positive by positive."""
    losses = []
    for scores, mask in zip((similarity * scale).tolist(), positives.tolist(), strict=True):
        total = math.log(sum(math.exp(s) for s in scores))
        own = [total - s for s, hit in zip(scores, mask, strict=True) if hit]
        if own:
            losses.append(sum(own) / len(own))
    return sum(losses) / len(losses) if losses else 0.0


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 6), m=st.integers(1, 6), seed=st.integers(0, 10_000), density=st.floats(0, 1))
def test_infonce_equals_a_slow_reference(n, m, seed, density):
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randn(n, m, generator=generator, dtype=torch.float64)
    positives = torch.rand(n, m, generator=generator) < density
    found = contrast.infonce(similarity, positives, 3.0)
    assert found.item() == pytest.approx(slow_infonce(similarity, positives, 3.0), abs=1e-10)


def slow_mil_nce(similarity, positives, scale):
    """Row by row: candidates against other columns, and against other rows of the candidates."""
    e = (similarity * scale).exp().tolist()
    p = positives.tolist()
    losses = []
    for i, row in enumerate(e):
        own = [j for j, hit in enumerate(p[i]) if hit]
        if own:
            good = sum(row[j] for j in own)
            bad = sum(v for j, v in enumerate(row) if not p[i][j])
            bad += sum(e[k][j] for j in own for k in range(len(e)) if not p[k][j])
            losses.append(-math.log(good / (good + bad)))
    return sum(losses) / len(losses) if losses else 0.0


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 6), m=st.integers(1, 6), seed=st.integers(0, 10_000), density=st.floats(0, 1))
def test_mil_nce_equals_a_slow_reference(n, m, seed, density):
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randn(n, m, generator=generator, dtype=torch.float64)
    positives = torch.rand(n, m, generator=generator) < density
    found = contrast.mil_nce(similarity, positives, 3.0)
    assert found.item() == pytest.approx(slow_mil_nce(similarity, positives, 3.0), abs=1e-10)
    assert torch.autograd.gradcheck(lambda s: contrast.mil_nce(s, positives, 3.0), similarity.requires_grad_())


def test_mil_nce_is_finite_where_everything_is_a_candidate_and_at_any_scale():
    similarity = torch.randn(3, 4, requires_grad=True)
    loss = contrast.mil_nce(similarity, torch.ones(3, 4, dtype=torch.bool), 100.0)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-4)
    assert not similarity.grad.abs().max() > 1e-3
    wild = 1e4 * torch.eye(3)
    assert contrast.mil_nce(wild).item() == 0.0
    assert contrast.mil_nce(-wild).item() == pytest.approx(1e4, rel=1e-3)
    with pytest.raises(ModalignError, match="not square"):
        contrast.mil_nce(torch.ones(2, 3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_infonce_with_one_positive_is_cross_entropy(smoothing):
    similarity = rows(5, 8) @ rows(5, 8, seed=1).T
    expected = cross_entropy(7 * similarity, torch.arange(5), label_smoothing=smoothing)
    torch.testing.assert_close(contrast.infonce(similarity, scale=7.0, label_smoothing=smoothing), expected)


def test_one_column_is_zero_with_zero_gradient():
    similarity = torch.tensor([[0.3], [0.9]], requires_grad=True)
    loss = contrast.infonce(similarity, torch.ones(2, 1, dtype=torch.bool), 100.0)
    loss.backward()
    assert loss.item() == 0.0
    assert not similarity.grad.any()


def test_rows_without_positives_are_skipped_and_columns_are_negatives():
    similarity = rows(4, 3) @ rows(5, 3, seed=1).T
    positives = torch.zeros(4, 5, dtype=torch.bool)
    positives[0, 1] = positives[2, 3] = True
    expected = cross_entropy(similarity[[0, 2]], torch.tensor([1, 3]))
    torch.testing.assert_close(contrast.infonce(similarity, positives), expected)
    none = contrast.infonce(similarity.requires_grad_(), positives & False)
    none.backward()
    assert none.item() == 0.0


def test_empty_sides_are_zero():
    for shape in ((0, 3), (3, 0), (0, 0)):
        assert contrast.infonce(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)).item() == 0.0
        assert contrast.sigmoid(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)).item() == 0.0


def test_near_perfect_scores_keep_their_precision_in_float32():
    similarity = torch.eye(2)
    exact = math.log1p(math.exp(-14.0))
    assert contrast.infonce(similarity, scale=14.0).item() == pytest.approx(exact, rel=0.1)  # float32 rounds 1 + p


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_float32(dtype):
    x, y = rows(6, 16).to(dtype), rows(6, 16, seed=1).to(dtype)
    found = contrast.clip(x, y, scale=100.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, contrast.clip(x.float(), y.float(), scale=100.0))


def test_autocast_does_not_reach_the_similarities():
    x, y = rows(6, 16).float(), rows(6, 16, seed=1).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = contrast.clip(x, y, scale=100.0)
    torch.testing.assert_close(found, contrast.clip(x, y, scale=100.0))


def test_sigmoid_survives_extreme_logits():
    similarity = torch.tensor([[1.0, -1.0], [1.0, 1.0]], requires_grad=True)
    loss = contrast.sigmoid(similarity, scale=1e4, bias=0.0)
    loss.backward()
    assert loss.item() == pytest.approx(1e4 / 2)
    assert torch.isfinite(similarity.grad).all()


def test_cyclic_terms_equal_their_double_sums():
    x, y = rows(4, 3), rows(4, 3, seed=1)
    within = sum((x[j] @ x[k] - y[j] @ y[k]) ** 2 for j in range(4) for k in range(4)) / 4
    across = sum((x[j] @ y[k] - x[k] @ y[j]) ** 2 for j in range(4) for k in range(4)) / 4
    torch.testing.assert_close(torch.stack(contrast.cyclic(x, y)), torch.stack([within, across]))


def test_uniformity_equals_its_double_sum_and_ignores_itself_by_index():
    x = rows(5, 3)
    terms = [math.exp(-2 * float((x[i] - x[j]).square().sum())) for i in range(5) for j in range(5) if i != j]
    assert dispersion.uniformity(x).item() == pytest.approx(math.log(sum(terms) / 20))
    assert dispersion.uniformity(torch.ones(4, 3)).item() == 0.0
    assert dispersion.uniformity(rows(1, 3)).item() == 0.0
    doubled = torch.cat([x, x[:1]])  # a duplicate is another item, not itself
    assert dispersion.uniformity(doubled) > dispersion.uniformity(x)


def test_uniformity_leaves_out_pairs_that_are_the_same_thing():
    x = rows(4, 3)
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    kept = [(i, j) for i in range(4) for j in range(4) if i != j and (i, j) not in ((0, 1), (1, 0))]
    terms = [math.exp(-2 * float((x[i] - x[j]).square().sum())) for i, j in kept]
    assert dispersion.uniformity(x, same=same).item() == pytest.approx(math.log(sum(terms) / 10))


def test_variance_and_covariance_equal_numpy():
    import numpy as np

    x = rows(7, 4) * 0.5
    matrix = np.cov(x.numpy().T)
    off = (matrix**2).sum() - (np.diag(matrix) ** 2).sum()
    assert dispersion.covariance(x).item() == pytest.approx(off / 4)
    deviation = np.sqrt(np.diag(matrix) + 1e-4)
    assert dispersion.variance(x).item() == pytest.approx(np.maximum(0, 1 - deviation).mean())
    assert dispersion.variance(x[:1]).item() == dispersion.covariance(x[:1]).item() == 0.0


def test_variance_has_a_finite_gradient_at_zero_spread():
    x = torch.ones(5, 3, requires_grad=True)
    dispersion.variance(x).backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: contrast.clip(rows(3, 4), rows(3, 5)), "shapes"),
        (lambda: contrast.clip(rows(3, 4), rows(2, 4)), "not square"),
        (lambda: contrast.infonce(torch.zeros(2, 2), torch.zeros(2, 3, dtype=torch.bool)), "positives"),
        (lambda: contrast.infonce(torch.zeros(2, 2), torch.eye(2)), "bool"),
        (lambda: contrast.infonce(torch.zeros(2)), "matrix"),
        (lambda: contrast.sigmoid(torch.eye(2), reduction="max"), "reduction"),
        (lambda: contrast.cyclic(rows(3, 4), rows(2, 4)), "shapes"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ModalignError, match=words):
        call()
