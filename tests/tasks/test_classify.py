"""Transfer of classifiers: against scikit-learn, on problems with known answers, and user mistakes."""

from __future__ import annotations

import csv
import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import normalize

from modalign.data.annotations import annotated, from_manifest, read_annotations
from modalign.errors import ModalignError
from modalign.objectives.classify import Classify
from modalign.tasks import Linear, evaluate_transfer, few_shot, fit_linear, transfer, zero_shot
from modalign.tasks.topics import STRETCHES, topic
from modalign.views import Batch, Views

CLASSES = ("bird", "cat", "dog")


def problem(n=90, d=8, gap=0.0, spread=0.25, seed=0, several=False):
    """Points around three (or, with several labels, the sums of three) directions, shared by both modalities."""
    g = torch.Generator().manual_seed(seed)
    centre = normalize(torch.randn(3, d, generator=torch.Generator().manual_seed(77)), dim=1)
    if several:
        member = (torch.rand(n, 3, generator=g) < 0.4).float()
        member[member.sum(1) == 0, 0] = 1.0
    else:
        member = torch.nn.functional.one_hot(torch.randint(3, (n,), generator=g), 3).float()
    labels = {i: [CLASSES[k] for k in row.nonzero().flatten().tolist()] for i, row in enumerate(member)}

    def points(shift):
        x = member @ centre + spread * torch.randn(n, d, generator=g)
        return normalize(x + shift, dim=1)

    away = gap * normalize(torch.randn(1, d, generator=torch.Generator().manual_seed(5)), dim=1)
    return Views.from_arrays(text=points(0.0), image=points(away)), labels


# ------------------------------------------------------------------ the solver


def test_softmax_regression_equals_scikit_learn():
    z, labels = problem()
    truth = torch.tensor([[float(c in labels[i]) for c in CLASSES] for i in range(90)])
    w, b = fit_linear(z["text"], truth, ridge=0.01)
    oracle = LogisticRegression(C=1 / (90 * 0.01), tol=1e-10, max_iter=10_000).fit(z["text"], truth.argmax(1))
    torch.testing.assert_close(w, torch.tensor(oracle.coef_).float(), atol=1e-4, rtol=1e-3)
    wanted = torch.tensor(oracle.intercept_).float()
    torch.testing.assert_close(b, wanted - wanted.mean(), atol=1e-4, rtol=1e-3)


def test_one_sigmoid_per_class_equals_scikit_learn():
    z, labels = problem(several=True)
    truth = torch.tensor([[float(c in labels[i]) for c in CLASSES] for i in range(90)])
    w, b = fit_linear(z["text"], truth, ridge=0.01, several=True)
    for k in range(3):
        oracle = LogisticRegression(C=1 / (90 * 0.01), tol=1e-10, max_iter=10_000).fit(z["text"], truth[:, k])
        torch.testing.assert_close(w[k], torch.tensor(oracle.coef_[0]).float(), atol=1e-4, rtol=1e-3)
        assert float(b[k]) == pytest.approx(float(oracle.intercept_[0]), abs=1e-4)


def test_a_solver_without_data_or_ridge_is_refused():
    with pytest.raises(ModalignError, match="positive ridge"):
        fit_linear(torch.eye(2), torch.eye(2), ridge=0.0)
    with pytest.raises(ModalignError, match="0 rows"):
        fit_linear(torch.zeros(0, 2), torch.zeros(0, 2))


# ------------------------------------------------------------------ transfer


def test_a_classifier_of_text_works_on_images_it_never_saw():
    train, labels = problem(seed=0)
    test, truth = problem(seed=1)
    found = transfer(train, labels, "text").predict(test["image"], "image")
    right = sum(p in truth[i] for i, p in enumerate(found)) / 90
    assert right > 0.9


def test_taking_the_means_away_closes_a_gap():
    train, labels = problem(gap=2.0)
    test, truth = problem(gap=2.0, seed=1)
    right = {}
    for centre in (True, False):
        found = transfer(train, labels, "text", centre=centre).predict(test["image"], "image")
        right[centre] = sum(p in truth[i] for i, p in enumerate(found)) / 90
    assert right[True] > right[False] + 0.1
    assert right[True] > 0.9


def test_labels_of_the_target_play_no_part():
    """Only labels of groups that the source has can matter; images elsewhere may have any."""
    train, labels = problem()
    text = train.select({"text": torch.arange(45), "image": torch.arange(90)})
    other = {g: (["dog"] if g >= 45 else several) for g, several in labels.items()}
    a, b = (transfer(text, table, "text") for table in (labels, other))
    assert torch.equal(a.weight, b.weight)


def test_same_seed_same_bits_and_groups_stay_whole():
    train, labels = problem()
    a, b = (transfer(train, labels, "text", seed=3) for _ in range(2))
    assert torch.equal(a.weight, b.weight)


def test_zero_shot_is_the_nearest_name():
    names = {"x": torch.tensor([[2.0, 0.0], [0.0, 3.0]]), "y": torch.tensor([[-1.0, 0.0]])}
    made = zero_shot(names)
    torch.testing.assert_close(made.weight, normalize(torch.tensor([[1.0, 1.0], [-1.0, 0.0]]), dim=1))
    assert made.predict(torch.tensor([[0.1, 1.0], [-5.0, 1.0]]), "image") == ["x", "y"]
    with pytest.raises(ModalignError, match="at least one name"):
        zero_shot({"x": torch.zeros(0, 2)})


def test_few_shot_uses_as_many_items_as_it_says():
    train, labels = problem()
    one = few_shot(train, labels, "image", shots=1, centre=False, seed=0)
    assert all(float((train["image"] @ w).max()) == pytest.approx(1.0, abs=1e-5) for w in one.weight)
    many = few_shot(train, labels, "image", shots=1000, centre=False)
    members = [train["image"][[i for i in range(90) if c in labels[i]]].mean(0) for c in CLASSES]
    torch.testing.assert_close(many.weight, normalize(torch.stack(members), dim=1))
    with pytest.raises(ModalignError, match="shots must be at least 1, got 0"):
        few_shot(train, labels, "image", 0)


# ------------------------------------------------------------------ evaluation


def test_every_way_is_scored_with_interval_and_chance():
    train, labels = problem()
    test, later = problem(seed=1)
    moved = Views(test.data, {m: g + 1000 for m, g in test.group.items()})
    table = labels | {g + 1000: several for g, several in later.items()}
    names = {c: train["text"][[i for i in range(90) if labels[i] == [c]][:3]] for c in CLASSES}
    scores = evaluate_transfer(train, moved, table, names, shots=(1, 5), draws=2, samples=100)
    ways = {name.split("/", 1)[1] for name in scores}
    assert ways >= {"text->image/transfer", "image->text/transfer", "image->image/probe", "text->text/probe"}
    assert ways >= {"names->image/zero_shot", "names->image/zero_shot_raw", "image->image/1-shot", "text->text/5-shot"}
    for name, s in scores.items():
        assert s.low <= s.value <= s.high, name
        assert 0.3 < s.chance < 0.6
    assert scores["accuracy/text->image/transfer"].value > 0.9
    assert scores["accuracy/image->image/5-shot"].value > scores["accuracy/image->image/1-shot"].value - 0.05


def test_several_labels_are_scored_by_mean_average_precision():
    train, labels = problem(several=True)
    test, later = problem(seed=1, several=True)
    moved = Views(test.data, {m: g + 1000 for m, g in test.group.items()})
    table = labels | {g + 1000: several for g, several in later.items()}
    scores = evaluate_transfer(train, moved, table, shots=(5,), draws=2, samples=100)
    assert {name.split("/")[0] for name in scores} == {"map"}
    transferred = scores["map/text->image/transfer"]
    assert transferred.chance + 0.2 < transferred.low <= transferred.value <= transferred.high


def test_shuffled_labels_end_at_chance():
    train, _ = problem()
    test, _ = problem(seed=1)
    moved = Views(test.data, {m: g + 1000 for m, g in test.group.items()})
    draw = torch.randint(3, (180,), generator=torch.Generator().manual_seed(0)).tolist()
    table = {g: CLASSES[draw[g]] for g in range(90)} | {1000 + g: CLASSES[draw[90 + g]] for g in range(90)}
    scores = evaluate_transfer(train, moved, table, shots=(), samples=0)
    assert abs(scores["balanced_accuracy/text->image/transfer"].value - 1 / 3) < 0.12


def test_unknown_classes_and_unlabelled_items_are_counted():
    train, labels = problem()
    moved = Views(train.data, {m: g + 1000 for m, g in train.group.items()})
    table = labels | {g + 1000: (["whale"] if g < 5 else labels[g]) for g in range(80)}
    scores = evaluate_transfer(train, moved, table, shots=(), samples=0)
    assert scores["accuracy/text->image/transfer"].skipped == 15


def test_mistakes_are_named():
    train, labels = problem()
    with pytest.raises(ModalignError, match="two are needed"):
        transfer(train, dict.fromkeys(range(90), "dog"))
    with pytest.raises(ModalignError, match="two are needed"):
        transfer(train, {g + 5000: c for g, c in labels.items()})
    far = Views(train.data, {m: g + 5000 for m, g in train.group.items()})
    with pytest.raises(ModalignError, match="no test item"):
        evaluate_transfer(train, far, labels)
    made = transfer(train, labels)
    assert isinstance(made, Linear)
    with pytest.raises(ModalignError, match="unknown modality with a mean 'audio'"):
        made.scores(train["text"], "audio")


# ------------------------------------------------------------------ annotations


def test_annotations_come_from_tables_and_files(tmp_path):
    assert read_annotations({1: "cat", 2: ["dog", "pet"], 3: 7}, "labels") == {1: ["cat"], 2: ["dog", "pet"], 3: ["7"]}
    (tmp_path / "a.json").write_text('{"1": "cat", "2": ["dog", "pet"]}')
    assert read_annotations(tmp_path / "a.json", "labels") == {1: ["cat"], 2: ["dog", "pet"]}
    (tmp_path / "a.csv").write_text('group,caption\n1,"a cat, sleeping"\n1,one cat\n2,"He said ""hi"""\n')
    wanted = {1: ["a cat, sleeping", "one cat"], 2: ['He said "hi"']}
    assert read_annotations(str(tmp_path / "a.csv"), "captions") == wanted
    assert annotated(torch.tensor([2, 9, 1]), wanted).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({}, "there are no labels"),
        ({1: []}, "1 groups have none"),
        ({"x": "cat"}, "no group id"),
        ("nowhere.json", "not found"),
        ("labels.txt", "ends in .json or .csv"),
    ],
)
def test_bad_annotations_are_named(source, says):
    with pytest.raises(ModalignError, match=says):
        read_annotations(source, "labels")


def test_bad_annotation_files_are_named(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ModalignError, match="one table"):
        read_annotations(tmp_path / "list.json", "labels")
    (tmp_path / "wide.csv").write_text("group,a,b\n1,2,3\n")
    with pytest.raises(ModalignError, match="two columns"):
        read_annotations(tmp_path / "wide.csv", "labels")


# ------------------------------------------------------------------ the loss


def test_the_loss_is_the_cross_entropy_of_the_labelled_items():
    z, labels = problem()
    some = {g: several for g, several in labels.items() if g < 40}
    loss = Classify(some, dim=8, modalities=["text"], scale=5.0)
    scores = loss.layer(5.0 * z["text"][:40])
    truth = torch.tensor([loss.classes.index(labels[g][0]) for g in range(40)])
    torch.testing.assert_close(loss(Batch(z, z)), torch.nn.functional.cross_entropy(scores, truth))


def test_the_loss_of_several_labels_is_binary():
    z, labels = problem(several=True)
    loss = Classify(labels, dim=8, modalities=["image"])
    assert loss.several
    truth = torch.tensor([[float(c in labels[i]) for c in loss.classes] for i in range(90)])
    scores = loss.layer(10.0 * z["image"])
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(scores, truth)
    torch.testing.assert_close(loss(Batch(z, z)), wanted)


def test_mistakes_of_the_loss_are_named():
    z, labels = problem()
    with pytest.raises(ModalignError, match="one class"):
        Classify({0: "a", 1: "a"})
    with pytest.raises(ModalignError, match="allows one"):
        Classify({0: ["a", "b"]}, several=False)
    with pytest.raises(ModalignError, match="dim must lie"):
        Classify(labels, dim=0)
    with pytest.raises(ModalignError, match="points of 5 dimensions, got 8"):
        Classify(labels, dim=5)(Batch(z, z))
    with pytest.raises(ModalignError, match="none of the labels"):
        Classify({5000: "a", 5001: "b"}).prepare(z)


# ------------------------------------------------------------------ topics


def test_stretches_do_not_overlap():
    spans = sorted(span for parts in STRETCHES.values() for span in parts)
    assert all(a <= b for a, b in spans)
    assert all(first[1] < second[0] for first, second in pairwise(spans))


@pytest.mark.parametrize(
    ("emoji", "name"), [("🐼", "animal"), ("🍎", "food"), ("🚌", "vehicle"), ("😀", "face"), ("➕", None)]
)
def test_topics_of_well_known_pictograms(emoji, name):
    assert topic(emoji) == name


@pytest.mark.data
def test_labels_of_audioset_are_several_and_mean_average_precision_takes_them():
    root = os.environ.get("MODALIGN_DATA")
    if root is None:
        pytest.skip("MODALIGN_DATA is not set")
    from modalign.data.audioset import audioset
    from modalign.metrics.labels import mean_average_precision

    manifest = audioset(Path(root) / "audioset_meta", split="eval")
    labels = from_manifest(manifest, "labels")
    classes = sorted({c for several in labels.values() for c in several}, key=int)
    with (Path(root) / "audioset_meta/class_labels_indices.csv").open(encoding="utf-8") as file:
        assert {row["index"] for row in csv.DictReader(file)} >= set(classes)
    number = {c: i for i, c in enumerate(classes)}
    truth = torch.zeros(500, len(classes))
    for row, several in enumerate(list(labels.values())[:500]):
        truth[row, [number[c] for c in several]] = 1.0
    assert truth.sum(1).max() > 1
    assert mean_average_precision(truth, truth, samples=0).value == 1.0
    chance = mean_average_precision(torch.zeros_like(truth), truth, samples=0)
    assert chance.value == pytest.approx(chance.chance)
