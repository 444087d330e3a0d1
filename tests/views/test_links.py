"""Links: what counts as linked, budgets that are nested, and hidden, lost and held-out links that leave no trace."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from modalign.errors import ModalignError
from modalign.views import (
    Views,
    connected_groups,
    hide_links,
    hold_out,
    keep_items,
    linked_groups,
    links,
    lose,
)


def photos() -> Views:
    """Five photos with two captions each."""
    return Views(
        {"image": torch.randn(5, 3), "text": torch.randn(10, 4)},
        {"image": torch.arange(5) + 3, "text": (torch.arange(10) % 5) + 3},
    )


def pairs(n: int) -> Views:
    """Row-aligned pairs."""
    return Views.from_arrays(image=torch.randn(n, 3), text=torch.randn(n, 4))


def test_budgets_are_nested_and_seeded() -> None:
    x = photos()
    sets = [set(linked_groups(x, n, seed=1).tolist()) for n in range(6)]
    assert [len(s) for s in sets] == [0, 1, 2, 3, 4, 5]
    assert all(a < b for a, b in pairwise(sets))
    assert linked_groups(x, 3, seed=1).tolist() == linked_groups(x, 3, seed=1).tolist()
    assert linked_groups(x, None).tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ModalignError, match="have 5 linked groups"):
        linked_groups(x, 6)


def test_groups_in_step_are_the_linked_ones_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "BLOCK", 2)
    ids = torch.tensor([-4, 0, 1, 5, 9])
    x = Views({m: torch.eye(5) for m in "ab"}, {"a": ids, "b": ids.int()})
    assert links.in_step(x)
    assert linked_groups(x).equal(ids)
    for wrong in ([-4, 0, 1, 1, 9], [-4, 0, 5, 1, 9], [-4, 1, 0, 5, 9]):  # a group twice, out of order at a block's end
        assert not links.in_step(Views(x.data, dict.fromkeys("ab", torch.tensor(wrong))))
    assert not links.in_step(Views(x.data, {"a": ids, "b": torch.tensor([-4, 0, 1, 5, 8])}))
    assert not links.in_step(x.select({"b": torch.arange(4)}))
    assert not links.in_step(x.only("a"))
    assert len(linked_groups(x.only("a"))) == len(linked_groups(Views({}, {}))) == 0


def test_hidden_links_keep_items_and_break_only_the_links() -> None:
    x = photos()
    y = hide_links(x, torch.tensor([4, 6]))
    linked = y.positives("image", "text")
    assert torch.equal(linked.nonzero(), x.positives("image", "text").nonzero()[[2, 3, 6, 7]])
    assert torch.equal(y["text"], x["text"])
    assert len(torch.unique(y.group["text"])) == 5  # two captions of one hidden photo still belong together


def partial() -> Views:
    """100 text-image pairs, 30 of them with a sound."""
    ids = {"text": torch.arange(100), "image": torch.arange(100), "audio": torch.arange(30)}
    return Views({m: torch.randn(len(i), 3) for m, i in ids.items()}, ids)


def test_a_group_of_two_modalities_is_linked() -> None:
    x = partial()
    assert len(linked_groups(x)) == 100
    whole = hide_links(x, linked_groups(x, None))
    assert {p: len(whole.paired(*p)) for p in x.pairs()} == {p: len(x.paired(*p)) for p in x.pairs()}
    assert len(whole.paired("text", "image")) == 100
    sets = [set(linked_groups(x, n, seed=4).tolist()) for n in (0, 10, 60, 100)]
    assert all(a < b for a, b in pairwise(sets))
    assert max(sets[2]) >= 30  # also of those without a sound
    some = hide_links(x, linked_groups(x, 60, seed=4))
    assert len(some.paired("text", "image")) == 60
    assert len(some.paired("text", "audio")) == len([g for g in sets[2] if g < 30])


def test_a_chain_of_pairs_is_known() -> None:
    ids = {"a": torch.arange(40), "b": torch.arange(20, 60), "c": torch.arange(40, 80)}
    x = Views({m: torch.randn(40, 3) for m in ids}, ids)
    assert linked_groups(x).tolist() == list(range(20, 60))
    y = hide_links(x, linked_groups(x, None))
    assert [len(y.paired(*p)) for p in (("a", "b"), ("b", "c"), ("a", "c"))] == [20, 20, 0]


@pytest.mark.parametrize("ids", [torch.arange(30) * 10**15, torch.arange(30) + (1 << 62), torch.arange(30) - 15])
def test_ids_of_any_size_are_hidden_and_lost_as_their_ranks(ids: torch.Tensor) -> None:
    small = Views({m: torch.randn(30, 2) for m in "abc"}, dict.fromkeys("abc", torch.arange(30)))
    large = Views(small.data, dict.fromkeys("abc", ids))
    for make in (
        lambda x: hide_links(x, linked_groups(x, 12, seed=1)),
        lambda x: lose(x, 0.4, seed=2),
        lambda x: lose(x, 0.4, seed=2, how="hidden"),
        lambda x: lose(x, 0.4, "sites", seed=2),
        lambda x: hold_out(x, 0.3, seed=5)[1],
    ):
        one, other = make(small), make(large)
        assert len(one) == len(other)
        for pair in one.pairs():
            assert torch.equal(one.paired(*pair), other.paired(*pair))
        assert all(torch.equal(one[m], other[m]) for m in "abc")


def test_ids_that_leave_no_room_are_refused() -> None:
    ends = torch.tensor([-(1 << 63), (1 << 63) - 1])
    x = Views({m: torch.eye(2) for m in "ab"}, dict.fromkeys("ab", ends))
    with pytest.raises(ModalignError, match="number the groups anew"):
        hide_links(x, torch.tensor([]).long())
    assert len(lose(x, 0.5)) == 2


def candidates() -> Views:
    """Five clips, each with its own words and those of the next clip."""
    links = {("video", "text"): torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3, 4], [0, 1, 1, 2, 2, 3, 3, 4, 4]])}
    return Views({m: torch.eye(5) for m in ("video", "text")}, dict.fromkeys(("video", "text"), torch.arange(5)), links)


def test_links_go_with_either_of_their_ends() -> None:
    x = candidates()
    assert torch.equal(hide_links(x, linked_groups(x)).paired("video", "text"), x.paired("video", "text"))
    kept = hide_links(x, torch.tensor([1, 2, 4]))
    assert kept.paired("video", "text").tolist() == [[1, 1], [1, 2], [2, 2], [4, 4]]
    assert linked_groups(kept).tolist() == [1, 2, 4]
    assert len(kept["video"]) == 5
    gone = lose(x, {"text": 0.6}, seed=1)
    assert len(gone["video"]) == 5
    assert 0 < len(gone["text"]) < 5
    left = {tuple(p) for p in gone.group["text"][gone.paired("video", "text")[:, 1]][:, None].tolist()}
    assert left == {tuple(p) for p in gone.group["text"][:, None].tolist()}
    hidden = lose(x, {"text": 0.6}, seed=1, how="hidden")
    assert len(hidden["text"]) == 5
    assert len(hidden.paired("video", "text")) == len(gone.paired("video", "text"))


def test_an_item_with_links_to_no_other_is_not_linked() -> None:
    x = candidates().select({"text": torch.tensor([0, 1])})
    assert linked_groups(x).tolist() == [0, 1]
    rest, dev = hold_out(candidates(), 0.4)
    assert len(dev) == 2
    assert len(rest) == 3


@pytest.mark.parametrize(("share", "held"), [(0.01, 1), (0.2, 8), (0.5, 20), (0.99, 39)])
def test_holding_out_loses_no_link_between_groups(share: float, held: int) -> None:
    partner = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    alone = {"a": torch.arange(40), "b": 100 + torch.arange(40)}  # no group has both: links alone say what is a pair
    x = Views({m: torch.eye(40) for m in "ab"}, alone, {("a", "b"): torch.stack([torch.arange(40), partner])})
    rest, dev = hold_out(x, share)
    assert (len(rest.paired("a", "b")), len(dev.paired("a", "b"))) == (40 - held, held)
    assert len(dev["a"]) == len(dev["b"]) == held


def test_holding_out_takes_whole_sets_of_candidates_and_single_groups_of_too_large_ones() -> None:
    x, i = Views.from_arrays(a=torch.eye(40), b=torch.eye(40)), torch.arange(40)
    near = torch.cat([torch.stack([i, i // 5 * 5 + (i + k) % 5]) for k in (0, 1, 4)], 1)  # within films of five scenes
    rest, dev = hold_out(Views(x.data, x.group, {("a", "b"): near}), 0.25)
    assert (len(rest.paired("a", "b")), len(dev.paired("a", "b"))) == (90, 30)
    assert len(torch.unique(dev.group["a"] // 5)) == 2
    ring = torch.cat([torch.stack([i, (i + k) % 40]) for k in (0, 1)], 1)  # all of them are connected
    rest, dev = hold_out(Views(x.data, x.group, {("a", "b"): ring}), 0.25)
    assert (len(rest), len(dev)) == (30, 10)
    same = hold_out(Views(x.data, x.group, {("a", "b"): i.repeat(2, 1)}), 0.25)[1]
    assert same.group_ids().equal(hold_out(x, 0.25)[1].group_ids())


def test_links_of_either_direction_link() -> None:
    x = Views.from_arrays(a=torch.eye(4), b=torch.eye(4))
    x = Views(x.data, x.group, links={("a", "b"): torch.tensor([[0], [0]]), ("b", "a"): torch.tensor([[2], [2]])})
    assert linked_groups(x).tolist() == [0, 2]
    found = connected_groups(x)
    assert (found["a"] == found["b"]).tolist() == [True, False, True, False]


def test_connected_items_are_one_group() -> None:
    groups = connected_groups(candidates())
    assert set(groups["video"].tolist()) == set(groups["text"].tolist()) == {0}
    apart = connected_groups(hide_links(candidates(), torch.tensor([0, 1, 3])))
    assert apart["video"].tolist() == [0, 0, 2, 3, 4]
    assert apart["text"].tolist() == [0, 0, 7, 3, 9]
    plain = photos()
    assert all(torch.equal(connected_groups(plain)[m], g) for m, g in plain.group.items())


def test_items_are_kept_by_modality() -> None:
    x = photos()
    made = keep_items(x, {"text": torch.tensor([3, 5])})
    assert made.group["text"].tolist() == [3, 5, 3, 5]
    assert len(made["image"]) == 5
    with pytest.raises(ModalignError, match="unknown modality"):
        keep_items(x, {"sound": torch.tensor([3])})


def test_disjoint_loses_items_and_hidden_loses_links() -> None:
    x = Views.from_arrays(a=torch.randn(300, 4), b=torch.randn(300, 5), c=torch.randn(300, 6))
    gone, hidden = lose(x, 0.4, seed=2), lose(x, 0.4, seed=2, how="hidden")
    assert len(gone) == 300  # every group keeps something
    assert sum(len(gone[m]) for m in gone.modalities) < 900
    assert all(len(hidden[m]) == 300 for m in hidden.modalities)
    for a, b in x.pairs():  # the same links are left, and what was lost is linked to nothing
        left = {tuple(p) for p in gone.group[a][gone.paired(a, b)[:, 0]][:, None].tolist()}
        kept = {tuple(p) for p in hidden.group[a][hidden.paired(a, b)[:, 0]][:, None].tolist()}
        assert left == kept
    only_b = lose(x, {"b": 0.5})
    assert len(only_b["a"]) == 300
    assert len(only_b["b"]) == pytest.approx(150, abs=30)


@pytest.mark.parametrize("how", ["disjoint", "hidden"])
def test_a_group_loses_the_same_in_any_selection(how: str) -> None:
    x = Views.from_arrays(a=torch.randn(300, 4), b=torch.randn(300, 5), c=torch.randn(300, 6))
    some = torch.arange(100, 250, 3)
    whole, part = (lose(v, 0.4, seed=2, how=how) for v in (x, x.groups(some)))
    for a, b in x.pairs():
        linked = (v.group[a][v.paired(a, b)[:, 0]] for v in (whole, part))
        kept, again = (set(g.tolist()) & set(some.tolist()) for g in linked)
        assert kept == again


def test_a_way_to_lose_that_is_none_is_refused() -> None:
    with pytest.raises(ModalignError, match="way to lose"):
        lose(photos(), 0.5, how="gone")
    with pytest.raises(ModalignError, match="modality"):
        lose(photos(), {"sound": 0.5})


def test_holding_out_splits_linked_groups_and_keeps_the_rest() -> None:
    x = hide_links(pairs(50), torch.arange(20))
    rest, dev = hold_out(x, 0.25, seed=1)
    assert len(linked_groups(dev)) == len(dev) == 5
    assert len(linked_groups(rest)) == 15
    assert len(rest["image"]) == 45
    assert len(rest["text"]) == 45
    with pytest.raises(ModalignError, match="1 linked groups"):
        hold_out(hide_links(pairs(5), torch.arange(1)))
