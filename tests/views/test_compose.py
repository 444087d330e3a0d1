"""Queries composed of what is present."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.views import Aligned, Stack, Views, compose, composed, presence, side
from modalign.views.compose import blend


def rows(seed: int = 0) -> Aligned:
    g = torch.Generator().manual_seed(seed)
    data = {m: torch.nn.functional.normalize(torch.randn(12, 5, generator=g), dim=1) for m in "abc"}
    present = presence(torch.ones(12, 3, dtype=torch.bool), 0.4, seed=seed)
    return Aligned(torch.arange(12), data, present)


def test_a_composed_row_is_the_normalised_sum_of_what_is_present() -> None:
    z = rows()
    q = side(z, ["a", "b"])
    assert q.group.tolist() == z.group[z.present[:, :2].any(1)].tolist()
    for i, group in enumerate(q.group.tolist()):
        own = torch.stack([z.data[m][group] for k, m in enumerate("ab") if z.present[group, k]])
        assert torch.allclose(compose(q)[i], torch.nn.functional.normalize(own.sum(0), dim=0), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1e9])
def test_weights_count_by_their_ratios(scale: float) -> None:
    """Small ones were told to cancel each other, and of large ones what rounding left was taken for a direction."""
    z = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).double(), dim=1)
    w = torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
    torch.testing.assert_close(blend(z, scale * w), blend(z, w))
    with pytest.raises(ModalignError, match="cancel each other"):
        blend(torch.stack([z[0], z[0] + 1e-9 * z[1]]), scale * torch.tensor([1.0, -1.0], dtype=torch.float64))


def test_weights_of_zero_leave_a_modality_out() -> None:
    q = side(rows(), ["a", "b"])
    weighted = compose(q, [1.0, 0.0])
    with_a = q.present[:, 0]
    assert torch.allclose(weighted[with_a], q.data[with_a, 0], atol=1e-6)
    assert torch.allclose(weighted[~with_a], q.data[~with_a, 1], atol=1e-6)
    for wrong in ([1.0], [1.0, -1.0]):
        with pytest.raises(ModalignError, match="weights"):
            compose(q, wrong)


def test_zeros_and_nothing_are_refused() -> None:
    z = rows()
    with pytest.raises(ModalignError, match="nothing to compose"):
        side(z.kept(torch.zeros(12, 3, dtype=torch.bool)), ["a"])
    there = z.present[:, 1].nonzero().flatten()[:2]
    z.data["b"][there] = 0.0
    with pytest.raises(ModalignError, match=f"'b' has all-zero embeddings in the groups {there[0]}, {there[1]}"):
        side(z, ["a", "b"])
    side(z, ["a", "c"])
    opposite = Stack(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), torch.tensor([[True, True]]), torch.tensor([0]))
    with pytest.raises(ModalignError, match="cancel each other"):
        compose(opposite)


def test_what_was_taken_away_points_the_other_way() -> None:
    assert torch.allclose(blend(torch.eye(2), torch.tensor([3.0, -4.0])), torch.tensor([0.6, -0.8]))


def test_composed_views_hold_queries_beside_their_target() -> None:
    z = Views(
        {"image": torch.eye(3), "a": torch.eye(3), "b": 2 * torch.eye(3)[[1]]},
        {"image": torch.arange(3), "a": torch.arange(3), "b": torch.tensor([0])},
    )
    found = composed(z, "image")
    half = 0.5**0.5
    assert torch.allclose(found["query"], torch.tensor([[half, half, 0], [0, 1, 0], [0, 0, 1.0]]))
    assert found.group["query"].tolist() == [0, 1, 2]


def test_a_composed_query_has_the_positives_of_all_its_items() -> None:
    ids = torch.arange(3)
    links = {("a", "c"): torch.tensor([[0, 1], [1, 1]]), ("b", "c"): torch.tensor([[0, 2], [0, 2]])}
    z = Views({m: torch.eye(3) for m in "abc"}, {"a": ids, "b": ids, "c": ids + 10}, links)
    assert composed(z, "c").paired("query", "c").tolist() == [[0, 0], [0, 1], [1, 1], [2, 2]]
