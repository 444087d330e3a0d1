"""Inner products of chosen pairs: right, and the same bits for equal pairs, wherever they stand."""

import subprocess
import sys

import pytest
import torch

from modalign.geometry.neighbours import Scorer, scorer
from modalign.geometry.neighbours.inner import inner


def rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 3, 8, 17, 100])
def test_products_are_right_and_equal_pairs_give_equal_bits(d, dtype):
    x, y = rows(40, d, dtype=dtype), rows(30, d, 1, dtype)
    x[20:], y[15:] = x[:20].clone(), y[:15].clone()
    every = torch.arange(30).expand(40, 30)
    found = inner(x, y, every)
    torch.testing.assert_close(found, (x[:, None] * y[None]).sum(2))
    assert torch.equal(found[:20], found[20:])
    assert torch.equal(found[:, :15], found[:, 15:])
    for i, j in ((3, 4), (37, 29)):
        one = inner(x[i : i + 1], y[j : j + 1].clone(), torch.zeros(1, 1, dtype=torch.long))
        assert one.item() == found[i, j].item()
    assert torch.equal(inner(x.T.contiguous().T, y.T.contiguous().T, every.flip(1)), found.flip(1))


def test_products_of_nothing():
    assert inner(rows(3, 4), rows(5, 4), torch.zeros(3, 0, dtype=torch.long)).shape == (3, 0)
    assert inner(rows(0, 4), rows(5, 4), torch.zeros(0, 2, dtype=torch.long)).shape == (0, 2)
    assert inner(rows(3, 0), rows(5, 0), torch.zeros(3, 2, dtype=torch.long)).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exact_scores_have_the_same_bits_whether_the_gallery_is_widened_or_gathered(metric, dtype, monkeypatch):
    x, y = rows(50, 24, dtype=dtype), rows(60, 24, 1, dtype)
    i, j = torch.arange(50), torch.randint(0, 60, (50, 4), generator=torch.Generator().manual_seed(2))
    whole = Scorer(x, y, metric).candidates(i, j)
    apart = torch.stack([Scorer(x, y, metric).pairs(i, j[:, k]) for k in range(4)], 1)
    monkeypatch.setattr(scorer, "WIDE", 0)
    monkeypatch.setattr(scorer, "NUMBERS_AT_ONCE", 7 * 24)
    assert torch.equal(Scorer(x, y, metric).candidates(i, j), whole)
    assert torch.equal(apart, whole)


def test_no_warning_about_sparse_matrices_is_heard():
    code = "import torch; from modalign.geometry.neighbours import knn; print(knn(torch.eye(3), k=1)[1].tolist())"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("[[1], [0], [0]]\n", "")
