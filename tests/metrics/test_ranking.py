"""The ranking: equal to a dense one, blind to ties, blocks and order; the measures: equal to enumeration."""

from itertools import pairwise, permutations

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry.neighbours import brief
from modalign.metrics import counting, measures
from modalign.metrics.ranking import find_all, rank, rank_both, rank_scores
from modalign.views import Views


@pytest.fixture(params=["float32", "bfloat16", "bfloat16 where it pays"])
def products(request, monkeypatch):
    """Products of single precision, as everywhere, or of half of it, as where the processor has units for them."""
    if request.param != "float32":
        monkeypatch.setattr(brief, "suits", lambda *_: True)
    if request.param == "bfloat16":
        monkeypatch.setattr(counting, "CLOSE", torch.inf)


def rows(n, d, seed=0, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_pairs(n, m, count, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.unique(
        torch.stack([torch.randint(n, (count,), generator=g), torch.randint(m, (count,), generator=g)], 1), dim=0
    )


def dense_counts(x, y, pairs, metric="cosine", bias=None):
    """(above, tied) of each pair by the definition, from differences in float64 with equal rows made equal."""
    x, y = x.double(), y.double()
    if metric == "cosine":
        x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
    out = []
    for q, i in pairs.tolist():
        s = (x[q] * y).sum(1)
        s = s if bias is None else s + bias
        out.append((int((s > s[i] + 1e-12).sum()), int(((s - s[i]).abs() <= 1e-12).sum())))
    return out


def in_order(r):
    return {
        (q, i): (a, t)
        for q, i, a, t in zip(r.query.tolist(), r.item.tolist(), r.above.tolist(), r.tied.tolist(), strict=True)
    }


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("block", [(1, 1), (2, 3), (3, 64), (64, 5), (500, 4096)])
def test_counts_equal_the_definition_whatever_the_blocks(metric, block):
    x, y = rows(60, 5), rows(47, 5, seed=1)
    y[40:45] = y[3:8]  # duplicates in other blocks
    pairs = random_pairs(60, 47, 150)
    r = rank(x, y, pairs, metric=metric, block=block)
    expected = dense_counts(x, y, pairs, metric)
    assert in_order(r) == dict(zip(map(tuple, pairs.tolist()), expected, strict=True))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("block", [(1, 1), (2, 3), (3, 64), (64, 5), (500, 4096)])
@pytest.mark.parametrize(
    "count", [3, 150, 700]
)  # few queries are asked; all are; more than can be counted by comparison
def test_both_ways_are_counted_as_each_by_the_definition(metric, block, count):
    x, y = rows(60, 5), rows(47, 5, seed=1)
    y[40:45] = y[3:8]
    y[20] = x[7]
    y[21] = x[7] * (1 + 2.0**-23)  # within rounding of the one before
    pairs = random_pairs(60, 47, count)
    forth, back = rank_both(x, y, pairs, metric=metric, groups=(torch.arange(60), None), block=block)
    turned = pairs.flip(1)
    assert in_order(forth) == dict(zip(map(tuple, pairs.tolist()), dense_counts(x, y, pairs, metric), strict=True))
    assert in_order(back) == dict(zip(map(tuple, turned.tolist()), dense_counts(y, x, turned, metric), strict=True))
    for both, alone in ((forth, rank(x, y, pairs, metric=metric)), (back, rank(y, x, turned, metric=metric))):
        assert torch.equal(both.score, alone.score)
        assert (both.queries, both.gallery) == (alone.queries, alone.gallery)
    assert forth.group is not None
    assert back.group is None


@pytest.mark.usefixtures("products")
def test_scores_of_a_row_are_counted_beyond_what_a_byte_holds():
    x, y = rows(3, 4), rows(5000, 4, seed=1)
    y[:40] = -x[0]  # the worst of all: 4,960 above, in more than one product
    pairs = torch.tensor([[0, 7], [1, 0], [2, 4999]])
    forth, back = rank_both(x, y, pairs)
    assert in_order(forth) == dict(zip(map(tuple, pairs.tolist()), dense_counts(x, y, pairs), strict=True))
    assert in_order(forth)[0, 7] == (4960, 40)
    turned = pairs.flip(1)
    assert in_order(back) == dict(zip(map(tuple, turned.tolist()), dense_counts(y, x, turned), strict=True))


def test_many_positives_per_query_take_the_sorting_path_and_agree():
    x, y = rows(10, 4), rows(50, 4, seed=1)
    y[30:40] = y[:10]
    pairs = torch.cartesian_prod(torch.arange(10), torch.arange(0, 50, 2))
    r = rank(x, y, pairs)
    assert in_order(r) == dict(zip(map(tuple, pairs.tolist()), dense_counts(x, y, pairs), strict=True))


@pytest.mark.usefixtures("products")
def test_duplicates_in_different_blocks_tie_exactly():
    base = rows(1, 512, seed=3)
    y = rows(4097 + 64, 512, seed=4)
    places = torch.tensor([0, 17, 1000, 4095, 4096, 4160])
    y[places] = base
    x = base + 0.5 * rows(5, 512, seed=5)
    r = rank(x, y, torch.tensor([[q, 4096] for q in range(5)]))
    assert (r.above == 0).all()
    assert (r.tied == len(places)).all()


@pytest.mark.usefixtures("products")
def test_nearly_equal_items_are_told_apart_in_float64():
    y = torch.zeros(400, 2, dtype=torch.float64)
    angle = torch.arange(400, dtype=torch.float64) * 1e-7  # far below the resolution of float32
    y[:, 0], y[:, 1] = angle.cos(), angle.sin()
    x = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    r = rank(x, y, torch.tensor([[0, 390]]))
    assert (r.above.item(), r.tied.item()) == (9, 1)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("n", [5, 3000])
def test_collapsed_embeddings_rank_at_chance(n):
    x = torch.full((n, 24), 0.3)
    pairs = torch.arange(n)[:, None].expand(-1, 2)
    for r in (rank(x, x.clone(), pairs), *rank_both(x, x.clone(), pairs)):
        assert (r.above == 0).all()
        assert (r.tied == n).all()
        torch.testing.assert_close(measures.any_hit(r, 1), torch.full((n,), 1 / n, dtype=torch.float64))


@pytest.mark.usefixtures("products")
def test_a_bias_moves_gallery_items():
    x, y = rows(20, 4), rows(30, 4, seed=1)
    bias = rows(30, 1, seed=2)[:, 0].double()
    pairs = random_pairs(20, 30, 40)
    assert in_order(rank(x, y, pairs, metric="dot", bias=bias)) == dict(
        zip(map(tuple, pairs.tolist()), dense_counts(x, y, pairs, "dot", bias), strict=True)
    )


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("scale", [1.0, 1e25])
def test_rows_of_very_different_lengths_are_counted_as_by_the_definition(scale):
    x, y = rows(40, 6) * torch.exp(4 * rows(40, 1, seed=1)), rows(600, 6, seed=2) * torch.exp(rows(600, 1, seed=3))
    bias = rows(600, 1, seed=4)[:, 0].double() * scale
    x, pairs = x * scale, random_pairs(40, 600, 200)
    found = in_order(rank(x, y * 1e15 if scale > 1 else y, pairs, metric="dot", bias=bias))  # 1e40: beyond float32
    expected = dense_counts(x, y.double() * 1e15 if scale > 1 else y, pairs, "dot", bias)
    assert found == dict(zip(map(tuple, pairs.tolist()), expected, strict=True))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e5])
@pytest.mark.parametrize("each", [2, 30])
def test_inner_products_tie_by_the_rounding_of_their_lengths(scale, each):
    """Of long rows positives did not tie with themselves, so that measures were NaN; of short ones all items tied."""
    x, y = rows(200, 64) * scale, (rows(15, 64, seed=1) * scale).repeat(4, 1)
    pairs = torch.cartesian_prod(torch.arange(200), torch.arange(0, 2 * each, 2))
    products = x.double() @ y[:15].double().T
    found = rank(x, y, pairs, metric="dot")
    own = products[found.query, found.item % 15]
    assert torch.equal(found.above, 4 * (products[found.query] > own[:, None]).sum(1))
    assert (found.tied == 4).all()
    assert torch.isfinite(measures.average_precision(found)).all()


@pytest.mark.usefixtures("products")
def test_self_is_left_out_by_index():
    x = rows(6, 3)
    x[1] = x[0]
    r = rank(x, x, torch.tensor([[0, 0], [0, 1], [1, 0], [2, 3]]), exclude_self=True)
    found = in_order(r)
    assert (0, 0) not in found
    assert found[0, 1] == found[1, 0] == (0, 1)
    assert r.gallery == 5


def test_scores_and_vectors_give_one_ranking():
    x, y = rows(12, 6, dtype=torch.float64), rows(9, 6, seed=1, dtype=torch.float64)
    pairs = random_pairs(12, 9, 30)
    assert in_order(rank(x, y, pairs, metric="dot")) == in_order(rank_scores(x @ y.T, pairs))


@pytest.mark.usefixtures("products")
def test_each_direction_is_asked_by_its_own_links():
    """Lists such as ECCV Caption's have queries of their own each way: one way had the positives of the other."""
    x, y = rows(6, 4), rows(8, 4, 1)
    there, back = torch.zeros(6, 8, dtype=torch.bool), torch.zeros(8, 6, dtype=torch.bool)
    there[[0, 0, 1], [0, 5, 2]] = True
    back[[3, 4, 5, 5], [1, 1, 2, 0]] = True
    groups = {"a": torch.arange(6), "b": torch.arange(8)}
    z = Views({"a": x, "b": y}, groups, {("a", "b"): there.nonzero().T, ("b", "a"): back.nonzero().T})
    cosine = torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(y, dim=1).T
    found = find_all(z)
    for way, scores, positives in ((("a", "b"), cosine, there), (("b", "a"), cosine.T, back)):
        right = rank_scores(scores, positives)
        for column in ("query", "item", "above", "tied", "above_positive", "tied_positive"):
            assert torch.equal(getattr(found[way], column), getattr(right, column)), (way, column)
    only = Views(z.data, groups, {("a", "b"): there.nonzero().T, ("b", "a"): torch.empty(2, 0, dtype=torch.long)})
    assert list(find_all(only)) == [("a", "b")]


def test_mistakes_are_refused():
    with pytest.raises(ModalignError, match="pairs name rows outside the 3 and 2"):
        rank(rows(3, 2), rows(2, 2), torch.tensor([[0, 2]]))
    with pytest.raises(ModalignError, match="without NaN"):
        rank_scores(torch.tensor([[float("nan")]]), torch.tensor([[0, 0]]))
    with pytest.raises(ModalignError, match="NaN or infinite"):
        rank(torch.tensor([[float("nan")]]), torch.ones(1, 1), torch.tensor([[0, 0]]))
    with pytest.raises(ModalignError, match="did you mean 'cosine'"):
        rank(rows(3, 2), rows(2, 2), torch.tensor([[0, 1]]), metric="cosin")
    with pytest.raises(ModalignError, match="shape"):
        rank_scores(torch.zeros(2, 2), torch.zeros(2, 3, dtype=torch.bool))


# ------------------------------------------------------------------ measures, by enumerating every order of the ties


def enumerated(scores, positives, measure):
    """Mean of a measure of the 0/1 relevance list over all orders that the scores allow."""
    values = [
        measure([positives[j] for j in order])
        for order in permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    return sum(values) / len(values)


def average_precision(relevance, k):
    seen, total = 0, 0.0
    for position, hit in enumerate(relevance[:k], 1):
        seen += hit
        total += hit * seen / position
    return total / min(sum(relevance), k)


def gains(relevance, k):
    def discounted(flags):
        return sum(
            f / torch.log2(torch.tensor(p + 1.0, dtype=torch.float64)).item() for p, f in enumerate(flags[:k], 1)
        )

    return discounted(relevance) / discounted(sorted(relevance, reverse=True))


CASES = [
    ([3, 2, 2, 2, 1, 1], [0, 1, 0, 1, 0, 1]),
    ([1, 1, 1, 1, 1, 1], [1, 0, 0, 1, 0, 0]),
    ([5, 4, 3, 2, 1, 0], [0, 0, 1, 0, 1, 0]),
    ([2, 2, 2, 1, 1, 1], [1, 1, 1, 0, 0, 0]),
    ([1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
    ([2, 2, 1, 1, 1, 0], [0, 0, 0, 1, 0, 0]),
]


@pytest.mark.parametrize(("scores", "positives"), CASES)
def test_measures_equal_the_mean_over_all_orders_of_ties(scores, positives):
    r = rank_scores(torch.tensor([scores], dtype=torch.float32), torch.tensor([positives], dtype=torch.bool))
    total = sum(positives)

    def same(found, measure):
        assert found.item() == pytest.approx(enumerated(scores, positives, measure), abs=1e-12)

    for k in (1, 2, 3, 5, 6, 9):
        same(measures.any_hit(r, k), lambda rel, k=k: float(any(rel[:k])))
        same(measures.fraction(r, k), lambda rel, k=k: sum(rel[:k]) / total)
        same(measures.average_precision(r, k), lambda rel, k=k: average_precision(rel, min(k, 6)))
        same(measures.ndcg(r, k), lambda rel, k=k: gains(rel, k))
    same(measures.reciprocal_rank(r), lambda rel: 1 / (rel.index(1) + 1))
    same(measures.first_rank(r), lambda rel: rel.index(1) + 1)
    same(measures.average_precision(r), lambda rel: average_precision(rel, 6))
    same(measures.ndcg(r), lambda rel: gains(rel, 6))
    same(measures.r_precision(r), lambda rel: sum(rel[:total]) / total)
    same(measures.average_precision(r, "R"), lambda rel: average_precision(rel, total))
    if total < len(scores):
        same(
            measures.closer_than_match(r),
            lambda rel: sum(sum(1 - h for h in rel[:p]) for p, hit in enumerate(rel) if hit) / total / (6 - total),
        )


def test_chance_is_the_ranking_of_a_constant_scorer():
    scores = rows(7, 9)
    positives = rows(7, 9, seed=1) > 0.3
    chance = rank_scores(scores, positives).chance()
    constant = rank_scores(torch.zeros(7, 9), positives)
    for measure in (measures.reciprocal_rank, measures.ndcg, measures.average_precision, measures.r_precision):
        torch.testing.assert_close(measure(chance), measure(constant))
    torch.testing.assert_close(measures.any_hit(chance, 2), measures.any_hit(constant, 2))


def test_average_precision_equals_scikit_learn():
    from sklearn.metrics import average_precision_score

    scores, positives = rows(20, 40), rows(20, 40, seed=1) > 0.8
    r = rank_scores(scores, positives)
    expected = [average_precision_score(positives[q], scores[q]) for q in r.asked.tolist()]
    torch.testing.assert_close(measures.average_precision(r), torch.tensor(expected, dtype=torch.float64))


def test_ndcg_equals_scikit_learn_with_ties():
    from sklearn.metrics import ndcg_score

    scores, positives = rows(20, 15).mul(2).round(), rows(20, 15, seed=1) > 0.2
    r = rank_scores(scores, positives)
    for k in (None, 4):
        expected = [ndcg_score(positives[q : q + 1].int(), scores[q : q + 1], k=k) for q in r.asked.tolist()]
        torch.testing.assert_close(measures.ndcg(r, k), torch.tensor(expected, dtype=torch.float64))
