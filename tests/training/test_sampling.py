"""Batches by group: what is drawn, how often, and that a step alone decides it."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.training.sampling import Sampler
from modalign.views import Views


def captions(linked: int = 6, photos: int = 4, texts: int = 3) -> Views:
    """`linked` photos with two captions each, further photos and captions alone."""
    return Views(
        {"image": torch.ones(linked + photos, 1), "text": torch.ones(2 * linked + texts, 1)},
        {
            "image": torch.arange(linked + photos),
            "text": torch.cat([torch.arange(linked).repeat_interleave(2), 100 + torch.arange(texts)]),
        },
    )  # fmt: skip


def test_every_group_comes_once_in_each_pass() -> None:
    sampler = Sampler(captions(), batch=3)
    seen = torch.cat([sampler(step)["image"] for step in range(4)])
    assert sorted(seen.tolist()) == sorted(list(range(6)) * 2)
    assert sorted(seen[:6].tolist()) == list(range(6))


def test_pairs_stay_pairs_and_one_item_stands_for_a_group() -> None:
    x = captions()
    for step in range(5):
        batch = x.select(Sampler(x, batch=4)(step))
        assert sorted(batch.group["image"].tolist()) == sorted(batch.group["text"].tolist())
        assert len(batch.group["text"].unique()) == len(batch.group["text"])


def test_unpaired_items_fill_their_share() -> None:
    rows = Sampler(captions(), batch=4, unpaired=0.5)(0)
    assert int((rows["image"] < 6).sum()) == 2
    assert int((rows["image"] >= 6).sum()) == 2
    assert int((rows["text"] < 12).sum()) == 2
    assert int((rows["text"] >= 12).sum()) == 2


def test_a_step_is_the_same_however_one_gets_there() -> None:
    x = captions()
    first, second = Sampler(x, 4, 0.5, seed=3), Sampler(x, 4, 0.5, seed=3)
    for step in range(7):
        first(step)
    assert all(torch.equal(first(7)[m], second(7)[m]) for m in ("image", "text"))
    assert not all(torch.equal(first(7)[m], Sampler(x, 4, 0.5, seed=4)(7)[m]) for m in ("image", "text"))


def test_a_batch_larger_than_the_data_holds_each_group_once() -> None:
    rows = Sampler(captions(), batch=64)(3)
    assert sorted(rows["image"].tolist()) == list(range(6))


def test_missing_modalities_are_absent() -> None:
    x = Views(
        {"a": torch.eye(3), "b": torch.eye(2), "c": torch.eye(2)},
        {"a": torch.tensor([0, 1, 2]), "b": torch.tensor([0, 1]), "c": torch.tensor([0, 2])},
    )
    rows = Sampler(x, batch=3)(0)
    assert {m: len(r) for m, r in rows.items()} == {"a": 3, "b": 2, "c": 2}


def test_an_item_comes_with_all_its_links_and_once() -> None:
    links = {("a", "b"): torch.tensor([[0, 0, 2, 3], [1, 2, 0, 1]])}
    x = Views({"a": torch.eye(4), "b": torch.eye(4)}, {"a": torch.arange(4), "b": 10 + torch.arange(4)}, links)
    rows = Sampler(x, batch=3)(0)
    assert {m: sorted(r.tolist()) for m, r in rows.items()} == {"a": [0, 2, 3], "b": [0, 1, 2]}
    seen = []
    for step in range(3):
        rows = Sampler(x, batch=1)(step)
        (item,) = rows["a"].tolist()
        assert rows["b"].tolist() == {0: [1, 2], 2: [0], 3: [1]}[item]
        seen.append(item)
    assert sorted(seen) == [0, 2, 3]
    alone = Sampler(x, batch=4, unpaired=0.5)
    assert (alone.alone["a"].tolist(), alone.alone["b"].tolist()) == ([1], [3])


def test_links_of_three_modalities_are_all_drawn() -> None:
    links = {("a", "b"): torch.tensor([[0], [1]]), ("b", "c"): torch.tensor([[1, 2], [0, 1]])}
    ids = {m: torch.arange(3) + 10 * k for k, m in enumerate("abc")}
    x = Views({m: torch.eye(3) for m in "abc"}, ids, links)
    found = set()
    for step in range(3):
        rows = {m: r.tolist() for m, r in Sampler(x, batch=1)(step).items()}
        found.add(tuple(tuple(rows[m]) for m in "abc"))
    assert found == {((0,), (1,), ()), ((), (1,), (0,)), ((), (2,), (1,))}


def test_nothing_to_draw_is_refused() -> None:
    x = Views({"a": torch.eye(2), "b": torch.eye(2)}, {"a": torch.arange(2), "b": 5 + torch.arange(2)})
    with pytest.raises(ModalignError, match="no linked groups"):
        Sampler(x)
    assert len(Sampler(x, batch=2, unpaired=0.5)(0)["a"]) == 2
    with pytest.raises(ModalignError, match="batch of 0"):
        Sampler(captions(), batch=0)
    with pytest.raises(ModalignError, match="unpaired share of 1"):
        Sampler(captions(), unpaired=1.0)
