"""One row per group: of any widths, with the absent marked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modalign.errors import ModalignError
from modalign.views import Views, aligned, row_aligned


def photos() -> Views:
    """Two photos with three and two captions, one photo without, one caption without photo."""
    return Views(
        {"image": torch.arange(6.0).view(3, 2) + 1, "text": torch.arange(12.0).view(6, 2) + 1},
        {"image": torch.tensor([5, 9, 2]), "text": torch.tensor([9, 5, 5, 9, 5, 77])},
    )


def test_one_item_per_group_and_the_absent_marked() -> None:
    v = photos()
    data, present, group, _ = aligned(v, pick="first").stack()
    assert group.tolist() == [2, 5, 9, 77]
    assert present.tolist() == [[True, False], [True, True], [True, True], [False, True]]
    assert torch.equal(data[1, 1], v["text"][1])
    assert torch.equal(data[3, 0], torch.zeros(2))
    mean = aligned(v, ["text"])
    assert torch.allclose(mean.data["text"][0], v["text"][[1, 2, 4]].mean(0))
    drawn = {
        tuple(aligned(v, ["text"], "sample", torch.Generator().manual_seed(s)).data["text"][0].tolist())
        for s in range(40)
    }
    assert drawn == {tuple(v["text"][i].tolist()) for i in (1, 2, 4)}


def test_means_of_half_precision_are_those_of_double() -> None:
    """The sum of a group's items left its range, and lost a digit before that."""
    x = (200 + 10 * torch.randn(400, 3, generator=torch.Generator().manual_seed(0))).half()
    mean = aligned(Views({"a": x}, {"a": torch.zeros(400, dtype=torch.long)})).data["a"]
    assert torch.equal(mean, x.double().mean(0, keepdim=True).half())


def test_gradients_reach_the_chosen_rows_only() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    aligned(Views({"a": x}, {"a": torch.tensor([4, 4, 6])}), pick="first").data["a"].sum().backward()
    assert x.grad is not None
    assert x.grad[:, 0].tolist() == [1.0, 0.0, 1.0]


def test_widths_may_differ_until_rows_are_stacked() -> None:
    x = Views({"a": torch.eye(3), "b": torch.ones(2, 5)}, {"a": torch.tensor([1, 2, 3]), "b": torch.tensor([3, 4])})
    rows = aligned(x)
    assert {m: tuple(v.shape) for m, v in rows.data.items()} == {"a": (4, 3), "b": (4, 5)}
    with pytest.raises(ModalignError, match="one width"):
        rows.stack()
    with pytest.raises(ModalignError, match="unknown pick"):
        aligned(x, pick="last")
    with pytest.raises(ModalignError, match="unknown modality"):
        aligned(x, ["c"])
    with pytest.raises(ModalignError, match="unknown modality"):
        rows.only(["c"])


def test_selections_of_groups_and_back_to_views() -> None:
    v = photos()
    rows = aligned(v, pick="first")
    assert rows.complete().group.tolist() == [5, 9]
    assert rows.only(["image"]).some().group.tolist() == [2, 5, 9]
    assert rows.take(torch.tensor([3, 0])).group.tolist() == [77, 2]
    lost = rows.kept(torch.tensor([[False, True]] * 4))
    assert lost.present.tolist() == [[False, False], [False, True], [False, True], [False, True]]
    back = rows.views()
    assert {m: g.tolist() for m, g in back.group.items()} == {"image": [2, 5, 9], "text": [5, 9, 77]}
    assert torch.equal(back["image"], v["image"][[2, 0, 1]])
    assert torch.equal(back["text"], v["text"][[1, 0, 5]])
    assert len(aligned(Views({}, {})).group) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 4), min_size=1, max_size=9), st.lists(st.integers(-3, 4), max_size=9))
def test_means_equal_a_slow_reference(a: list[int], b: list[int]) -> None:
    data = {"a": torch.arange(2.0 * len(a)).view(-1, 2), "b": torch.arange(3.0 * len(b)).view(-1, 3)}
    x = Views(data, {"a": torch.tensor(a), "b": torch.tensor(b, dtype=torch.long)})
    rows = aligned(x)
    assert rows.group.tolist() == sorted({*a, *b})
    for i, g in enumerate(rows.group.tolist()):
        for k, (m, ids) in enumerate((("a", a), ("b", b))):
            own = [x[m][j] for j, other in enumerate(ids) if other == g]
            assert bool(rows.present[i, k]) == bool(own)
            expected = torch.stack(own).mean(0) if own else torch.zeros(data[m].shape[1])
            assert torch.allclose(rows.data[m][i], expected)


def test_rows_that_lie_side_by_side_stay_in_their_order() -> None:
    x = Views({"a": torch.eye(3), "b": 2 * torch.eye(3)}, {m: torch.tensor([7, 3, 5]) for m in "ab"})
    found = row_aligned(x, ["a", "b"])
    assert found is not None
    assert found.group.tolist() == [7, 3, 5]
    general = aligned(x).stack()
    assert torch.equal(found.data[[1, 2, 0]], general.data)
    assert bool(found.present.all())
    twice = Views(x.data, {m: torch.tensor([7, 7, 5]) for m in "ab"})
    assert row_aligned(twice, ["a", "b"]) is None
    assert row_aligned(x.select({"a": torch.tensor([0, 1])}), ["a", "b"]) is None
