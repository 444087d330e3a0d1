"""Volumes: determinants as an oracle, users' values, signs, absent modalities, degenerate tuples."""

import math

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import volume


def rows(n, d, seed=0, dtype=torch.float64):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.nn.functional.normalize(x, dim=1)


def tuples(m, k, d, seed=1):
    return rows(m * k, d, seed).view(m, k, d)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_volume_equals_the_determinant(k):
    anchor, others = rows(4, 8), tuples(5, k, 8)
    expected = torch.empty(4, 5, dtype=torch.float64)
    for i in range(4):
        for j in range(5):
            whole = torch.cat([anchor[i : i + 1], others[j]])
            expected[i, j] = torch.linalg.det(whole @ whole.T).abs().sqrt()
    torch.testing.assert_close(volume.gram_volume(anchor, others), expected)


@pytest.mark.parametrize("apart", [1e-2, 1e-3, 3e-4])
@pytest.mark.parametrize("count", [1, 2])
def test_near_collinear_float32_vectors_keep_their_volume_and_area(apart, count):
    """The products of such vectors cancel: in float32 they are 15 % off at 1e-3 and 120 % at 3e-4."""
    base = rows(1, 64, seed=5)
    others = torch.nn.functional.normalize(base + apart * rows(count, 64, seed=6), dim=1)[None].float()
    anchor = base.float()
    whole = torch.cat([anchor, others[0]]).double()
    expected = torch.linalg.svdvals(whole).prod().item()
    exact = 1e-5 if count == 1 else 1e-2  # 1e-16 of rounding in a determinant of 1e-14
    assert volume.gram_volume(anchor, others).item() == pytest.approx(expected, rel=exact)
    if count == 2:
        u, v = whole[1] - whole[0], whole[2] - whole[0]
        area = 0.25 * float((u @ u) * (v @ v) - (u @ v) ** 2)
        assert volume.triangle_area(anchor, others[:, 0], others[:, 1]).item() == pytest.approx(area, rel=1e-5)


def test_volumes_that_users_asked_for():
    e = torch.eye(3)
    assert volume.gram_volume(e[:1], e[None, 1:]).item() == pytest.approx(1.0)
    bisector = (e[0] + e[1]) / math.sqrt(2)
    assert volume.gram_volume(e[:1], bisector[None, None]).item() == pytest.approx(0.707107, abs=1e-6)
    more_than_dimensions = tuples(2, 3, 3)
    assert volume.gram_volume(rows(2, 3), more_than_dimensions).abs().max() < 1e-6


@pytest.mark.parametrize("score", [volume.gram_volume, volume.gram_distance])
def test_order_of_modalities_does_not_matter(score):
    x = tuples(1, 4, 6)[0]
    values = [score(x[i : i + 1], x[[j for j in range(4) if j != i]][None]).item() for i in range(4)]
    assert values == pytest.approx([values[0]] * 4)


def test_distance_equals_the_normalised_log_determinant():
    anchor, others, eps = rows(3, 6), tuples(4, 2, 6), 0.1
    found = volume.gram_distance(anchor, others, epsilon=eps)
    eye = torch.eye(3, dtype=torch.float64)

    def log_det(gram):
        return torch.logdet(0.5 * (1 + gram) + eps * eye)

    low, high = log_det(torch.ones_like(eye)), log_det(eye)
    for i in range(3):
        for j in range(4):
            whole = torch.cat([anchor[i : i + 1], others[j]])
            expected = (log_det(whole @ whole.T) - low) / (high - low)
            assert found[i, j].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("k", [1, 2, 5])
def test_distance_is_zero_when_all_coincide_and_one_when_all_are_orthogonal(k):
    e = torch.eye(8, dtype=torch.float64)
    assert volume.gram_distance(e[:1], e[:1].expand(k, 8)[None]).item() == pytest.approx(0.0, abs=1e-9)
    assert volume.gram_distance(e[:1], e[None, 1 : k + 1]).item() == pytest.approx(1.0)


def test_official_volume_is_blind_to_signs_and_the_distance_is_not():
    x = rows(1, 4)
    assert volume.gram_volume(x, -x[:, None]).item() == pytest.approx(0.0, abs=1e-6)
    angles = torch.linspace(0, math.pi, 30, dtype=torch.float64)
    turned = torch.stack([angles.cos(), angles.sin()], 1)
    along = volume.gram_distance(turned[:1], turned[:, None])[0]
    assert (along.diff() > 0).all()  # farther is farther, up to the opposite side


def test_coincident_modalities_still_tell_anchors_apart():
    shared = rows(1, 6)
    others = shared.expand(2, 6)[None]
    near = torch.nn.functional.normalize(shared + 0.3 * rows(1, 6, seed=3), dim=1)
    far = rows(1, 6, seed=4)
    anchors = torch.cat([near, far])
    assert volume.gram_volume(anchors, others).abs().max() < 1e-7
    near_score, far_score = volume.gram_distance(anchors, others)[:, 0]
    assert near_score + 0.1 < far_score


def test_absent_modalities_equal_a_smaller_tuple_and_compare():
    anchor, others = rows(3, 6), tuples(4, 3, 6)
    present = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [True, True, False]])
    for score in (volume.gram_volume, volume.gram_distance):
        found = score(anchor, others, present)
        for j in range(4):
            alone = score(anchor, others[j : j + 1, present[j]])
            torch.testing.assert_close(found[:, j : j + 1], alone)
    e = torch.eye(6, dtype=torch.float64)
    orthogonal = volume.gram_distance(e[:1], e[None, 1:4].expand(4, 3, 6), present)
    torch.testing.assert_close(orthogonal, torch.ones(1, 4, dtype=torch.float64))
    nobody = volume.gram_distance(anchor, others, present & False)
    torch.testing.assert_close(nobody, torch.ones(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("score", [volume.gram_volume, volume.gram_distance])
def test_degenerate_tuples_have_finite_gradients(score, dtype):
    base = rows(1, 5).to(dtype)
    for shift in (0.0, 1e-7, 1e-3):
        anchor = (base + shift * rows(3, 5, seed=2).to(dtype)).requires_grad_()
        others = (base[None] + shift * tuples(3, 3, 5, seed=3).to(dtype)).requires_grad_()
        value = score(anchor, others)
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert (value >= -1e-3).all()
        assert torch.isfinite(anchor.grad).all()
        assert torch.isfinite(others.grad).all()


def test_triangle_area_equals_herons_formula():
    anchor, a, b = rows(3, 5), rows(4, 5, seed=1), rows(4, 5, seed=2)
    found = volume.triangle_area(anchor, a, b)
    for i in range(3):
        for j in range(4):
            p, q, r = (anchor[i] - a[j]).norm(), (anchor[i] - b[j]).norm(), (a[j] - b[j]).norm()
            s = (p + q + r) / 2
            assert found[i, j].item() == pytest.approx((s * (s - p) * (s - q) * (s - r)).item())


def test_triangle_of_equal_corners_is_zero_with_zero_gradient():
    x = rows(1, 4).requires_grad_()
    area = volume.triangle_area(x, x, rows(1, 4, seed=1))
    volume.root(area).sum().backward()
    assert area.item() == pytest.approx(0.0, abs=1e-12)
    assert torch.isfinite(x.grad).all()


def test_spectrum_equals_the_svd():
    z = tuples(6, 3, 5)
    singular, direction = volume.singular_values(z)
    left, s, _ = torch.linalg.svd(z.mT, full_matrices=False)
    torch.testing.assert_close(singular, s)
    torch.testing.assert_close((direction * left[..., 0]).sum(1).abs(), torch.ones(6, dtype=torch.float64))
    assert ((direction * z.mean(1)).sum(1) > 0).all()


def test_leading_direction_does_not_flip_between_runs_of_nearly_equal_input():
    z = tuples(20, 3, 5)
    once = volume.singular_values(z)[1]
    again = volume.singular_values(z.flip(1) + 1e-9)[1]  # order of the modalities, rounding
    torch.testing.assert_close(once, again, atol=1e-6, rtol=0)


def test_spectrum_gradients_equal_finite_differences():
    z = tuples(3, 3, 5).requires_grad_()
    present = torch.tensor([[True, True, True], [True, False, True], [True, True, True]])
    assert torch.autograd.gradcheck(lambda t: volume.singular_values(t, present)[1], (z,))
    assert torch.autograd.gradcheck(lambda t: volume.singular_values(t, present)[0], (z,), atol=1e-6)


@pytest.mark.parametrize("spectrum", [volume.singular_values, volume.mean_singular_values])
def test_second_derivatives_of_the_spectrum_equal_finite_differences(spectrum):
    """They left out how the eigenvectors turn, and were up to a tenth off without a word."""
    z = tuples(2, 3, 5).requires_grad_()
    present = torch.tensor([[True, True, True], [True, False, True]])
    for use in (lambda t: spectrum(t)[1], lambda t: spectrum(t)[0], lambda t: spectrum(t, present)[1]):
        assert torch.autograd.gradgradcheck(use, (z,), atol=1e-5)


def test_spectrum_of_equal_and_orthogonal_items_has_finite_gradients():
    e = torch.eye(4)
    for z in (e[:1].expand(3, 4)[None].clone(), e[None, :3].clone()):
        z.requires_grad_()
        singular, direction = volume.singular_values(z)
        (singular.sum() + direction.sum()).backward()
        assert torch.isfinite(z.grad).all()


def test_absent_items_leave_zero_singular_values():
    z = tuples(2, 3, 5)
    present = torch.tensor([[True, True, False], [False, True, False]])
    singular, direction = volume.singular_values(z, present)
    torch.testing.assert_close(singular[0, :2], torch.linalg.svdvals(z[0, :2]))
    assert singular[0, 2].item() == pytest.approx(0.0, abs=1e-6)
    torch.testing.assert_close(singular[1], torch.tensor([1.0, 0, 0], dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(direction[1], z[1, 1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: volume.gram_volume(rows(2, 3), rows(2, 3)), "tuples"),
        (lambda: volume.gram_volume(rows(2, 3), tuples(2, 2, 4)), "tuples"),
        (lambda: volume.gram_volume(rows(2, 3), tuples(2, 2, 3), torch.ones(2, 2)), "bool"),
        (lambda: volume.gram_distance(rows(2, 3), tuples(2, 2, 3), epsilon=0.0), "epsilon"),
        (lambda: volume.triangle_area(rows(2, 3), rows(2, 3), rows(3, 3)), "corners"),
        (lambda: volume.singular_values(rows(2, 3)), "tuples"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ModalignError, match=words):
        call()


@pytest.mark.parametrize("modalities", [2, 3])
def test_the_direction_of_two_items_at_an_obtuse_angle_points_to_the_first(modalities):
    """Their mean is at right angles to it: the side was that of rounding, and gradients were those of neither."""
    pair = torch.tensor([[1.0, 0.0], [-0.6, 0.8]], dtype=torch.float64)
    z = torch.zeros(1, modalities, 2, dtype=torch.float64)
    z[0, modalities - 2 :] = pair
    present = torch.ones(1, modalities, dtype=torch.bool)
    present[0, : modalities - 2] = False
    for sign in (1.0, -1.0):
        direction = volume.singular_values(sign * z, present)[1][0]
        torch.testing.assert_close(direction, sign * torch.nn.functional.normalize(pair[0] - pair[1], dim=0))

    def leading(x):
        return volume.singular_values(torch.where(present[..., None], x, 0.0), present)[1]

    assert torch.autograd.gradcheck(leading, (z.requires_grad_(),), eps=1e-6, atol=1e-5)
