"""Costs: values, ranges, symmetry, half precision, user-visible faults of the squared distance."""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import cost as costs


def rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_cosine_equals_its_definition():
    x, y = rows(5, 7), rows(4, 7, seed=1)
    expected = torch.stack([1 - torch.cosine_similarity(row[None], y) for row in x])
    torch.testing.assert_close(costs.cosine(x, y), expected)


def test_cosine_ignores_row_lengths_and_stays_in_range():
    x, y = rows(6, 3), rows(5, 3, seed=1)
    scale = torch.tensor([1e-6, 1e6, 1.0, 3.0, 0.2, 9.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(costs.cosine(x * scale, y), costs.cosine(x, y))
    same = costs.cosine(x.float(), x.float())
    assert same.min() >= 0
    assert costs.cosine(x.float(), -x.float()).max() <= 2


def test_cosine_of_a_zero_row_is_one_with_finite_gradient():
    x = torch.zeros(1, 3, requires_grad=True)
    value = costs.cosine(x, torch.eye(3))
    value.sum().backward()
    torch.testing.assert_close(value, torch.ones(1, 3))
    assert torch.isfinite(x.grad).all()


def test_sqeuclidean_equals_pairwise_differences():
    x, y = rows(5, 7), rows(4, 7, seed=1)
    torch.testing.assert_close(costs.sqeuclidean(x, y), ((x[:, None] - y[None]) ** 2).sum(-1))


def test_sqeuclidean_is_never_negative_and_zero_on_the_diagonal():
    x = 1 + 0.01 * rows(200, 512, dtype=torch.float32)
    squares = costs.sqeuclidean(x, x)
    assert squares.min() >= 0
    assert (squares.diagonal() == 0).all()
    assert not torch.isnan(squares.sqrt()).any()
    truth = torch.cdist(x.double(), x.double()) ** 2
    torch.testing.assert_close(squares.double(), truth, atol=1e-5, rtol=1e-3)


def test_sqeuclidean_is_the_cosine_cost_doubled_on_unit_rows():
    x, y = costs.unit(rows(5, 7)), costs.unit(rows(4, 7, seed=1))
    torch.testing.assert_close(costs.sqeuclidean(x, y), 2 * costs.cosine(x, y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
def test_half_inputs_are_accumulated_in_float32(dtype, kind):
    x, y = rows(9, 300).to(dtype), rows(4, 300, seed=1).to(dtype)
    half = costs.cost(x, y, kind)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), costs.cost(x.double(), y.double(), kind), atol=1e-3, rtol=1e-5)


def test_autocast_does_not_lower_the_precision():
    x, y = rows(9, 300, dtype=torch.float32), rows(4, 300, seed=1, dtype=torch.float32)
    plain = costs.cosine(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(costs.cosine(x, y), plain)


@pytest.mark.parametrize("kind", ["cosine", "sqeuclidean"])
def test_gradient_equals_finite_differences(kind):
    x, y = rows(4, 3).requires_grad_(), rows(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v: costs.cost(u, v, kind), (x, y))


def test_sqeuclidean_of_a_set_with_itself_has_the_right_gradient():
    x = rows(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: costs.sqeuclidean(u, u), (x,))


def test_mistakes_are_refused():
    with pytest.raises(ModalignError, match="did you mean 'cosine'"):
        costs.cost(rows(2, 2), rows(2, 2), "cosin")
    with pytest.raises(ModalignError, match=r"\(2, 3\) and \(2, 4\)"):
        costs.cosine(rows(2, 3), rows(2, 4))
    with pytest.raises(ModalignError, match="floating-point"):
        costs.cosine(torch.ones(2, 3, dtype=torch.int64), rows(2, 3))
