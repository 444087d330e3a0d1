"""Diffusion from linked items: against iteration, its time scales, its reach."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from modalign.errors import ModalignError
from modalign.geometry.neighbours import diffused


def points(n: int = 30, d: int = 4) -> torch.Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1)


def by_iteration(f: torch.Tensor, pairs: list[tuple[int, int]], others: int, k: int, restart: float) -> torch.Tensor:
    """The same by ten thousand steps of the walk, entry by entry where the graph is made."""
    n = len(f)
    cosine = (f @ f.T).fill_diagonal_(-2.0)
    weight = torch.zeros(n, n, dtype=f.dtype)
    for i in range(n):
        near = cosine[i].argsort(descending=True)[:k]
        for j in near:
            weight[i, j] = float(torch.exp((cosine[i, j] - cosine[i, near[0]]) / 0.1))
    weight = torch.maximum(weight, weight.T)
    degree = weight.sum(1)
    near = weight / (degree[:, None] * degree).sqrt()
    start = torch.zeros(n, others, dtype=f.dtype)
    for i, j in pairs:
        start[i, j] = 1.0
    start = start / start.sum(1, keepdim=True).clamp(min=1.0)
    found = start
    for _ in range(10_000):
        found = (1 - restart) * near @ found + restart * start
    return found / found.sum(1, keepdim=True).clamp(min=1e-300)


@pytest.mark.parametrize("restart", [0.5, 0.05])
def test_it_is_the_limit_of_the_walk(restart: float) -> None:
    pairs = [(0, 0), (0, 1), (5, 2), (9, 3), (20, 1)]
    found = diffused(points(), torch.tensor(pairs), 4, k=4, restarts=(restart,))
    torch.testing.assert_close(found, by_iteration(points(), pairs, 4, 4, restart), rtol=0, atol=1e-6)


def test_several_time_scales_are_averaged_and_rows_sum_to_one() -> None:
    pairs = torch.tensor([[0, 0], [5, 1], [9, 2]])
    each = [diffused(points(), pairs, 3, k=5, restarts=(a,)) for a in (0.5, 0.05)]
    both = diffused(points(), pairs, 3, k=5, restarts=(0.5, 0.05))
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    torch.testing.assert_close(both.sum(1), torch.ones(30, dtype=torch.float64))
    entropy = [float(torch.special.entr(f).sum()) for f in each]
    assert entropy[1] > entropy[0]  # small restarts go far


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_items_have_their_share_of_every_time_scale(dtype: torch.dtype) -> None:
    """Forty hops away a trillionth arrives, which was taken for nothing: rows of a chain summed to 1/3 and 0."""
    angle = torch.linspace(0.0, 3.0, 150, dtype=torch.float64)
    chain = torch.stack([angle.cos(), angle.sin()], 1)
    found = diffused(chain.to(dtype), torch.tensor([[0, 0], [1, 1]]), 2, k=2)
    torch.testing.assert_close(found.sum(1), torch.ones(150, dtype=dtype))
    each = [by_iteration(chain, [(0, 0), (1, 1)], 2, 2, a)[-1] for a in (0.2, 0.05)]
    far = diffused(chain.to(dtype), torch.tensor([[0, 0], [1, 1]]), 2, k=2, restarts=(0.2, 0.05))[-1]
    torch.testing.assert_close(far.double(), (each[0] + each[1]) / 2, rtol=0, atol=1e-4)


def test_what_cannot_be_reached_has_no_target() -> None:
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0]])
    found = diffused(apart, torch.tensor([[0, 0]]), 1, k=1)
    assert found.flatten().tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0])


def test_few_items_and_mistakes() -> None:
    assert diffused(torch.ones(1, 2), torch.tensor([[0, 1]]), 2).tolist() == [[0.0, 1.0]]
    with pytest.raises(ModalignError, match="pairs must be"):
        diffused(points(), torch.zeros(3), 2)
    for settings in ({"temperature": 0.0}, {"restarts": ()}, {"restarts": (0.0,)}, {"restarts": (1.5,)}):
        with pytest.raises(ModalignError, match=r"must be positive|diffusion needs"):
            diffused(points(), torch.tensor([[0, 0]]), 1, **settings)
