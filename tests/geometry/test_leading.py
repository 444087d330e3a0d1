"""Leading eigenvectors: those that a matrix was made of."""

import pytest
import torch

from modalign.geometry.leading import eigenvectors


@pytest.mark.parametrize(("width", "count"), [(40, 15), (1100, 20)])
def test_leading_eigenvectors_are_those_that_the_matrix_was_made_of(width, count):
    axes = torch.linalg.qr(torch.randn(width, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    found = eigenvectors(axes * torch.arange(30, 0, -1) @ axes.T, count)
    assert found.shape == (width, count)
    torch.testing.assert_close((found.T @ axes[:, :count]).abs(), torch.eye(count).double(), atol=1e-10, rtol=0)
