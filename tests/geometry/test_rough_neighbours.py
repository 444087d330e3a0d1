"""Neighbours by codes: how many of the true ones they find, and that what they give is exact."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalign.geometry.neighbours import flat, knn, rough

coded = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("faiss") is None, reason="codes need faiss (modalign[search]), on Linux"
)


def unit(rows: int, seed: int, width: int = 64) -> Tensor:
    """Rows with a falling spectrum, as those of a shared space."""
    spectrum = torch.linspace(1.5, 0.3, width)
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * spectrum, dim=1)


@coded
def test_codes_find_most_of_the_nearest_rows_and_give_their_exact_products() -> None:
    x, y = unit(900, 0), unit(20_000, 1)
    assert flat.suits(len(x), y, rough.CANDIDATES)
    score, found = rough.near(x, y, 8)
    exact, nearest = knn(x, y, 8, metric="dot")
    assert not torch.equal(found, nearest)  # codes were used
    kept = (found[:, :, None] == nearest[:, None, :]).any(2).float().mean()
    assert kept > 0.8
    assert (found[:, 0] == nearest[:, 0]).float().mean() > 0.9
    torch.testing.assert_close(score, (x[:, None] * y[found]).sum(2))
    assert bool((score.diff(dim=1) <= 0).all())
    assert all(len(set(row)) == 8 for row in found.tolist())
    assert float((exact - score).mean()) < 0.01


@coded
def test_codes_do_not_depend_on_the_batch_and_leave_the_threads_of_faiss_alone() -> None:
    import faiss

    x, y, threads = unit(2000, 0), unit(20_000, 1), faiss.omp_get_max_threads()
    whole, part = rough.near(x, y, 8), rough.near(x[:1000], y, 8)
    assert torch.equal(whole[1][:1000], part[1])
    assert faiss.omp_get_max_threads() == threads


@coded
def test_a_query_that_codes_cannot_answer_is_answered_and_no_warning_is_written(
    capfd: pytest.CaptureFixture[str],
) -> None:
    x, y = unit(30_000, 0), unit(600, 1)
    x[7] = 0
    assert flat.suits(len(x), y, rough.CANDIDATES)
    score, found = rough.near(x, y, 8)
    assert bool((found >= 0).all())
    assert found[7].tolist() == list(range(8))
    assert not score[7].any()
    torch.testing.assert_close(score, (x[:, None] * y[found]).sum(2))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("case", ["few", "odd", "many", "no faiss"])
def test_they_are_exact_where_codes_do_not_serve(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, width, k = {"few": (100, 64, 8), "odd": (20_000, 63, 8), "many": (20_000, 64, 65)}.get(case, (20_000, 64, 8))
    if case == "no faiss":
        monkeypatch.setattr(flat, "find_spec", lambda name: None)
    x, y = unit(900, 0, width), unit(rows, 1, width)
    for found, expected in zip(rough.near(x, y, k), knn(x, y, k, metric="dot"), strict=True):
        assert torch.equal(found, expected)
