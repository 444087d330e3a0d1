"""Metrics of geometry over views: every one on every kind of views, values, chance, hub corrections."""

import math

import pytest
import torch

from modalign import registry
from modalign.errors import ModalignError
from modalign.geometry import similarity
from modalign.metrics.connectivity import Connectivity
from modalign.metrics.corrected import CorrectedRetrieval, csls_bias, softmax_bias
from modalign.metrics.evaluate import evaluate
from modalign.metrics.kernels import Cka, Cknna
from modalign.metrics.spread import Alignment, Dimension, Gap, Hubness
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def z():
    image = rows(60, 12)
    text = image.repeat_interleave(2, 0) + 0.7 * rows(120, 12, 1)
    ids = torch.arange(60)
    return Views({"text": text, "image": image}, {"text": ids.repeat_interleave(2), "image": ids})


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_metric_gives_finite_scores_with_intervals(name, z):
    scores = evaluate(z, metrics=[name])
    assert scores
    for key, s in scores.items():
        assert math.isfinite(s.value), key
        assert s.low is None or s.low <= s.high, key


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_metric_ignores_the_order_of_items_and_the_scale(name, z):
    g = torch.Generator().manual_seed(3)
    moved = z.select({"image": torch.randperm(60, generator=g)}).map(lambda m, x: 4 * x)
    before, after = registry.make("metric", name)(z), registry.make("metric", name)(moved)
    assert {k: s.value for k, s in after.items()} == pytest.approx({k: s.value for k, s in before.items()}, rel=1e-4)


@pytest.mark.parametrize("name", registry.names("metric"))
def test_no_metric_fails_on_collapsed_small_or_unrelated_views(name):
    metric = registry.make("metric", name)
    flat = torch.full((8, 4), 0.3)
    for case in (
        Views.from_arrays(a=flat, b=flat.clone()),
        Views.from_arrays(a=flat, b=rows(8, 4)),
        Views.from_arrays(a=torch.eye(12), b=torch.eye(12)),
        Views.from_arrays(a=rows(1, 4), b=rows(1, 4)),
        Views.from_arrays(a=rows(2, 4), b=rows(2, 4)),
        Views({"a": rows(3, 4), "b": rows(3, 4)}, {"a": torch.arange(3), "b": torch.arange(3, 6)}),
        Views({"a": rows(3, 4), "b": rows(0, 4)}, {"a": torch.arange(3), "b": torch.arange(0)}),
        Views.from_arrays(a=rows(6, 4)),
    ):
        for key, s in metric(case).items():
            assert math.isfinite(s.value), (key, case)


def test_cka_of_views(z):
    first = z["text"][::2]
    scores = Cka()(z)
    assert scores["cka/image~text"].value == pytest.approx(similarity.cka(z["image"], first))
    unbiased = scores["cka/image~text/unbiased"]
    assert unbiased.value == pytest.approx(similarity.cka(z["image"], first, unbiased=True))
    assert abs(unbiased.chance) < 0.1
    assert Cknna(k=5)(z)["cknna/image~text/@5"].value == pytest.approx(similarity.cknna(z["image"], first, 5))


def test_gap_and_alignment_of_views(z):
    assert Gap()(Views.from_arrays(a=rows(5, 3), b=rows(5, 3)))["gap/a~b"].value == 0.0
    scores = Alignment()(z)
    pairs = z.paired("text", "image")
    expected = 2 - 2 * torch.cosine_similarity(z["text"][pairs[:, 0]], z["image"][pairs[:, 1]])
    assert scores["alignment/image~text"].value == pytest.approx(float(expected.mean()), abs=1e-6)
    assert set(scores) == {"alignment/image~text", "uniformity/text", "uniformity/image"}


def test_collapse_shows_in_the_dimensions():
    flat = Views.from_arrays(a=torch.ones(20, 5) + 1e-3 * rows(20, 5))
    assert Dimension()(flat)["effective_rank/a"].value < 1.1
    assert Dimension()(flat)["mean_cosine/a"].value > 0.99


def test_hubs_show_and_corrections_lower_them():
    image = rows(150, 8)
    text = image + 0.8 * rows(150, 8, 1)
    image[0] = 10 * text.mean(0) + text[:20].mean(0)
    text = text + 2 * text.mean(0)
    z = Views.from_arrays(text=text, image=image)
    assert Hubness(k=5)(z)["hubness/text->image"].value > 0
    plain = registry.make("metric", "retrieval")(z)["recall/text->image/any@1"].value
    for way in ("csls", "inverted_softmax"):
        corrected = CorrectedRetrieval(way=way)(z)[f"{way}_recall/text->image/any@1"].value
        assert corrected > plain - 0.02, way
    with pytest.raises(ModalignError, match="did you mean 'csls'"):
        CorrectedRetrieval(way="clss")(z)


def test_corrections_equal_their_dense_formulas():
    x, y = (torch.nn.functional.normalize(v) for v in (rows(20, 5), rows(30, 5, 1)))
    s = (x @ y.T).double()
    expected = -s.T.topk(4, 1).values.mean(1) / 2
    torch.testing.assert_close(csls_bias(x, y, 4), expected, atol=1e-6, rtol=0)
    dense = torch.softmax(s / 0.1, 0)  # over queries
    order = dense.argsort(1, descending=True)
    assert torch.equal((s + softmax_bias(x, y, 0.1)).argsort(1, descending=True), order)


def test_connectivity_tells_mixed_from_separate_modalities():
    x = rows(80, 6)
    mixed = Connectivity(k=6)(Views.from_arrays(a=x, b=x + 0.01 * rows(80, 6, 1)))
    shift = torch.tensor([30.0, 0, 0, 0, 0, 0])
    apart = Connectivity(k=6)(Views.from_arrays(a=x + shift, b=x - shift))
    assert mixed["connectivity/*/components"].value == 1
    edges = mixed["connectivity/*/cross_edges"]
    assert edges.value == pytest.approx(edges.chance, abs=0.1)
    assert apart["connectivity/*/components"].value == 2
    assert apart["connectivity/*/largest"].value == 0.5
    assert apart["connectivity/*/cross_edges"].value == apart["connectivity/*/conductance"].value == 0.0
    assert apart["connectivity/*/algebraic"].value == 0.0
    assert apart["connectivity/*/connecting_k"].value > 40
    assert apart["connectivity/*/longest_merge"].value > 10
    with pytest.raises(ModalignError, match="one space"):
        Connectivity()(Views.from_arrays(a=rows(3, 2), b=rows(3, 4)))
