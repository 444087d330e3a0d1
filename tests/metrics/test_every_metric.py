"""What every metric must satisfy, whatever it measures. A new metric joins by itself; SPACES holds the special ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from modalign import registry
from modalign.errors import ModalignError
from modalign.metrics.evaluate import evaluate
from modalign.metrics.key import Key
from modalign.metrics.labels import accuracy, balanced_accuracy, mean_average_precision
from modalign.metrics.score import IMPORTANCE, UNITS, Measure, Score
from modalign.metrics.text_scores import text_scores
from modalign.views import Views

N, DIM = 60, 6
SLACK = 1e-6  # of ranges: rounding of float32


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pairs(noise: float, seed: int = 0) -> Views:
    """Two noisy copies of one cloud."""
    x = normal(N, DIM, seed=seed)
    copies = {m: x + noise * normal(N, DIM, seed=seed + 1 + i) for i, m in enumerate(("image", "text"))}
    return Views.from_arrays(**copies)


def apart(spread: float = 0.3) -> Views:
    """Two tight clouds at opposite ends."""
    end = torch.zeros(DIM)
    end[0] = 3.0
    z = pairs(0.5)
    return Views.from_arrays(image=spread * z["image"] + end, text=spread * z["text"] - end)


def arc() -> Views:
    """A space that has collapsed to a short arc of a circle."""
    angle = 0.5 * torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = torch.stack([angle.cos(), angle.sin(), *[torch.zeros_like(angle)] * (DIM - 2)], 1)
    return Views.from_arrays(image=flat, text=flat)


def hubs() -> Views:
    """Ten items of each gallery in the middle, which every query finds first; the others lie far from each other."""
    around = torch.nn.functional.normalize(normal(2 * N, 200), dim=1)
    middle = torch.zeros(200)
    middle[0] = 1.0
    rows = {m: 0.5 * middle + 0.87 * part for m, part in zip(("image", "text"), around.split(N), strict=True)}
    return Views.from_arrays(**{m: torch.cat([middle + 0.01 * x[:10], x[10:]]) for m, x in rows.items()})


#: Metric -> a space that is better and one that is worse in all that it measures; others: good and noisy pairs.
SPACES: Mapping[str, tuple[Callable[[], Views], Callable[[], Views]]] = {
    "gap": (lambda: pairs(0.1), apart),
    "alignment": (lambda: pairs(0.1), apart),
    "dimension": (lambda: pairs(0.1), arc),
    "connectivity": (lambda: pairs(0.1), apart),
    "hubness": (lambda: pairs(0.1), hubs),
}
#: Metric -> views of an aligner that knows nothing, by seed; others: pairs dealt anew.
BLIND: Mapping[str, Callable[[int], Views]] = {
    "connectivity": lambda seed: Views.from_arrays(
        image=normal(N, DIM, seed=seed), text=normal(N, DIM, seed=seed + 50)
    ),
}
NAMES = registry.names("metric")


def measured(name: str, z: Views) -> dict[str, Score]:
    scores: dict[str, Score] = registry.make("metric", name)(z)
    return scores


def spaces(name: str) -> tuple[Views, Views]:
    better, worse = SPACES.get(name, (lambda: pairs(0.1), lambda: pairs(3.0)))
    return better(), worse()


@pytest.fixture(scope="module")
def both() -> dict[str, tuple[dict[str, Score], dict[str, Score]]]:
    """Scores of the better and the worse space, by metric."""
    return {name: (measured(name, a), measured(name, b)) for name in NAMES for a, b in [spaces(name)]}


Both = dict[str, tuple[dict[str, Score], dict[str, Score]]]


@pytest.mark.parametrize("name", NAMES)
def test_a_better_space_scores_better_in_the_stated_direction(name: str, both: Both) -> None:
    better, worse = both[name]
    assert better
    assert set(better) == set(worse)
    for key, score in better.items():
        assert score.better_than(worse[key]), (key, score.value, worse[key].value)


@pytest.mark.parametrize("name", NAMES)
def test_values_lie_in_the_range_of_their_unit(name: str, both: Both) -> None:
    for key, score in [entry for scores in both[name] for entry in scores.items()]:
        unit = UNITS[score.unit]
        chance = [] if score.chance is None else [score.chance]
        for value in (score.value, *chance):
            assert unit.low - SLACK <= value <= unit.high + SLACK, (key, value, score.unit)


@pytest.mark.parametrize("name", NAMES)
def test_scores_say_what_they_are(name: str, both: Both) -> None:
    for key, score in both[name][0].items():
        assert str(Key.parse(key)) == key
        assert score.heading, key
        assert score.explanation.endswith("."), key
        assert score.topic != Score(0.0).topic, key
        assert score.importance in IMPORTANCE
    assert len({(s.heading, Key.parse(k).subject) for k, s in both[name][0].items()}) == len(both[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_found_by_the_names_of_its_scores(name: str, both: Both) -> None:
    for key in both[name][0]:
        if Key.parse(key).measure in NAMES:
            continue
        for asked in (key, Key.parse(key).measure):
            with pytest.raises(ModalignError, match=f"ask for '{name}', which gives it"):
                registry.make("metric", asked)


@pytest.mark.parametrize("name", NAMES)
def test_scores_come_back_from_json(name: str, both: Both) -> None:
    for key, score in both[name][0].items():
        told = replace(score, low=score.value - 1, high=score.value + 1, note="a note")
        again = Score.from_json(json.loads(json.dumps(told.json())), key)
        assert again == replace(told, per_item=None, group=None, statistic="mean"), key


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_what_an_aligner_without_knowledge_reaches(name: str) -> None:
    def dealt(seed: int) -> Views:
        z = pairs(0.5)
        order = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
        return Views.from_arrays(image=z["image"], text=z["text"][order])

    blind = [measured(name, BLIND.get(name, dealt)(seed)) for seed in range(12)]
    for key, first in blind[0].items():
        if first.chance is None:
            continue
        values = torch.tensor([s[key].value for s in blind], dtype=torch.float64)
        chances = torch.tensor([s[key].chance for s in blind], dtype=torch.float64)
        error = float((values - chances).std()) / len(values) ** 0.5
        gap = float((values - chances).mean())
        assert abs(gap) <= 4 * error + 0.02 * max(1.0, abs(float(chances.mean()))), (key, gap, error)


def one_item() -> Views:
    return Views.from_arrays(image=normal(1, DIM), text=normal(1, DIM, seed=1))


def two_items() -> Views:
    return Views.from_arrays(image=normal(2, DIM), text=normal(2, DIM, seed=1))


def constant() -> Views:
    return Views.from_arrays(image=torch.ones(12, DIM), text=torch.ones(12, DIM))


def one_constant() -> Views:
    return Views.from_arrays(image=normal(12, DIM), text=torch.ones(12, DIM))


def empty() -> Views:
    none = torch.zeros(0, dtype=torch.long)
    return Views({"image": normal(12, DIM), "text": torch.zeros(0, DIM)}, {"image": torch.arange(12), "text": none})


def strangers() -> Views:
    groups = {"image": torch.arange(12), "text": torch.arange(12) + 100}
    return Views({"image": normal(12, DIM), "text": normal(12, DIM, seed=1)}, groups)


DEGENERATE = (one_item, two_items, constant, one_constant, empty, strangers)


@pytest.mark.parametrize("make", DEGENERATE)
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_input_gives_finite_scores_or_none(name: str, make: Callable[[], Views]) -> None:
    scores: dict[str, Score] = {}
    with suppress(ModalignError):  # a metric may refuse, in one line
        scores = measured(name, make())
    for key, score in scores.items():
        unit = UNITS[score.unit]
        assert math.isfinite(score.value), key
        assert unit.low - SLACK <= score.value <= unit.high + SLACK, (key, score.value)
        assert score.chance is None or math.isfinite(score.chance), key


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_is_refused(name: str, bad: float) -> None:
    z = pairs(0.1)
    z["text"][3, 2] = bad
    with pytest.raises(ModalignError, match="text"):
        evaluate(z, [name])


@pytest.mark.parametrize("make", [one_item, two_items])
def test_a_test_of_few_items_says_so(make: Callable[[], Views]) -> None:
    n = len(make())
    scores = evaluate(make(), ["retrieval", "alignment"])
    assert all("too few to conclude from" in s.note for s in scores.values())
    assert all(s.low is None for s in scores.values())
    assert scores["recall/text->image/any@10"].note.endswith(f"the first 10 are the whole gallery of {n}")
    assert "note" in scores["recall/text->image/any@1"].json()


def test_fewer_items_than_k_are_told() -> None:
    z = pairs(0.1).groups(range(8))
    scores = evaluate(z, ["retrieval", "mutual_knn", "trustworthiness", "hubness"], intervals=False)
    assert "8 groups have 7 neighbours, not 10" in scores["mutual_knn/image~text/@10"].note
    assert "of 8 groups, k is 3" in scores["trustworthiness/image~text/@10"].note
    assert "whole gallery of 8" in scores["hubness/image->text"].note
    whole = evaluate(pairs(0.1), ["retrieval", "mutual_knn"], intervals=False)
    assert all(s.note == "" for s in whole.values())


def test_measures_of_words_have_direction_unit_and_headings() -> None:
    truth = [["a man rides a brown horse on the beach"], ["two dogs run through the tall green grass"]]
    right, wrong = [r[0] for r in truth], ["a man sits on the beach", "grass"]
    better, worse = (text_scores(words, truth, samples=20) for words in (right, wrong))
    for name, score in better.items():
        assert score.better_than(worse[name]), name
        assert UNITS[score.unit].low <= worse[name].value < score.value <= UNITS[score.unit].high
        assert score.heading
        assert score.topic == "Translation"
        again = Score.from_json(json.loads(json.dumps(score.json())))
        assert again == replace(score, per_item=None, group=None)
        assert again.signature
    assert better["bleu4"].value == pytest.approx(100.0)


def test_measures_of_labels_have_direction_unit_and_headings() -> None:
    truth = torch.arange(40) % 4
    several = torch.nn.functional.one_hot(truth, 4)
    good, bad = (several + noise * normal(40, 4) for noise in (0.3, 3.0))
    for function, target in ((accuracy, truth), (balanced_accuracy, truth), (mean_average_precision, several)):
        better, worse = (function(scores, target, samples=20) for scores in (good, bad))
        assert better.better_than(worse)
        assert (better.unit, better.topic) == ("share", "Transfer")
        assert better.heading
        assert better.chance == pytest.approx(0.25)


@pytest.mark.parametrize("truth", [-1, 4, 255])
def test_class_numbers_outside_the_classes_are_refused(truth: int) -> None:
    classes = torch.arange(40) % 4
    classes[7] = truth
    for function in (accuracy, balanced_accuracy):
        with pytest.raises(ModalignError, match=rf"0 to 3, got {truth}"):
            function(normal(40, 4), classes)


def test_scores_of_classes_that_are_nan_are_refused() -> None:
    scores = torch.tensor([[0.9], [math.nan], [0.1]])
    with pytest.raises(ModalignError, match="NaN in 1 items"):
        mean_average_precision(scores, torch.tensor([[0], [1], [0]]))
    with pytest.raises(ModalignError, match="NaN"):
        accuracy(torch.full((2, 3), math.nan), torch.tensor([0, 1]))
    with pytest.raises(ModalignError, match="0 or 1"):
        mean_average_precision(torch.rand(3, 2), torch.tensor([[0, 1], [2, 0], [1, 1]]))


def test_an_interval_ends_where_the_measure_does() -> None:
    """Disparities lie in [0, 1]: of few items their interval reached 1.36."""
    z = Views.from_arrays(a=normal(12, 1), b=normal(12, 1, seed=1))
    for name, score in evaluate(z, ["procrustes", "whitened_procrustes"]).items():
        if name.endswith("procrustes/a~b"):
            assert score.low is not None
            assert score.high is not None
            assert 0 <= score.low <= score.value <= score.high <= 1, name


def test_a_unit_belongs_to_the_score() -> None:
    error = Measure("Mapping error", "distance", "How far a map is off.", higher_is_better=False).score(3.2)
    assert Score.from_json(error.json()).unit == "distance"
    with pytest.raises(ModalignError, match="unit"):
        Score(1.0, unit="furlong")
    with pytest.raises(ModalignError, match="importance"):
        Score(1.0, importance="huge")
    with pytest.raises(ModalignError, match="evaluate the run again"):
        Score.from_json({"value": 0.5}, "scores.json: mean_recall")


def test_a_metric_whose_names_are_no_keys_is_refused() -> None:
    with pytest.raises(ModalignError, match="no name of a score"):
        evaluate(pairs(0.1), [lambda z: {"a/b/c/d": Score(1.0)}])
