"""The data of a cell: budgets, losses, queries."""

from __future__ import annotations

import pytest
import torch

from modalign.bench.draws import dev_views, draw, losses, training
from modalign.bench.setting import Setting
from modalign.errors import ModalignError
from modalign.views import Views, linked_groups, queries_present

N = 100


def views(*names: str) -> Views:
    """Row i of every modality holds i; five items of "text" per group."""
    data, group = {}, {}
    for m in names:
        ids = torch.arange(N).repeat_interleave(5 if m == "text" else 1) + 1000
        data[m], group[m] = torch.stack([ids.float(), torch.ones(len(ids))], 1), ids
    return Views(data, group)


def test_budgets_are_nested_for_one_seed_and_differ_between_seeds() -> None:
    x = views("image", "text")
    small, large = (draw(Setting("hidden", pairs=p), x, 0).linked for p in (10, 30))
    assert len(small) == 10
    assert bool(torch.isin(small, large).all())
    assert not torch.equal(small.sort().values, draw(Setting("hidden", pairs=10), x, 1).linked.sort().values)
    few, many = (draw(Setting("disjoint", items=i, missing=0.3), x, 0).groups for i in (20, 50))
    assert bool(torch.isin(few, many).all())


def test_hidden_items_stay_but_neither_id_nor_place_gives_their_partner_away() -> None:
    x = views("image", "text")
    p = draw(Setting("hidden", pairs=20), x, 0)
    made = training(x, p, 0)
    assert (len(made["image"]), len(made["text"])) == (N, 5 * N)
    assert len(linked_groups(made)) == 20 == p.pairs
    for a, b in made.paired("image", "text").tolist():
        assert made["image"][a, 0] == made["text"][b, 0]
    captions = made["text"][:, 0].long()
    for g in torch.unique(made.group["text"]):
        assert len(torch.unique(captions[made.group["text"] == g])) == 1  # captions of one photo stay together
    free = ~torch.isin(made.group["image"], p.linked)
    truth = made["image"][free, 0]
    order = made.group["image"][free].argsort()
    alone = ~torch.isin(made.group["text"], p.linked)
    others = made["text"][alone, 0][made.group["text"][alone].argsort(stable=True)][::5]
    assert float((truth[order] == others).float().mean()) < 0.2


def test_disjoint_items_lose_one_side_which_is_nowhere() -> None:
    x = views("image", "text")
    made = training(x, draw(Setting("disjoint", missing=0.4), x, 0), 0)
    whole = torch.unique(made.group["text"])
    assert len(made) == N
    both = int(torch.isin(made.group["image"], whole).sum())
    assert 45 <= both <= 75
    assert len(made["text"]) == 5 * len(whole)


def test_of_two_modalities_each_is_lost_as_often() -> None:
    ids = torch.arange(2000)
    kept = losses(ids, dict.fromkeys("ab", ids), 0.4, 0)
    for m in "ab":
        assert abs(2000 - len(kept[m]) - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5


def test_losses_are_nested_over_rates() -> None:
    ids = torch.arange(500)
    for names in (("a", "b"), ("a", "b", "c")):
        kept = [losses(ids, dict.fromkeys(names, ids), r, 3) for r in (0.0, 0.2, 0.6)]
        assert all(len(kept[0][m]) == 500 for m in names)
        assert all(bool(torch.isin(kept[2][m], kept[1][m]).all()) for m in names if m != "a" or len(names) == 2)


def test_of_three_modalities_the_anchor_stays_where_all_would_be_lost() -> None:
    ids = torch.arange(2000)
    kept = losses(ids, dict.fromkeys("abc", ids), 0.7, 0, anchor="b")
    assert len(torch.unique(torch.cat(list(kept.values())))) == 2000
    assert abs(len(kept["a"]) - 600) < 70
    assert abs(len(kept["b"]) - (600 + 0.343 * 2000)) < 90


def test_items_that_have_not_all_to_begin_with_lose_never_all() -> None:
    ids = torch.arange(600)
    some = {"a": ids[:400], "b": ids[200:], "c": ids[::2]}
    for names in ("ab", "abc"):
        have = {m: some[m] for m in names}
        kept = losses(ids, have, 0.9, 0, anchor="b")
        assert torch.unique(torch.cat(list(kept.values()))).equal(torch.unique(torch.cat(list(have.values()))))
    assert torch.isin(ids[1:200:2], losses(ids, some, 1.0, 0, anchor="b")["a"]).all()  # which have a alone
    assert len(losses(ids, some, 1.0, 0, anchor="b")["b"]) == 400


def test_dev_is_cut_to_a_share_of_the_pairs() -> None:
    dev = views("image", "text")
    assert len(dev_views(dev, Setting(dev=0.2), 100, 0)) == 20
    assert len(dev_views(dev, Setting(dev=0.2), 5, 0)) == 4
    assert dev_views(dev, Setting(), 5, 0) is dev


def test_queries_keep_something_and_the_target_is_whole() -> None:
    x = views("image", "caption", "tags")
    made = queries_present(x, "image", 0.6, 0)
    assert len(made["image"]) == N
    present = torch.cat([made.group["caption"], made.group["tags"]])
    assert len(torch.unique(present)) == N
    assert len(made["tags"]) < 60
    assert queries_present(x, "image", 0.0, 0) is x


def test_asking_for_more_than_there_is() -> None:
    x = views("image", "text")
    with pytest.raises(ModalignError, match="101 items"):
        draw(Setting(items=101), x, 0)
    with pytest.raises(ModalignError, match="101 pairs"):
        draw(Setting("hidden", pairs=101), x, 0)
