"""Trustworthiness, geodesic stress, Gromov-Wasserstein and calibrated similarities of views; hub corrections."""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import similarity
from modalign.geometry.transport.gromov import distortion
from modalign.metrics.calibrated import Calibrated
from modalign.metrics.corrected import CorrectedRetrieval, activated, softmax_bias
from modalign.metrics.preservation import Geodesic, Gromov, Trustworthiness
from modalign.metrics.recall import Retrieval
from modalign.metrics.spread import Alignment
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def turned(x, seed=7):
    return x @ torch.linalg.qr(rows(x.shape[1], x.shape[1], seed)).Q


# ------------------------------------------------------------------ preservation


def test_trustworthiness_of_views_is_that_of_the_rows_and_continuity_its_reverse():
    x, y = rows(80, 6), rows(80, 3, 1)
    scores = Trustworthiness(k=5)(Views.from_arrays(a=x, b=y))
    first, second = scores["trustworthiness/a~b/@5"], scores["continuity/a~b/@5"]
    assert first.value == pytest.approx(float(similarity.trustworthiness(x, y, 5).mean()))
    assert second.value == pytest.approx(float(similarity.trustworthiness(y, x, 5).mean()))
    assert first.chance == pytest.approx(0.5, abs=0.08)
    turned_copy = Trustworthiness()(Views.from_arrays(a=x, b=turned(x)))
    assert turned_copy["trustworthiness/a~b/@10"].value == pytest.approx(1.0)


def test_geodesic_stress_is_least_for_a_copy_and_one_for_collapse():
    arc = torch.linspace(0, 2.0, 60)
    bent = torch.stack([arc.cos(), arc.sin(), 0 * arc], 1)
    copy = Geodesic(k=4)(Views.from_arrays(a=bent, b=turned(bent)))["geodesic/a->b"]
    assert copy.value < 0.02  # chords are nearly as long as arcs
    assert copy.chance > 5 * copy.value
    assert Geodesic()(Views.from_arrays(a=bent, b=torch.ones(60, 3))) == {}  # a point has no geometry


def test_gromov_sees_shapes_and_not_pairs():
    x = rows(40, 5)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    same = Gromov()(Views.from_arrays(a=x, b=turned(x)))
    assert same["gromov/a~b"].value == pytest.approx(0.0, abs=1e-6)
    assert same["gromov/a~b/paired"].value == pytest.approx(0.0, abs=1e-6)
    mixed = Gromov()(Views.from_arrays(a=x, b=x[order]))
    assert mixed["gromov/a~b/paired"].value == pytest.approx(mixed["gromov/a~b/paired"].chance, rel=0.1)
    assert mixed["gromov/a~b"].value == pytest.approx(0.0, abs=1e-6)  # found again without knowing the pairs
    assert mixed["gromov/a~b"].chance is None


def test_gromov_lies_between_the_best_of_all_orders_and_the_true_one():
    from itertools import permutations

    x, y = rows(5, 3), rows(5, 3, 1)
    unit = torch.nn.functional.normalize
    cx, cy = (torch.cdist(unit(v.double()), unit(v.double())) for v in (x, y))
    orders = [torch.eye(5).double()[list(p)] / 5 for p in permutations(range(5))]
    best = min(float(distortion(p, cx, cy)) for p in orders) ** 0.5
    found = Gromov()(Views.from_arrays(a=x, b=y))
    assert found["gromov/a~b/paired"].value == pytest.approx(float((cx - cy).square().mean().sqrt()), abs=1e-6)
    assert best <= found["gromov/a~b"].value <= found["gromov/a~b/paired"].value  # a local optimum


# ------------------------------------------------------------------ calibration


@pytest.mark.slow
def test_width_and_few_items_do_not_pass_for_alignment():
    wide = Views.from_arrays(a=rows(1000, 4096), b=rows(1000, 4096, 1))
    raw = similarity.cka(wide["a"][:500], wide["b"][:500])
    scores = Calibrated(of=("cka", "mutual_knn", "cknna", "procrustes"), permutations=10)(wide)
    assert raw > 0.8
    for name, s in scores.items():
        assert s.value < 0.02, name
        assert s.chance == 0.0
    few = Calibrated()(Views.from_arrays(a=rows(60, 40), b=rows(60, 40, 3)))
    assert all(s.value < 0.05 for s in few.values()), {k: s.value for k, s in few.items()}


def test_calibrated_intervals_hold_what_they_say():
    """Of 60 samples of one population, 95 % have the mean value within their intervals, as wide as values spread."""
    metric, found = Calibrated(of=("cka",), permutations=10), []
    for seed in range(60):
        shared, own, other = (rows(80, 3, 3 * seed + k) for k in range(3))
        z = Views.from_arrays(a=torch.cat([shared, own], 1), b=torch.cat([shared, other], 1))
        found.append(metric(z)["calibrated/a~b/cka"])
    values = torch.tensor([s.value for s in found])
    ends = torch.tensor([[s.low, s.high] for s in found])
    assert ((ends[:, 0] <= values.mean()) & (values.mean() <= ends[:, 1])).double().mean() > 0.92
    assert float(ends.diff().mean()) == pytest.approx(2 * 1.96 * float(values.std()), rel=0.2)


def test_equal_sets_are_calibrated_to_one_and_related_ones_in_between():
    x = rows(120, 12)
    for name, s in Calibrated()(Views.from_arrays(a=x, b=turned(x))).items():
        assert s.value == pytest.approx(1.0, abs=1e-6), name
    noisy = Calibrated()(Views.from_arrays(a=x, b=turned(x) + 0.7 * rows(120, 12, 1)))
    for name, s in noisy.items():
        assert 0.1 < s.value < 0.95, name
        assert s.low <= s.value <= s.high
    apart = Views.from_arrays(a=x, b=(turned(x) + 0.7 * rows(120, 12, 1))[torch.randperm(120)])
    assert max(s.value for s in Calibrated()(apart).values()) < 0.1


def test_calibration_refuses_mistakes():
    z = Views.from_arrays(a=rows(20, 3), b=rows(20, 3))
    with pytest.raises(ModalignError, match="did you mean 'cka'"):
        Calibrated(of=("ckaa",))(z)
    with pytest.raises(ModalignError, match="at least 10 permutations"):
        Calibrated(permutations=2)(z)


# ------------------------------------------------------------------ chance of cosines


def test_chance_of_fidelity_and_alignment_is_that_of_any_partner():
    x = rows(50, 6) + 1.0
    z = Views.from_arrays(a=x, b=x + 0.5 * rows(50, 6, 1))
    cosine = torch.nn.functional.normalize(z["a"].double()) @ torch.nn.functional.normalize(z["b"].double()).T
    fidelity = Retrieval()(z)["fidelity/a->b"]
    assert fidelity.value == pytest.approx(float(cosine.diagonal().median()), abs=1e-6)
    assert fidelity.chance == pytest.approx(float(cosine.mean(1).median()), abs=1e-6)
    near = Alignment()(z)["alignment/a~b"]
    assert near.chance == pytest.approx(float((2 - 2 * cosine).mean()), abs=1e-6)


# ------------------------------------------------------------------ hubs


@pytest.fixture(scope="module")
def hubs():
    """Texts in a cone about one image, which is everyone's nearest."""
    image = rows(120, 8)
    text = image + 0.8 * rows(120, 8, 1)
    text = text + 2 * text.mean(0)
    image[0] = 8 * text.mean(0)
    return Views.from_arrays(text=text, image=image)


def test_dual_softmax_and_qb_norm_equal_their_dense_formulas(hubs):
    x, y = (torch.nn.functional.normalize(hubs[m].double()) for m in ("text", "image"))
    s, t = x @ y.T, 0.05
    bank = torch.nn.functional.normalize(rows(40, 8, 5).double())
    inverted = (s / t).exp() / (bank @ y.T / t).exp().sum(0)
    held = torch.isin(s.argmax(1), (bank @ y.T).argmax(1))
    assert 0 < int(held.sum()) < len(held)
    assert torch.equal(activated(x, y, bank), held)
    dense = {
        "dual_softmax": (s / t).softmax(0) * (s / t).softmax(1),
        "qb_norm": torch.where(held[:, None], inverted, (s / t).exp()),
    }
    banks = {"dual_softmax": None, "qb_norm": Views({"text": bank.float()}, {"text": torch.arange(40)})}
    for way, scores in dense.items():
        found = CorrectedRetrieval(way=way, bank=banks[way])(hubs)
        rank = (scores >= scores.diagonal()[:, None]).sum(1)
        assert found[f"{way}_rank/text->image/mean"].value == pytest.approx(float(rank.double().mean()))
        assert not any(name.startswith(("recall", "rank", "fidelity")) for name in found)


def test_corrections_help_against_a_hub(hubs):
    plain = Retrieval()(hubs)["recall/text->image/any@5"].value
    for way in ("csls", "inverted_softmax", "dual_softmax", "qb_norm"):
        assert CorrectedRetrieval(way=way)(hubs)[f"{way}_recall/text->image/any@5"].value >= plain, way


def test_corrections_of_a_constant_aligner_stay_at_chance():
    flat = torch.full((30, 6), 0.3)
    for way in ("csls", "inverted_softmax", "dual_softmax", "qb_norm"):
        s = CorrectedRetrieval(way=way)(Views.from_arrays(a=flat, b=flat.clone()))[f"{way}_recall/a->b/any@1"]
        assert s.value == pytest.approx(1 / 30) == s.chance, way


def test_the_bias_is_blind_to_the_scale_of_queries():
    x, y = rows(9, 4), rows(7, 4, 1)
    torch.testing.assert_close(softmax_bias(5 * x, y), softmax_bias(x, 2 * y))
