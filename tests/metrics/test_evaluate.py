"""Evaluation: defaults, intervals, chance, JSON, user mistakes."""

import json

import pytest
import torch

from modalign import registry
from modalign.errors import ModalignError
from modalign.methods import CCA
from modalign.metrics.evaluate import DEFAULT, evaluate
from modalign.metrics.ranking import find
from modalign.metrics.score import Score
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def z():
    image = rows(80, 12)
    text = image.repeat_interleave(2, 0) + rows(160, 12, 1)
    ids = torch.arange(80)
    return Views({"text": text, "image": image}, {"text": ids.repeat_interleave(2), "image": ids})


def test_every_default_score_has_an_interval_around_it(z):
    scores = evaluate(z)
    assert {name.split("/")[0] for name in scores} >= {"recall", "rank", "mrr", "ndcg", "procrustes", "mutual_knn"}
    for name, s in scores.items():
        assert s.low <= s.value <= s.high, name
    narrow = [n for n, s in scores.items() if s.low == s.high]
    assert all(n.startswith(("recall", "rank", "map")) for n in narrow)


def test_chance_stands_beside_the_scores(z):
    scores = evaluate(z, intervals=False)
    for name in ("recall/text->image/any@1", "mrr/image->text", "procrustes/image~text", "mutual_knn/image~text/@10"):
        assert scores[name].chance is not None
    assert scores["recall/text->image/any@5"].chance == pytest.approx(5 / 80)


def test_without_intervals_there_are_none_and_values_are_equal(z):
    plain, full = evaluate(z, intervals=False), evaluate(z)
    assert all(s.low is None and s.high is None for s in plain.values())
    assert {k: s.value for k, s in plain.items()} == {k: s.value for k, s in full.items()}


def plain(scores):
    return {name: score.json() for name, score in scores.items()}


def test_same_seed_same_numbers(z):
    assert plain(evaluate(z, seed=3)) == plain(evaluate(z, seed=3))
    assert plain(evaluate(z, seed=3)) != plain(evaluate(z, seed=4))


def test_scores_survive_json(z):
    document = plain(evaluate(z))
    assert json.loads(json.dumps(document)) == document


def test_a_collapsed_space_scores_at_chance_and_says_so_nowhere_better():
    x = torch.full((30, 6), 0.5)
    scores = evaluate(Views.from_arrays(text=x, image=x.clone()))
    for name, s in scores.items():
        if name.startswith(("recall", "mrr", "map", "ndcg", "rank", "foscttm")):
            assert s.value == pytest.approx(s.chance), name


def test_a_collapsed_modality_has_the_worst_procrustes_distance_and_no_error():
    x = torch.full((30, 6), 0.3)
    for y in (x.clone(), rows(30, 6)):
        s = evaluate(Views.from_arrays(text=x, image=y))["procrustes/image~text"]
        assert (s.value, s.low, s.high, s.chance) == (1.0, 1.0, 1.0, 1.0)


def test_own_metrics_can_be_given_as_callables(z):
    found = evaluate(z, metrics=[lambda v: {"items": Score(float(len(v["text"])))}])
    assert found["items"].value == 160
    assert found["items"].low == found["items"].high == 160


def test_default_metrics_are_registered():
    assert set(DEFAULT) <= set(registry.names("metric"))
    assert all(registry.describe("metric").values())


def test_mistakes_are_refused(z):
    with pytest.raises(ModalignError, match="did you mean 'retrieval'"):
        evaluate(z, metrics=["retrival"])
    with pytest.raises(ModalignError, match="name each metric once"):
        evaluate(z, metrics=["retrieval", "retrieval"])
    apart = Views({"a": rows(3, 2), "b": rows(3, 2)}, {"a": torch.arange(3), "b": torch.arange(3, 6)})
    with pytest.raises(ModalignError, match="share no groups"):
        evaluate(apart)
    wide = Views.from_arrays(a=rows(9, 2), b=rows(9, 3))
    for undefined, metric in ((wide, "gap"), (Views.from_arrays(a=torch.ones(9, 2), b=torch.ones(9, 2)), "cka")):
        with pytest.raises(ModalignError, match=r"no score is defined for a \(9 rows of width 2\), b \(9 rows of"):
            evaluate(undefined, [metric])
    assert list(evaluate(wide, ["alignment"])) == ["uniformity/a", "uniformity/b"]  # distances need one width
    with pytest.raises(ModalignError, match=r"NaN.*rows \(1\)|NaN"):
        evaluate(Views.from_arrays(a=torch.tensor([[1.0], [torch.nan]]), b=rows(2, 1)))


def test_embeddings_that_belong_to_a_graph_are_scored_as_they_are() -> None:
    """Heads are modules of torch, so what they return may ask for gradients."""
    rows = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    plain = evaluate(Views.from_arrays(a=rows, b=rows.roll(1, 1)), ["retrieval", "procrustes"])
    grown = evaluate(Views.from_arrays(a=rows.requires_grad_(), b=rows.roll(1, 1)), ["retrieval", "procrustes"])
    assert {k: s.value for k, s in plain.items()} == {k: s.value for k, s in grown.items()}


def test_features_that_nothing_has_mapped_are_told_so():
    draw = torch.Generator().manual_seed(0)
    x = Views.from_arrays(text=torch.randn(40, 9, generator=draw), image=torch.randn(40, 7, generator=draw))
    with pytest.raises(ModalignError, match=r"'text' has rows of 9 numbers and 'image' of 7: .* map them into one"):
        evaluate(x)
    with pytest.raises(ModalignError, match="'image' has rows of 7 numbers and 'text' of 9"):
        find(x, "image", "text")
    assert evaluate(CCA(dim=5).fit(x)(x))["recall/text->image/any@1"].value > 0.02  # what the message says to write
