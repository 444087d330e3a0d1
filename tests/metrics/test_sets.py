"""Metrics of paired sets over views: which rows they pair, names, chance."""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import procrustes, similarity
from modalign.metrics.mutual_knn import MutualKnn
from modalign.metrics.paired import same_items, shuffled
from modalign.metrics.procrustes import Procrustes
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.nn.functional.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)))


def test_same_items_pairs_rows_by_group_and_leaves_the_rest_out():
    z = Views(
        {"a": torch.arange(5.0)[:, None], "b": torch.arange(10.0, 13.0)[:, None]},
        {"a": torch.tensor([3, 1, 1, 2, 9]), "b": torch.tensor([1, 4, 3])},
    )
    first = same_items(z, "a", "b")
    assert first.group.tolist() == [1, 3]
    assert first.x.flatten().tolist() == [1.0, 0.0]
    assert first.y.flatten().tolist() == [10.0, 12.0]
    assert same_items(z, "a", "b", "mean").x.flatten().tolist() == [1.5, 0.0]


def test_procrustes_of_views_is_the_disparity_of_unit_rows():
    x, y = rows(30, 5), rows(30, 4, 1)
    scores = Procrustes()(Views.from_arrays(text=3 * x, image=y * torch.rand(30, 1)))
    assert scores["procrustes/image~text"].value == pytest.approx(procrustes.disparity(x, y), abs=1e-6)
    assert not scores["procrustes/image~text"].higher_is_better
    assert set(scores) == {"procrustes/image~text" + e for e in ("", "/size_and_shape", "/angle")}


def test_turned_copies_have_procrustes_zero_well_below_chance():
    x = rows(60, 4)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1))).Q
    s = Procrustes()(Views.from_arrays(a=x, b=x @ turn))["procrustes/a~b"]
    assert s.value == pytest.approx(0.0, abs=1e-5)
    assert 0.5 < s.chance <= 1.0


def test_size_and_shape_does_not_grow_with_the_number_of_groups():
    x, y = rows(20, 4), rows(20, 4, 1)
    one = Procrustes()(Views.from_arrays(a=x, b=y))["procrustes/a~b/size_and_shape"].value
    two = Procrustes()(Views.from_arrays(a=torch.cat([x, x]), b=torch.cat([y, y])))["procrustes/a~b/size_and_shape"]
    assert two.value == pytest.approx(one, rel=1e-5)


def test_too_few_common_groups_give_no_score():
    z = Views({"a": rows(4, 3), "b": rows(4, 3)}, {"a": torch.arange(4), "b": torch.arange(3, 7)})
    assert Procrustes()(z) == {}
    assert MutualKnn()(z) == {}


def test_mutual_knn_of_views():
    x, y = rows(40, 5), rows(40, 6, 1)
    s = MutualKnn(k=4)(Views.from_arrays(text=x, image=y))["mutual_knn/image~text/@4"]
    assert s.value == pytest.approx(float(similarity.mutual_knn(x, y, 4).mean()))
    assert s.chance == pytest.approx(4 / 39)
    assert len(s.per_item) == 40
    with pytest.raises(ModalignError, match="k must be at least 1"):
        MutualKnn(k=0)(Views.from_arrays(a=x, b=y))


def test_shuffled_destroys_the_pairing_only():
    x = torch.arange(50.0)[:, None]
    value = shuffled(lambda a, b: float((a * b).mean() - a.mean() * b.mean()), x, x, 30)
    assert abs(value) < 40  # the variance, which pairs in order would give, is 208
    assert shuffled(lambda a, b: 1.0, x, x, 0) is None
