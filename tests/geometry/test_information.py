"""Explained variance: closed forms, its null, broken input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from modalign.errors import ModalignError
from modalign.geometry.information import RIDGES, _by_order, explained, kernel_features, principal


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_share_of_a_linear_mixture_is_that_of_its_variance() -> None:
    x = normal(600, 4)
    y = torch.cat([x @ torch.linalg.qr(normal(4, 4, seed=1)).Q, normal(600, 12, seed=2)], 1)  # a quarter comes from x
    found = explained(x, y)
    assert found.value == pytest.approx(0.25, abs=0.02)
    assert found.kind == "linear"
    assert explained(y, x).value > 0.98


def test_a_function_that_no_line_follows_is_found_by_kernels() -> None:
    x = normal(600, 2)
    found = explained(x, (x[:, :1] * x[:, 1:]).sign())
    assert found.kind == "rbf"
    assert found.value > 0.3
    assert float(found.null.max()) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_unrelated_rows_explain_nothing(seed: int) -> None:
    found = explained(normal(100, 20, seed=seed), normal(100, 30, seed=50 + seed), seed=seed)
    assert found.value < 0.02
    assert found.z < 4


def test_order_of_the_items_does_not_decide_and_scale_does_not_matter() -> None:
    x, y = normal(400, 5), normal(400, 3, seed=1)
    y = y + x[:, :3]
    order = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    values = [explained(a, b, permutations=0).value for a, b in ((x, y), (x[order], y[order]), (7 * x, 0.1 * y + 3))]
    assert values[1] == pytest.approx(values[0], abs=0.02)
    assert values[2] == pytest.approx(values[0], abs=1e-3)


def test_same_seed_same_bits() -> None:
    x, y = normal(80, 6), normal(80, 6, seed=1)
    assert torch.equal(explained(x, y, seed=3).null, explained(x, y, seed=3).null)


def test_kernel_features_are_the_kernel_where_every_row_is_a_landmark() -> None:
    x = normal(30, 3)
    features = kernel_features(x, torch.arange(30))
    apart = torch.cdist(x, x)
    width = apart[apart > 0].median()
    assert torch.allclose(features @ features.T, torch.exp(-0.5 * (apart / width) ** 2), atol=2e-3)


def test_principal_coordinates_keep_distances() -> None:
    x = normal(50, 8)
    z = principal(x, variance=1.0)
    ratio = torch.pdist(z) / torch.pdist(x)
    assert float(ratio.max() - ratio.min()) < 1e-4
    assert float(z.square().sum(1).mean()) == pytest.approx(1.0, abs=1e-5)


def test_rows_that_are_not_paired_are_refused() -> None:
    with pytest.raises(ModalignError, match="10 or more paired rows"):
        explained(normal(20, 2), normal(21, 2))
    with pytest.raises(ModalignError, match="10 or more paired rows"):
        explained(normal(9, 2), normal(9, 2))


def by_definition(x: Tensor, y: Tensor, fold: Tensor) -> float:
    """Ridge regression of the least generalised cross-validation error on each training fold, in float64."""
    x, y, fold = x.double().numpy(), y.double().numpy(), fold.numpy()
    wrong = total = 0.0
    for k in range(fold.max() + 1):
        train, test = fold != k, fold == k
        mean, centre = x[train].mean(0), y[train].mean(0)
        u, s, axes = np.linalg.svd(x[train] - mean, full_matrices=False)
        u, s, axes, known = u[:, s > 1e-6 * s[0]], s[s > 1e-6 * s[0]], axes[s > 1e-6 * s[0]], y[train] - centre
        errors = {}
        for ridge in RIDGES:
            shrink = s**2 / (s**2 + ridge * (s**2).mean())
            residual = known - u @ (shrink[:, None] * (u.T @ known))
            errors[ridge] = (residual**2).sum() / (1 - (shrink.sum() + 1) / len(known)) ** 2
        best = min(errors, key=errors.__getitem__)
        weight = axes.T @ ((s / (s**2 + best * (s**2).mean()))[:, None] * (u.T @ known))
        wrong += ((y[test] - (x[test] - mean) @ weight - centre) ** 2).sum()
        total += ((y[test] - centre) ** 2).sum()
    return 1 - wrong / total


@pytest.mark.parametrize(("n", "width"), [(30, 60), (60, 300), (100, 40), (200, 768)])
def test_fewer_rows_than_features_are_explained_as_in_double_precision(n: int, width: int) -> None:
    """Null directions counted, and rounding chose the ridge: .69 where .75 is explained."""
    g = torch.Generator().manual_seed(0)
    latent = torch.randn(n, 6, generator=g)
    x, y = (
        principal(latent @ torch.randn(6, width, generator=g) + torch.randn(n, width, generator=g)) for _ in range(2)
    )
    fold = torch.randperm(n, generator=g) % 5
    found = float(_by_order(x, y, fold, [torch.arange(n)])[0])
    assert found == pytest.approx(by_definition(x, y, fold), abs=1e-4)
