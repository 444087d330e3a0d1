"""Procrustes: scipy's number, rotations recovered, mirror images, widths, ranks, the three distances."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modalign.errors import ModalignError
from modalign.geometry import procrustes as pr

A = torch.tensor([[1.0, 3.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]])


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turn(d, seed=0):
    return torch.linalg.qr(rows(d, d, seed)).Q


def test_a_turned_mirrored_and_scaled_copy_has_no_disparity():
    b = torch.tensor([[4.0, -2.0], [4.0, -4.0], [4.0, -6.0], [2.0, -6.0]])
    assert pr.disparity(A, b) == pytest.approx(0.0, abs=1e-12)


def test_a_mirror_image_differs_only_where_reflections_are_forbidden():
    mirror = A * torch.tensor([-1.0, 1.0])
    assert pr.disparity(A, mirror) == pytest.approx(0.0, abs=1e-12)
    assert pr.disparity(A, mirror, reflection=False) == pytest.approx(1 - (6 / 7 - 1 / 7) ** 2)
    assert pr.disparity(A, mirror, reflection=False) == pytest.approx(0.489796, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 30), st.integers(1, 6), st.integers(0, 1000))
def test_disparity_equals_scipy(n, d, seed):
    x, y = rows(n, d, seed), rows(n, d, seed + 1)
    expected = scipy.spatial.procrustes(x.numpy(), y.numpy())[2]
    assert pr.disparity(x, y) == pytest.approx(expected, abs=1e-10)
    assert pr.disparity(y, x) == pytest.approx(expected, abs=1e-10)


def test_rotation_equals_scipy_and_is_recovered():
    x = rows(20, 4)
    r = turn(4, 3)
    torch.testing.assert_close(pr.rotation(x, x @ r).rotation, r)
    y = rows(20, 4, 5)
    expected, trace = scipy.linalg.orthogonal_procrustes(x.numpy(), y.numpy())
    found = pr.rotation(x, y)
    np.testing.assert_allclose(found.rotation.numpy(), expected, atol=1e-10)
    assert found.trace == pytest.approx(trace)


def test_without_reflections_the_rotation_is_proper_and_the_best_such():
    x = rows(30, 3)
    y = x * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64) + 0.01 * rows(30, 3, 4)
    found = pr.rotation(x, y, reflection=False)
    assert torch.linalg.det(found.rotation).item() == pytest.approx(1.0)
    reached = (x @ found.rotation * y).sum().item()
    assert found.trace == pytest.approx(reached)
    others = [turn(3, seed) for seed in range(200)]
    assert all((x @ o * y).sum() <= reached for o in others if torch.linalg.det(o) > 0)


def test_widths_that_differ_are_filled_up():
    x = rows(15, 3)
    wide = torch.cat([x, torch.zeros(15, 4, dtype=torch.float64)], 1) @ turn(7)
    assert pr.disparity(x, wide) == pytest.approx(0.0, abs=1e-12)
    assert pr.disparity(x, wide, reflection=False) == pytest.approx(0.0, abs=1e-12)
    assert pr.rotation(x, wide).rotation.shape == (7, 7)


def test_data_of_lower_rank():
    flat = torch.cat([rows(12, 2), torch.zeros(12, 3, dtype=torch.float64)], 1)
    assert pr.disparity(flat @ turn(5, 1), flat @ turn(5, 2)) == pytest.approx(0.0, abs=1e-12)
    few = rows(3, 50)
    assert pr.disparity(few, few @ turn(50)) == pytest.approx(0.0, abs=1e-12)


def test_the_three_distances_equal_their_definitions():
    x, y = rows(25, 4), rows(25, 4, 1) + 3
    d = pr.distances(x, y)
    assert math.sin(d.angle) ** 2 == pytest.approx(d.disparity)
    centred = x - x.mean(0), y - y.mean(0)
    fit = pr.rotation(*centred)
    assert d.size_and_shape == pytest.approx((centred[0] @ fit.rotation - centred[1]).norm().item())
    shifted = pr.distances(5 * x @ turn(4) + 7, y)
    assert shifted.disparity == pytest.approx(d.disparity)
    assert shifted.angle == pytest.approx(d.angle)


def test_the_angle_and_size_and_shape_are_metrics():
    sets = [rows(10, 3, seed) for seed in range(6)]
    for a in sets:
        for b in sets:
            for c in sets:
                for name in ("angle", "size_and_shape"):
                    ab, bc, ac = (getattr(pr.distances(p, q), name) for p, q in ((a, b), (b, c), (a, c)))
                    assert ac <= ab + bc + 1e-7


def test_small_angles_keep_their_digits():
    x = rows(50, 4)
    noise = rows(50, 4, 9)
    angles = [pr.distances(x, x + size * noise).angle for size in (1e-5, 1e-6)]
    assert angles[0] / angles[1] == pytest.approx(10.0, rel=1e-2)


def test_half_precision_is_computed_in_double():
    x = rows(40, 6)
    half = pr.disparity(x.half(), (x @ turn(6)).half())
    assert half == pytest.approx(0.0, abs=1e-5)


def test_mistakes_are_refused():
    for call, message in (
        (lambda: pr.disparity(A, A[:3]), r"\(4, 2\) and \(3, 2\)"),
        (lambda: pr.disparity(A, torch.full((4, 2), 0.1)), "points of the second set are equal"),
        (lambda: pr.disparity(torch.zeros(4, 2), A), "points of the first set are equal"),
        (lambda: pr.disparity(A[:1], A[:1]), "at least two points"),
        (lambda: pr.rotation(A[:0], A[:0]), "empty"),
        (lambda: pr.disparity(A, A * torch.nan), "NaN"),
    ):
        with pytest.raises(ModalignError, match=message):
            call()
