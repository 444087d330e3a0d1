"""Canonical correlation against scikit-learn, a dense generalised eigenproblem and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.correlation import canonical, cca, cross_covariance, principal_axes


def shared(n: int = 400, noise: float = 0.5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    s = torch.randn(n, 3, generator=g, dtype=torch.float64)
    views = [
        s @ torch.randn(3, d, generator=g, dtype=torch.float64)
        + noise * torch.randn(n, d, generator=g, dtype=torch.float64)
        for d in (6, 9, 5)
    ]
    return views[0], views[1], views[2]


def correlations(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return np.array([np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(a.shape[1])])


def test_correlations_equal_those_of_scikit_learn() -> None:
    from sklearn.cross_decomposition import CCA

    x, y, _ = shared()
    fit = cca([x, y], ridge=0.0, dim=3)
    oracle = CCA(3, scale=False, max_iter=5000, tol=1e-12).fit(x.numpy(), y.numpy())
    u, v = oracle.transform(x.numpy(), y.numpy())
    expected = correlations(torch.from_numpy(u), torch.from_numpy(v))
    assert np.allclose(fit.correlations.numpy(), expected, atol=1e-6)
    ours = correlations(fit.project(0, x), fit.project(1, y))
    assert np.allclose(ours, expected, atol=1e-6)


def test_ridge_solution_equals_the_dense_eigenproblem() -> None:
    from scipy.linalg import eigh

    x, y, _ = shared(60)
    ridge = 2.0
    fit = cca([x, y], ridge=ridge, dim=4)
    xc, yc = (v.numpy() - v.numpy().mean(0) for v in (x, y))
    cx, cy, cxy = xc.T @ xc / 60, yc.T @ yc / 60, xc.T @ yc / 60
    own = [c + ridge * np.trace(c) / len(c) * np.eye(len(c)) for c in (cx, cy)]
    a = np.block([[np.zeros_like(cx), cxy], [cxy.T, np.zeros_like(cy)]])
    b = np.block([[own[0], np.zeros_like(cxy)], [np.zeros_like(cxy.T), own[1]]])
    expected = eigh(a, b, eigvals_only=True)[::-1][:4]
    assert np.allclose(fit.correlations.numpy(), expected, atol=1e-10)


def test_whitened_directions_are_orthonormal_and_scaled_by_the_power() -> None:
    x, y, _ = shared()
    plain, half = cca([x, y], ridge=0.0, power=0.0, dim=5), cca([x, y], ridge=0.0, power=0.5, dim=5)
    z = plain.project(0, x)
    assert torch.allclose(z.T @ z / len(x), torch.eye(5, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(half.project(0, x).square().mean(0), half.correlations, atol=1e-9)


def test_three_views_reduce_to_two_when_two_are_copies() -> None:
    x, y, _ = shared()
    two, three = cca([x, y], ridge=0.1, dim=3), cca([x, y, y], ridge=0.1, dim=3)
    assert torch.allclose(three.project(1, y), three.project(2, y), atol=1e-8)
    assert len(three.correlations) == 3
    assert (correlations(three.project(0, x), three.project(1, y)) > 0.9).all()
    assert (two.correlations <= 1).all()


def test_eigenvectors_of_two_blocks_are_the_singular_vectors() -> None:
    from modalign.geometry.correlation import _generalised

    block = torch.randn(4, 3, dtype=torch.float64)
    parts, s = _generalised({(0, 1): block}, [4, 3])
    u, expected, _ = torch.linalg.svd(block, full_matrices=False)
    assert torch.allclose(s[:3], expected, atol=1e-10)
    assert torch.allclose((parts[0][:, :3] * u).sum(0).abs(), torch.ones(3, dtype=torch.float64), atol=1e-8)


def test_unpaired_rows_enter_the_own_covariances_only() -> None:
    x, y, _ = shared()
    pairs = torch.arange(50)[:, None].expand(-1, 2)
    fit = cca([x, y[:300]], {(0, 1): (pairs, None)}, ridge=0.0, dim=2)
    assert torch.allclose(fit.means[0], x.mean(0))
    assert torch.allclose(fit.means[1], y[:300].mean(0))
    z = (x - x.mean(0)) @ fit.bases[0]
    assert torch.allclose(z.T @ z / len(x), torch.eye(6, dtype=torch.float64), atol=1e-9)


def test_five_captions_at_a_fifth_equal_their_mean() -> None:
    x, y, _ = shared(20)
    many = y.repeat_interleave(5, 0) + torch.randn(100, 9, dtype=torch.float64)
    means = many.view(20, 5, 9).mean(1)
    pairs = torch.stack([torch.arange(20).repeat_interleave(5), torch.arange(100)], 1)
    weighted = cross_covariance(x, many, pairs, torch.full((100,), 0.2))
    assert torch.allclose(weighted, cross_covariance(x, means), atol=1e-12)


def test_invariant_to_rotation_and_order_of_rows() -> None:
    x, y, _ = shared()
    q, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    order = torch.randperm(len(x))
    a, b = cca([x, y], ridge=1.0, dim=4), cca([(x @ q)[order], y[order]], ridge=1.0, dim=4)
    assert torch.allclose(a.correlations, b.correlations, atol=1e-10)


@pytest.mark.parametrize("shape", [(5, 40), (40, 5)])
def test_spectrum_reconstructs_the_covariance(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    s = principal_axes(x)
    centred = x - x.mean(0)
    assert torch.allclose((s.axes * s.values) @ s.axes.T, centred.T @ centred / len(x), atol=1e-10)
    assert torch.allclose(s.axes.T @ s.axes, torch.eye(len(s.values), dtype=torch.float64), atol=1e-8)
    assert len(s.values) == min(shape[0] - 1, shape[1])
    assert len(principal_axes(x, most=3).values) == 3


def test_weights_of_a_covariance_are_repetitions() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    weighted = principal_axes(x, torch.tensor([1.0, 2.0, 1.0, 1.0]))
    repeated = principal_axes(x[[0, 1, 1, 2, 3]])
    assert torch.allclose(weighted.values, repeated.values, atol=1e-10)


def test_float32_and_far_from_the_origin() -> None:
    x, y, _ = shared()
    far = cca([x.float() + 1000.0, y.float()], ridge=0.1, dim=3)
    near = cca([x, y], ridge=0.1, dim=3)
    assert torch.allclose(far.correlations, near.correlations, atol=1e-3)


def test_one_feature_far_from_the_origin_does_not_hide_the_others() -> None:
    x, y, _ = shared()
    there = torch.cat([x, torch.full((len(x), 1), 1e8)], 1).float()
    far, near = cca([there, y.float()], ridge=0.0, dim=3), cca([x, y], ridge=0.0, dim=3)
    assert torch.allclose(far.correlations, near.correlations, atol=1e-5)
    for rows in (there[:, -1:], there[:, -1:].expand(-1, 4) + torch.rand(len(x), 4)):  # but for its own rounding
        with pytest.raises(ModalignError, match="rows are equal"):
            principal_axes(rows)


def test_broken_input_is_refused() -> None:
    x, y, _ = shared(10)
    with pytest.raises(ModalignError, match="all 3 rows are equal"):
        principal_axes(torch.ones(3, 2))
    with pytest.raises(ModalignError, match="two rows"):
        principal_axes(torch.ones(1, 2))
    with pytest.raises(ModalignError, match="10 and 9 rows"):
        cca([x, y[:9]])
    with pytest.raises(ModalignError, match="at least one pair"):
        cca([x, y], {(0, 1): (torch.empty(0, 2, dtype=torch.long), None)})
    with pytest.raises(ModalignError, match="two views"):
        canonical([principal_axes(x)], {})
    with pytest.raises(ModalignError, match="share nothing"):
        canonical([principal_axes(x), principal_axes(y)], {(0, 1): torch.zeros(6, 9)})
