"""Bridge, separation, consistency: closed forms, limits, errata."""

import math

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import bridge


def rows(n, d, seed=0):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=1)


def test_bridge_equals_the_right_closed_form_and_not_the_printed_one():
    a, x, y = rows(5, 4), rows(5, 4, 1), rows(5, 4, 2)
    mean = torch.nn.functional.normalize(0.25 * x + 0.75 * y, dim=1)
    right = (2 - 2 * (a * mean).sum(1)).mean()
    torch.testing.assert_close(bridge.brownian_bridge(a, x, y), right)
    inner = 0.25 * (a * x).sum(1) + 0.75 * (a * y).sum(1)
    root = (0.25**2 + 0.75**2 + 2 * 0.25 * 0.75 * (x * y).sum(1)).sqrt()
    torch.testing.assert_close(bridge.brownian_bridge(a, x, y), (2 - 2 * inner / root).mean())
    assert not torch.isclose(bridge.brownian_bridge(a, x, y), inner.mean())


@pytest.mark.parametrize(("t", "end"), [(1.0, 0), (0.0, 1)])
def test_bridge_ends_at_the_modalities(t, end):
    both = rows(4, 3), rows(4, 3, 1)
    torch.testing.assert_close(bridge.bridge_mean(*both, t), both[end])
    assert bridge.brownian_bridge(both[end], *both, t).item() == pytest.approx(0.0, abs=1e-12)


def test_sampled_times_are_weighted_by_the_variance_of_the_bridge():
    a, x, y = rows(3, 4), rows(3, 4, 1), rows(3, 4, 2)
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    mean = torch.nn.functional.normalize(t[:, None] * x + (1 - t[:, None]) * y, dim=1)
    expected = ((a - mean).square().sum(1) / (2 * t * (1 - t))).mean()
    torch.testing.assert_close(bridge.brownian_bridge(a, x, y, t, weighted=True), expected)


def test_opposite_modalities_cancel_with_a_finite_gradient():
    x = rows(2, 3).requires_grad_()
    loss = bridge.brownian_bridge(rows(2, 3, 1), x, -x.detach(), 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert torch.isfinite(x.grad).all()


def test_orthogonality_of_equal_and_orthogonal_features():
    e = torch.eye(3)
    assert bridge.orthogonality(e, e).item() == 1.0
    assert bridge.orthogonality(e, e.roll(1, 0)).item() == 0.0
    assert bridge.orthogonality(e[:0], e[:0]).item() == 0.0


def test_spread_adds_potentials_inside_the_logarithm():
    x, y = rows(4, 3), rows(5, 3, 1)

    def potential(v):
        pairs = [(i, j) for i in range(len(v)) for j in range(len(v)) if i != j]
        return sum(math.exp(-2 * float((v[i] - v[j]).square().sum())) for i, j in pairs) / len(pairs)

    assert bridge.spread([x, y]).item() == pytest.approx(math.log(potential(x) + potential(y)))
    assert bridge.spread([x[:1], y[:1]]).item() == 0.0


def test_consistency_equals_its_double_sum_and_is_zero_for_isometric_modalities():
    x, y = rows(4, 3), rows(4, 3, 1)
    total = sum((x[j] @ y[k] - x[k] @ y[j]) ** 2 + (x[j] @ x[k] - y[j] @ y[k]) ** 2 for j in range(4) for k in range(4))
    torch.testing.assert_close(bridge.geometric_consistency(x, y), total / 4)
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    assert bridge.geometric_consistency(x, x @ mirror).item() == pytest.approx(0.0, abs=1e-12)


def test_augmented_consistency_equals_its_sums_and_is_zero_without_augmentation():
    x, y, x2, y2 = (rows(4, 3, s) for s in range(4))
    drift = ((x * y).sum(1) - (x2 * y2).sum(1)).square().mean()
    expected = bridge.geometric_consistency(x, x2) + bridge.geometric_consistency(y, y2) + drift
    torch.testing.assert_close(bridge.augmented_consistency(x, y, x2, y2), expected)
    assert bridge.augmented_consistency(x, y, x, y).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bridge.brownian_bridge(rows(2, 3), rows(2, 3), rows(3, 3)), "shapes"),
        (lambda: bridge.bridge_mean(rows(2, 3), rows(2, 3), 1.5), "between"),
        (lambda: bridge.bridge_mean(rows(2, 3), rows(2, 3), torch.zeros(3)), "one per row"),
        (lambda: bridge.brownian_bridge(rows(2, 3), rows(2, 3), rows(2, 3), 0.0, True), "strictly"),
        (lambda: bridge.orthogonality(rows(2, 3), rows(3, 3)), "shapes"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ModalignError, match=words):
        call()
