"""Leading eigenvectors: those that a matrix was made of."""

import pytest
import torch

from modalign.geometry.leading import eigenvectors, singular


@pytest.mark.parametrize(("width", "count"), [(40, 15), (1100, 20)])
def test_leading_eigenvectors_are_those_that_the_matrix_was_made_of(width, count):
    axes = torch.linalg.qr(torch.randn(width, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    found = eigenvectors(axes * torch.arange(30, 0, -1) @ axes.T, count)
    assert found.shape == (width, count)
    torch.testing.assert_close((found.T @ axes[:, :count]).abs(), torch.eye(count).double(), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("shape", "rank", "count"), [((30, 50), 30, 20), ((50, 30), 30, 40), ((30, 50), 5, 12)])
def test_singular_triplets_are_those_of_the_decomposition(shape, rank, count):
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, rank, generator=draw, dtype=torch.float64) for n in shape)
    matrix = left @ right.T
    u, s, v = singular(matrix, count)
    whole = torch.linalg.svdvals(matrix)[:count]
    torch.testing.assert_close(s, whole, atol=1e-10 * float(whole[0]), rtol=1e-9)
    kept = min(count, rank)
    for side in (u, v):
        torch.testing.assert_close(side[:, :kept].T @ side[:, :kept], torch.eye(kept).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(u[:, :kept].T @ matrix @ v[:, :kept], torch.diag(s[:kept]), atol=1e-8, rtol=0)


def test_small_singular_values_beside_large_ones_keep_their_digits():
    axes = [torch.linalg.qr(torch.randn(n, 6, generator=torch.Generator().manual_seed(n)).double()).Q for n in (8, 9)]
    values = torch.tensor([1.0, 1e-2, 1e-5, 1e-7, 1e-8, 1e-9], dtype=torch.float64)
    _, s, v = singular(axes[0] * values @ axes[1].T, 6)
    torch.testing.assert_close(s, values, rtol=1e-6, atol=0)
    torch.testing.assert_close(v.T @ v, torch.eye(6).double(), atol=1e-10, rtol=0)
