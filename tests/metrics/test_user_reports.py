"""Faults that users of such software have reported, with the right values."""

import math

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import procrustes, similarity
from modalign.geometry.neighbours import Scorer, knn, knn_graph
from modalign.geometry.spread import gap
from modalign.geometry.transport import sinkhorn_divergence
from modalign.metrics import measures
from modalign.metrics.bleu import corpus_bleu
from modalign.metrics.chrf import corpus_chrf
from modalign.metrics.evaluate import evaluate
from modalign.metrics.ranking import rank, rank_scores
from modalign.metrics.recall import Retrieval
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ retrieval


def test_a_constant_scorer_does_not_win():
    r = rank_scores(torch.zeros(5, 5), torch.eye(5, dtype=torch.bool))
    assert [float(measures.any_hit(r, k).mean()) for k in (1, 3, 5)] == pytest.approx([0.2, 0.6, 1.0])
    assert float(measures.reciprocal_rank(r).mean()) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)
    moved = rank_scores(torch.zeros(5, 5), torch.eye(5, dtype=torch.bool)[:, [4, 2, 0, 1, 3]])
    assert torch.equal(measures.reciprocal_rank(moved), measures.reciprocal_rank(r))
    flat = torch.ones(5, 3)
    scores = evaluate(Views.from_arrays(a=flat, b=flat.clone()), ["retrieval"], intervals=False)
    assert scores["recall/a->b/any@1"].value == pytest.approx(0.2)


def test_more_than_the_gallery_holds():
    scores = Retrieval(ks=(1, 5, 10))(Views.from_arrays(a=rows(3, 4), b=rows(3, 4, 1)))
    assert scores["recall/a->b/any@5"].value == scores["recall/a->b/any@10"].value == 1.0


def test_a_query_without_a_positive_is_skipped_and_counted():
    z = Views(
        {"q": torch.eye(4)[[0, 1, 0, 3]], "g": torch.eye(4)[[0, 1, 3]]},
        {"q": torch.arange(4), "g": torch.tensor([0, 1, 2])},
    )
    s = evaluate(z, ["retrieval"], intervals=False)["recall/q->g/any@1"]
    assert s.value == pytest.approx(2 / 3)
    assert s.json()["skipped"] == 1


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 64])
def test_recall_is_of_samples_and_the_gallery_is_whole_for_every_batch(batch):
    y = torch.eye(5)
    x = y.clone()
    x[4] = y[0]
    r = rank(x, y, torch.arange(5)[:, None].expand(-1, 2), block=(batch, batch))
    assert float(measures.any_hit(r, 1).mean()) == pytest.approx(4 / 5)


def test_self_is_removed_by_index():
    x = rows(6, 4)
    x[1] = x[0]
    assert knn(x, k=1)[1][:2, 0].tolist() == [1, 0]


# ------------------------------------------------------------------ geometry


def test_degenerate_cka_is_refused():
    with pytest.raises(ModalignError, match="at least 4"):
        similarity.cka(rows(3, 2), rows(3, 2, 1), unbiased=True)
    with pytest.raises(ModalignError):
        similarity.cka(torch.ones(10, 3), rows(10, 3))


def test_procrustes_of_the_scipy_example_and_of_its_mirror_image():
    a = torch.tensor([[1.0, 3], [1, 2], [1, 1], [2, 1]])
    b = torch.tensor([[4.0, -2], [4, -4], [4, -6], [2, -6]])
    assert procrustes.disparity(a, b) == pytest.approx(0.0, abs=1e-12)
    mirror = a * torch.tensor([-1.0, 1.0])
    assert procrustes.disparity(a, mirror) == pytest.approx(0.0, abs=1e-12)
    assert procrustes.disparity(a, mirror, reflection=False) == pytest.approx(0.489796, abs=1e-6)


def test_squared_distances_never_go_below_zero():
    x = 1 + 0.01 * rows(200, 512)
    near = knn(x, k=5, metric="euclidean")[0]
    assert torch.isfinite(near).all()
    assert float(near.min()) >= 0
    scores = Scorer(x, x, "euclidean").pairs(torch.arange(200), torch.arange(200))
    assert torch.equal(scores, torch.zeros(200).double())
    assert torch.isfinite(torch.as_tensor(knn_graph(x, 5).data)).all()
    assert math.isfinite(float(sinkhorn_divergence(x, x)))


def test_modality_gap():
    x, y = torch.tensor([[1.0, 0.0]]).repeat(3, 1), torch.tensor([[0.0, 1.0]]).repeat(7, 1)
    assert gap(x, y) == pytest.approx(1.414214, abs=1e-6)
    assert gap(10 * x, y) == pytest.approx(gap(x, y))
    assert gap(x, x) == 0.0


# ------------------------------------------------------------------ words


def test_brevity_is_penalised():
    reference = "one two three four five six seven"
    short = corpus_bleu(["one two three four five"], [[reference]], samples=0).value
    assert short == pytest.approx(67.0320, abs=1e-3)


def test_short_and_perfect():
    for tokens in ("coco", "13a"):
        assert corpus_bleu(["yes"], [["yes"]], tokens, samples=0).value == 0.0


def test_coco_words():
    pair = (["A man riding a horse."], [["a man riding a horse"]])
    assert corpus_bleu(*pair, "coco", samples=0).value == pytest.approx(100.0)
    assert corpus_bleu(*pair, "13a", samples=0).value == pytest.approx(50.8, abs=0.05)


def test_layout_of_references():
    with pytest.raises(ModalignError, match="list"):
        corpus_bleu(["a b c d"], ["a b c d"], samples=0)
    with pytest.raises(ModalignError, match="1 hypotheses but 3 lists"):
        corpus_chrf(["A B C"], [["A B C"], ["B C D"], ["C D E"]], samples=0)
