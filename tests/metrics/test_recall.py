"""Retrieval scores: constant and cheating aligners, many positives, missing positives, chance, mean recall."""

import subprocess
import sys

import pytest
import torch

from modalign.errors import ModalignError
from modalign.metrics.intervals import bootstrap
from modalign.metrics.key import Key
from modalign.metrics.mean_recall import mean_recall
from modalign.metrics.recall import Retrieval
from modalign.metrics.score import Score
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def paired(n, d=16, noise=1.0, seed=0):
    x = rows(n, d, seed)
    return Views.from_arrays(text=x, image=x + noise * rows(n, d, seed + 1))


def captions(groups=40, each=5, d=16, noise=1.0):
    image = rows(groups, d)
    text = image.repeat_interleave(each, 0) + noise * rows(groups * each, d, 1)
    ids = torch.arange(groups)
    return Views({"text": text, "image": image}, {"text": ids.repeat_interleave(each), "image": ids})


# ------------------------------------------------------------------ scorers that know nothing


def test_a_constant_aligner_scores_exactly_chance():
    z = Views.from_arrays(text=torch.ones(5, 3), image=torch.ones(5, 3))
    scores = Retrieval(ks=(1, 3, 5))(z)
    for direction in (("text", "image"), ("image", "text")):
        assert scores[str(Key("recall", *direction, "any", 1))].value == pytest.approx(0.2)
        assert scores[str(Key("recall", *direction, "any", 3))].value == pytest.approx(0.6)
        assert scores[str(Key("recall", *direction, "any", 5))].value == 1.0
        assert scores[str(Key("mrr", *direction))].value == pytest.approx(0.456667, abs=1e-6)
        assert scores[str(Key("rank", *direction, "median"))].value == 3.0
        assert scores[str(Key("foscttm", *direction))].value == 0.5
    for name, s in scores.items():
        if s.chance is not None:
            assert s.value == pytest.approx(s.chance), name


@pytest.mark.parametrize("value", [0.0, 0.3, 1e-8, 1e8])
def test_constant_rows_of_any_size_are_constant(value):
    n = 37
    x = torch.full((n, 12), value)
    scores = Retrieval()(Views.from_arrays(text=x, image=x.clone()))
    assert scores["recall/text->image/any@1"].value == pytest.approx(1 / n)


def test_an_aligner_that_copies_the_order_of_rows_ends_at_chance_on_shuffled_sides():
    n = 300
    order_of_rows = torch.nn.functional.one_hot(torch.arange(n), n).float()
    g = torch.Generator().manual_seed(0)
    z = Views(
        {"text": order_of_rows, "image": order_of_rows},
        {"text": torch.randperm(n, generator=g), "image": torch.randperm(n, generator=g)},
    )
    scores = Retrieval()(z)
    assert scores["recall/text->image/any@10"].value < 0.1
    assert abs(scores["rank/text->image/mean"].value - (n + 1) / 2) < 15


def test_order_of_items_changes_nothing():
    z = captions()
    g = torch.Generator().manual_seed(3)
    moved = z.select({m: torch.randperm(len(x), generator=g) for m, x in z.data.items()})
    before, after = Retrieval()(z), Retrieval()(moved)
    assert {k: s.value for k, s in after.items()} == pytest.approx({k: s.value for k, s in before.items()})


# ------------------------------------------------------------------ positives


def test_any_hit_and_fractional_recall_of_several_positives():
    # photo 0 has captions at ranks 1 and 3, photo 1 at ranks 2 and 4
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])
    z = Views(
        {"image": torch.eye(2), "text": text}, {"image": torch.tensor([0, 1]), "text": torch.tensor([0, 0, 1, 1])}
    )
    scores = Retrieval(ks=(1, 2, 3))(z)

    def value(detail, measure="recall"):
        return scores["/".join(part for part in (measure, "image->text", detail) if part)].value

    # photo 0: order 0, 2, 1, 3 -> positives at 1, 3; photo 1: order 3, 1, 2, 0 -> positives at 1, 3
    assert value("any@1") == 1.0
    assert value("fraction@1") == 0.5
    assert value("fraction@2") == 0.5
    assert value("fraction@3") == 1.0
    assert value("pairs@1") == 0.5
    assert value("", "map") == pytest.approx((1 + 2 / 3) / 2)
    assert value("", "r_precision") == 0.5
    assert value("median", "rank") == 1.0


def test_micro_and_macro_recall_weigh_queries_differently():
    z = Views(
        {"q": torch.eye(2), "g": torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [1.0, 0.0]])},
        {"q": torch.tensor([0, 1]), "g": torch.tensor([0, 0, 0, 1])},
    )
    scores = Retrieval(ks=(4,), pairs=(("q", "g"),))(z)
    assert scores["recall/q->g/fraction@4"].value == 1.0
    scores = Retrieval(ks=(2,), pairs=(("q", "g"),))(z)
    # q0: item 0 (tied with 3) and half of the way to item 1: expected 1 of 3; q1: its item is last with item 0
    assert scores["recall/q->g/pairs@2"].value == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert scores["recall/q->g/fraction@2"].value == pytest.approx((1 / 3 + 0) / 2)


def test_queries_without_a_positive_are_left_out_and_counted():
    z = Views(
        {"q": torch.eye(4), "g": torch.eye(4)[[0, 1, 3]]},
        {"q": torch.tensor([0, 1, 2, 3]), "g": torch.tensor([0, 1, 2])},
    )
    s = Retrieval(ks=(1,), pairs=(("q", "g"),))(z)["recall/q->g/any@1"]
    # the third query's item looks like the fourth query; the fourth query has no item
    assert s.skipped == 1
    assert s.json()["skipped"] == 1
    assert s.value == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert len(s.per_item) == 3


def test_links_replace_groups():
    z = Views(
        {"a": torch.eye(3), "b": torch.eye(3)},
        {"a": torch.arange(3), "b": torch.arange(3)},
        links={("a", "b"): torch.tensor([[0, 1, 2], [1, 2, 0]])},
    )
    scores = Retrieval(ks=(1,))(z)
    assert scores["recall/a->b/any@1"].value == 0.0
    assert scores["recall/b->a/any@1"].value == 0.0


def test_more_than_the_gallery_retrieves_all_of_it():
    scores = Retrieval(ks=(1, 5, 10))(paired(3, noise=3.0))
    assert scores["recall/text->image/any@5"].value == 1.0
    assert scores["recall/text->image/any@10"].value == 1.0


def test_the_gallery_is_global_and_every_query_weighs_the_same(monkeypatch):
    from modalign.metrics import ranking

    whole = ranking.rank
    z = captions(groups=20, noise=2.0)
    expected = {k: s.value for k, s in Retrieval()(z).items()}
    for block in (1, 2, 3, 5, 64):
        monkeypatch.setattr(
            ranking, "rank", lambda *args, block=block, **more: whole(*args, **more, block=(block, block))
        )
        assert {k: s.value for k, s in Retrieval()(z).items()} == expected


def test_per_item_values_average_to_the_score_and_carry_their_groups():
    z = captions()
    for name, s in Retrieval()(z).items():
        typical = s.per_item.median() if s.statistic == "median" else s.per_item.mean()
        assert s.value == pytest.approx(float(typical)), name
        assert len(s.group) == len(s.per_item)
    text = Retrieval()(z)["recall/text->image/any@1"]
    assert torch.equal(text.group, z.group["text"].cpu())


def test_three_modalities_give_every_direction():
    x = rows(6, 4)
    scores = Retrieval(ks=(1,))(Views.from_arrays(a=x, b=x, c=x))
    directions = {name.split("/")[1] for name in scores}
    assert directions == {"a->b", "b->a", "a->c", "c->a", "b->c", "c->b"}


def test_modalities_without_common_groups_give_nothing():
    z = Views({"a": rows(2, 3), "b": rows(2, 3)}, {"a": torch.tensor([0, 1]), "b": torch.tensor([2, 3])})
    assert Retrieval()(z) == {}


def test_depths_below_one_are_refused():
    with pytest.raises(ModalignError, match="at least 1"):
        Retrieval(ks=(0,))(paired(3))


# ------------------------------------------------------------------ mean recall


def test_mean_recall_is_the_mean_of_six():
    scores = Retrieval()(captions(noise=3.0))
    names = [str(Key("recall", *d, "any", k)) for d in (("text", "image"), ("image", "text")) for k in (1, 5, 10)]
    m = mean_recall(scores)
    assert m.value == pytest.approx(sum(scores[n].value for n in names) / 6)
    assert m.low < m.value < m.high
    assert m.chance == pytest.approx(sum(scores[n].chance for n in names) / 6)


def test_joint_resampling_equals_drawing_groups_by_hand():
    z = captions(groups=12, each=3, noise=3.0)
    scores = Retrieval(ks=(1,))(z)
    m = mean_recall(scores, ks=(1,), samples=4000)
    by_group = {}
    for q, g in (("text", "image"), ("image", "text")):
        s = scores[str(Key("recall", q, g, "any", 1))]
        for item, group in zip(s.per_item.tolist(), s.group.tolist(), strict=True):
            by_group.setdefault(group, {}).setdefault(q, []).append(item)
    draw = torch.Generator().manual_seed(9)
    values = []
    for _ in range(4000):
        chosen = torch.randint(12, (12,), generator=draw).tolist()
        means = []
        for q in ("text", "image"):
            items = [v for c in chosen for v in by_group[c][q]]
            means.append(sum(items) / len(items))
        values.append(sum(means) / 2)
    low, high = torch.tensor(values).quantile(torch.tensor([0.025, 0.975])).tolist()
    assert m.low == pytest.approx(low, abs=0.02)
    assert m.high == pytest.approx(high, abs=0.02)


def test_the_interval_covers_both_directions_at_once():
    scores = Retrieval()(captions(groups=100, noise=3.0))
    single = bootstrap(scores["recall/text->image/any@5"])
    m = mean_recall(scores)
    assert 0 < m.high - m.low < 2 * (single.high - single.low)


def test_runs_are_averaged_and_widen_the_interval_by_their_spread():
    good, bad = Retrieval()(captions(noise=1.0)), Retrieval()(captions(noise=4.0))
    one, two, both = mean_recall(good), mean_recall(bad), mean_recall([good, bad])
    assert both.value == pytest.approx((one.value + two.value) / 2)
    assert both.high - both.low > max(one.high - one.low, two.high - two.low)
    same = mean_recall([good, good])
    assert (same.low, same.high) == pytest.approx((one.low, one.high), abs=0.003)  # Student's and the bootstrap's


def test_mean_recall_says_what_is_missing():
    with pytest.raises(ModalignError, match=r"recall/sound->image/any@1.*were 'sound' and 'image' evaluated"):
        mean_recall(Retrieval()(captions()), a="sound")
    with pytest.raises(ModalignError, match="no run"):
        mean_recall([])
    bare = {str(Key("recall", *d, "any", k)): Score(0.5) for d in (("a", "b"), ("b", "a")) for k in (1, 5, 10)}
    with pytest.raises(ModalignError, match="per-item"):
        mean_recall(bare, "a", "b")


# ------------------------------------------------------------------ memory

BIG = """
import resource, torch
from modalign.metrics.ranking import rank
x = torch.randn({n}, 64)
pairs = torch.arange({n})[:, None].expand(-1, 2)
rank(x[:8], x, pairs[:8])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
r = rank(x, x + 0.5 * torch.randn_like(x), pairs)
assert r.above.float().median() < {n} / 10
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak - before, peak)
"""


def test_memory_does_not_grow_with_the_square():
    n = 12_000  # the full matrix of scores would take 576 MB
    out = subprocess.run([sys.executable, "-c", BIG.format(n=n)], capture_output=True, text=True, check=True)
    assert int(out.stdout.split()[0]) * 1024 < 150e6


@pytest.mark.slow
def test_a_hundred_thousand_by_a_hundred_thousand_fits():
    out = subprocess.run([sys.executable, "-c", BIG.format(n=100_000)], capture_output=True, text=True, check=True)
    added, peak = (1024 * int(kib) for kib in out.stdout.split())
    assert added < 1e9
    assert peak < 1.5e9
