"""Batches by group: what is drawn, how often, and that a step alone decides it."""

from __future__ import annotations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.training import sampling
from modalign.training.sampling import Sampler, keyed
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


def units(x: Views, batch: int, seed: int, steps: int) -> list[list[int]]:
    """Rows of "a" as passes over linked groups by ascending id say, each pass a permutation of the seed."""
    n, found = len(x["a"]), []
    stream = torch.cat(
        [torch.randperm(n, generator=torch.Generator().manual_seed(seed * 7_368_787 + p + 1)) for p in range(9)]
    )
    for step in range(steps):
        part = stream[step * batch : (step + 1) * batch]
        crossed = step * batch // n != ((step + 1) * batch - 1) // n
        found.append((torch.unique(part) if crossed else part).tolist())
    return found


@pytest.mark.parametrize("ids", [torch.arange(10), 3 * torch.arange(10) - 7])
def test_rows_in_step_are_drawn_by_number_without_tables(ids: torch.Tensor) -> None:
    x = Views({m: torch.eye(10) for m in "abc"}, dict.fromkeys("abc", ids))
    sampler = Sampler(x, batch=4, unpaired=0.25, seed=3)  # nothing is unpaired, so that pairs fill the batch
    assert not sampler.units
    for step, expected in enumerate(units(x, 4, 3, 9)):
        assert {m: rows.tolist() for m, rows in sampler(step).items()} == dict.fromkeys("abc", expected)
    turned = x.select({m: torch.arange(9, -1, -1) for m in "abc"})  # by tables: the same things, in rows turned round
    tabled = Sampler(turned, batch=4, seed=3)
    assert tabled.units
    for step in range(9):
        assert (9 - tabled(step)["b"]).equal(sampler(step)["b"])


def test_long_passes_need_no_list_and_meet_every_unit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "WRITTEN", 9)
    x = captions(linked=10, photos=12, texts=3)
    first, again = Sampler(x, batch=4, unpaired=0.5, seed=1), Sampler(x, batch=4, unpaired=0.5, seed=1)
    drawn = [first(step) for step in range(10)]
    assert first.kept is None
    for start in (0, 5):
        images = torch.cat([rows["image"][:2] for rows in drawn[start : start + 5]])
        assert sorted(images.tolist()) == list(range(10))
    assert [rows["image"][:2].tolist() for rows in drawn[:5]] != [rows["image"][:2].tolist() for rows in drawn[5:]]
    assert all(len(set(rows["image"][2:].tolist())) == 2 and rows["image"][2:].min() >= 10 for rows in drawn)
    assert all(torch.equal(again(7)[m], drawn[7][m]) for m in ("image", "text"))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 97, 4096, 10_000])
def test_a_keyed_order_is_a_permutation(count: int) -> None:
    assert keyed(torch.arange(count), count, key=5).sort().values.equal(torch.arange(count))


def test_a_keyed_order_looks_drawn() -> None:
    """Chi-square of what a drawn order has equal shares of: 63 degrees of freedom, above 120 with p < 2e-5."""
    count, places = 1 << 20, torch.arange(20_000)
    for key in range(3):
        found = keyed(places, count, key)
        steps = (found[1:] - found[:-1]) % count
        other = (found - keyed(places, count, key + 1)) % count
        for numbers in (found, steps, other):
            seen = torch.bincount(numbers * 64 // count, minlength=64)
            expected = len(numbers) / 64
            assert ((seen - expected) ** 2 / expected).sum() < 120
        fixed = keyed(torch.arange(count), count, key) == torch.arange(count)
        assert fixed.sum() < 12  # 1 on average
