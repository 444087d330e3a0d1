"""Accuracy and average precision of classes against scikit-learn, ties, chance, intervals, mistakes."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from modalign.errors import ModalignError
from modalign.metrics.labels import accuracy, balanced_accuracy, mean_average_precision


def problem(n=60, c=4, seed=0, steps=None):
    g = torch.Generator().manual_seed(seed)
    truth = torch.randint(c, (n,), generator=g)
    scores = torch.randn(n, c, generator=g) + 1.5 * torch.nn.functional.one_hot(truth, c)
    return (scores if steps is None else (scores * steps).round() / steps), truth


def several(n=80, c=5, seed=0, steps=None):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, c, generator=g) < 0.2).long()
    scores = torch.randn(n, c, generator=g) + truth
    return (scores if steps is None else (scores * steps).round() / steps), truth


def test_accuracy_is_the_share_of_right_answers():
    scores, truth = problem()
    found = accuracy(scores, truth)
    assert found.value == pytest.approx(float((scores.argmax(1) == truth).double().mean()))
    assert found.low < found.value < found.high
    assert found.chance == pytest.approx(float(torch.bincount(truth).max()) / 60)


def test_a_constant_classifier_is_right_by_chance_alone():
    _, truth = problem()
    assert accuracy(torch.zeros(60, 4), truth, samples=0).value == pytest.approx(0.25)
    assert balanced_accuracy(torch.zeros(60, 4), truth, samples=0).value == pytest.approx(0.25)


def test_balanced_accuracy_equals_scikit_learn():
    scores, truth = problem(seed=3)
    found = balanced_accuracy(scores, truth)
    assert found.value == pytest.approx(balanced_accuracy_score(truth, scores.argmax(1)))
    assert found.low < found.value < found.high
    assert found.chance == pytest.approx(0.25)


@pytest.mark.parametrize("steps", [None, 2, 1])
def test_mean_average_precision_equals_scikit_learn_with_and_without_ties(steps):
    scores, truth = several(steps=steps)
    wanted = average_precision_score(truth.numpy(), scores.numpy(), average="macro")
    found = mean_average_precision(scores, truth)
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.low < found.value < found.high


def test_constant_scores_reach_the_share_of_positives_and_no_more():
    _, truth = several()
    found = mean_average_precision(torch.ones(80, 5), truth, samples=0)
    assert found.value == pytest.approx(found.chance)
    assert found.chance == pytest.approx(float(truth.double().mean()))


def test_classes_without_positives_are_left_out():
    scores, truth = several()
    wider = torch.cat([truth, torch.zeros(80, 1, dtype=torch.long)], 1)
    padded = torch.cat([scores, torch.randn(80, 1)], 1)
    plain = mean_average_precision(scores, truth, samples=0).value
    assert mean_average_precision(padded, wider, samples=0).value == plain


def test_weighted_draws_equal_repeated_rows():
    """Intervals count rows by weights: the widths of one group holding all rows are nil."""
    scores, truth = several()
    one = mean_average_precision(scores, truth, group=torch.zeros(80, dtype=torch.long))
    assert one.low == pytest.approx(one.value)
    assert one.high == pytest.approx(one.value)


def test_order_of_items_does_not_matter():
    scores, truth = several(steps=2)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1))
    a = mean_average_precision(scores, truth, samples=0).value
    assert mean_average_precision(scores[order], truth[order], samples=0).value == pytest.approx(a)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool])
def test_class_numbers_of_any_whole_type(dtype):
    scores, truth = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 2
    for measure in (accuracy, balanced_accuracy):
        assert measure(scores, truth.to(dtype), samples=0).value == measure(scores, truth, samples=0).value
        with pytest.raises(ModalignError, match="class numbers"):
            measure(scores, truth.float())


def test_mistakes_are_named():
    with pytest.raises(ModalignError, match="scores must be"):
        accuracy(torch.zeros(3, 2), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ModalignError, match="scores must be"):
        balanced_accuracy(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ModalignError, match="no class has a positive"):
        mean_average_precision(torch.zeros(3, 2), torch.zeros(3, 2))
