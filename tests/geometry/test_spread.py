"""Gap, alignment, uniformity, intrinsic dimension, hubs: closed forms and generated truth."""

import math

import pytest
import scipy.stats
import torch

from modalign.errors import ModalignError
from modalign.geometry import spread as sp


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gap_of_known_directions():
    e1, e2 = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert sp.gap(e1.expand(3, 2), e2.expand(7, 2)) == pytest.approx(2**0.5)
    assert sp.gap(10 * e1, e2) == pytest.approx(2**0.5)
    assert sp.gap(rows(5, 3), rows(5, 3)) == 0.0
    assert sp.gap(e1, -e1) == pytest.approx(2.0)
    with pytest.raises(ModalignError, match="one width"):
        sp.gap(rows(2, 3), rows(2, 4))


def test_alignment_is_the_squared_distance_of_unit_rows():
    x, y = rows(6, 4), rows(6, 4, 1)
    expected = 2 - 2 * torch.cosine_similarity(x, y)
    torch.testing.assert_close(sp.alignment(3 * x, y), expected)
    torch.testing.assert_close(sp.alignment(x, y, power=1.0), expected.sqrt())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sp.alignment(torch.ones(6, 4), torch.ones(5, 4)), r"y must have the shape \(n, d\) with n = 6"),
        (lambda: sp.alignment(torch.ones(4), torch.ones(4)), r"x must have the shape \(n, d\), got \(4,\)"),
        (lambda: sp.uniformity(torch.ones(4)), r"x must have the shape \(n, d\), got \(4,\)"),
        (lambda: sp.gap(torch.ones(6, 4).numpy(), torch.ones(6, 4)), "x must be"),
    ],
)
def test_other_shapes_are_refused(call, said):
    with pytest.raises(ModalignError, match=said):
        call()


def test_uniformity_equals_its_definition_in_any_blocks(monkeypatch):
    x = rows(50, 4)
    unit = torch.nn.functional.normalize(x)
    expected = torch.pdist(unit).square().mul(-2).exp().mean().log().item()
    assert sp.uniformity(x) == pytest.approx(expected)
    monkeypatch.setattr(sp, "ROWS", 7)
    assert sp.uniformity(x) == pytest.approx(expected)
    assert sp.uniformity(torch.ones(5, 3)) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ModalignError, match="two rows"):
        sp.uniformity(x[:1])


@pytest.mark.parametrize("dimension", [2, 4, 8])
def test_intrinsic_dimension_of_a_sphere_in_a_wide_space(dimension):
    turn = torch.linalg.qr(rows(64, 64, 1)).Q[: dimension + 1]
    found = sp.intrinsic_dimension(rows(3000, dimension + 1) @ turn)
    assert found == pytest.approx(dimension, rel=0.15)


def test_intrinsic_dimension_of_too_little_is_undefined():
    assert math.isnan(sp.intrinsic_dimension(rows(2, 3)))
    assert math.isnan(sp.intrinsic_dimension(torch.ones(50, 3)))


def test_occurrences_count_neighbours():
    queries = torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0]])
    gallery = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert sp.occurrences(queries, gallery, 1).tolist() == [2, 1, 0]
    assert sp.occurrences(queries, gallery, 9).tolist() == [3, 3, 3]


def test_hub_indices():
    count = torch.randint(0, 9, (200,), generator=torch.Generator().manual_seed(0))
    assert sp.skewness(count) == pytest.approx(scipy.stats.skew(count.numpy()))
    assert sp.skewness(torch.ones(4)) == sp.robin_hood(torch.ones(4)) == 0.0
    assert sp.robin_hood(torch.tensor([0, 0, 0, 4])) == 0.75
    assert sp.robin_hood(torch.zeros(3)) == 0.0
