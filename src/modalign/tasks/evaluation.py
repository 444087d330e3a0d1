"""Scores of transfer between modalities, beside what is possible without it and with more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..data.annotations import Annotations
from ..errors import ModalignError
from ..metrics.intervals import bootstrap
from ..metrics.key import Key
from ..metrics.labels import accuracy, balanced_accuracy, mean_average_precision
from ..metrics.score import Score
from ..model.captioner.captioner import unit_means
from ..views import Views
from .classify import Labels, Linear, few_shot, transfer, zero_shot

FORMS = {
    "transfer": "another modality's classifier",
    "probe": "its own classifier",
    "zero_shot": "class names",
    "zero_shot_raw": "class names, not centred",
}
"""Form in a key -> how readers know it."""


def evaluate_transfer(
    train: Views,
    test: Views,
    labels: Annotations,
    names: Mapping[str, Tensor] | None = None,
    shots: Sequence[int] = (1, 5),
    draws: int = 5,
    centre: bool = True,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Score]:
    """Classifiers from each modality to each: fitted to the source's training points, scored on the target's test ones.

    Args:
        train, test: views in the shared space.
        labels: group -> label or labels of the groups of both, or a file of them. Where a group has several, scores
            are mAP, else accuracy and balanced accuracy.
        names: class -> (k, d) points of its names as text, for zero-shot; None: no zero-shot.
        shots: numbers of labelled items per class of the target's own modality; the mean over ``draws`` draws.
        centre: take the mean of each modality's training points away. Zero-shot is given with and without.
        samples, level: of the intervals. seed: of all draws.

    Returns:
        ``accuracy/text->image/transfer`` (another modality's classifier), ``.../image->image/probe`` (the modality's
        own: what transfer could reach), ``.../image->image/5-shot``, ``.../names->image/zero_shot`` and
        ``.../zero_shot_raw`` (not centred); likewise ``balanced_accuracy`` or ``map``. ``skipped``: test items
        without a label, or of a class that training does not have.

    Raises:
        ModalignError: no common labelled item, fewer than two classes, or as ``transfer``.

    Example:
        >>> z = Views.from_arrays(text=torch.eye(4).repeat(3, 1), image=torch.eye(4).repeat(3, 1))
        >>> labels = {g: "animal" if g % 4 < 2 else "food" for g in range(12)}
        >>> scores = evaluate_transfer(z, z, labels, shots=(), samples=0)
        >>> scores["accuracy/text->image/transfer"].value
        1.0
    """
    known = Labels.of(labels, train.group_ids())
    interval = {"samples": samples, "level": level, "seed": seed}
    classifiers = {
        m: transfer(train, known, m, centre, seed=seed) for m in train.modalities if len(known.rows(train, m)[0])
    }
    out: dict[str, Score] = {}
    for target in test.modalities:
        rows, truth = known.rows(test, target)
        if not len(rows):
            continue
        given = _Test(test[target][rows], truth, test.group[target][rows], len(test[target]) - len(rows), target)
        for source, classifier in classifiers.items():
            form = "probe" if source == target else "transfer"
            out |= given.scores(source, form, [classifier], interval)
        if names:
            means = unit_means(train) if centre else {}
            out |= given.scores("names", "zero_shot", [_ordered(zero_shot(names, "text", means), known)], interval)
            if centre:
                raw = _ordered(zero_shot(names), known)
                out |= given.scores("names", "zero_shot_raw", [raw], interval)
        if target in classifiers:
            for k in shots:
                drawn = [few_shot(train, known, target, k, centre, seed + d) for d in range(draws)]
                ready = [_ordered(c, known) for c in drawn]
                out |= given.scores(target, f"{k}-shot", ready, interval)
    if not out:
        raise ModalignError("no test item has a label of the training groups: are the group ids the same?")
    return out


class _Test:
    """Test points of one modality with their truth."""

    def __init__(self, z: Tensor, truth: Tensor, group: Tensor, skipped: int, modality: str) -> None:
        self.z, self.truth, self.group, self.skipped, self.modality = z, truth, group, skipped, modality

    def scores(
        self, source: str, form: str, classifiers: Sequence[Linear], interval: Mapping[str, Any]
    ) -> dict[str, Score]:
        """Scores of one classifier, or the mean over several (draws of few items).

        Args:
            source: what the classifier learnt from. form: how, for the keys of the scores.
        """
        logits = [c.scores(self.z, self.modality) for c in classifiers]
        if classifiers[0].several:
            fewer = {**interval, "samples": interval["samples"] // 5}  # each draw ranks all classes anew
            found = [mean_average_precision(x, self.truth, self.group, **fewer) for x in logits]
            return self._named(source, form, {"map": _mean(found, self.skipped)})
        truth = self.truth.argmax(1)
        hits = [accuracy(x, truth, self.group, samples=0) for x in logits]
        per_item = torch.stack([h.per_item for h in hits if h.per_item is not None]).mean(0)
        score = replace(hits[0], value=float(per_item.mean()), per_item=per_item, skipped=self.skipped)
        balanced = _mean([balanced_accuracy(x, truth, self.group, **interval) for x in logits], self.skipped)
        found_of = {"accuracy": bootstrap(score, **interval) if interval["samples"] else score}
        return self._named(source, form, found_of | {"balanced_accuracy": balanced})

    def _named(self, source: str, form: str, found: Mapping[str, Score]) -> dict[str, Score]:
        """The scores under their keys and headings."""
        how = FORMS.get(form, form)
        return {
            str(Key(measure, source, self.modality, form)): replace(s, heading=f"{s.heading}, {how}")
            for measure, s in found.items()
        }


def _mean(scores: Sequence[Score], skipped: int) -> Score:
    """Mean value; the interval's ends are the means of the ends."""

    def mean(values: list[float | None]) -> float | None:
        there = [v for v in values if v is not None]
        return sum(there) / len(there) if there else None

    value = mean([s.value for s in scores]) or 0.0
    low, high = mean([s.low for s in scores]), mean([s.high for s in scores])
    return replace(scores[0], value=value, low=low, high=high, skipped=skipped)


def _ordered(classifier: Linear, known: Labels) -> Linear:
    """The classifier with the labels' classes in their order; a class it does not know can not win."""
    place = {c: i for i, c in enumerate(classifier.classes)}
    missing = set(known.classes) - set(place)
    weight = torch.zeros(len(known.classes), classifier.weight.shape[1])
    bias = torch.full((len(known.classes),), -1e9)
    for i, c in enumerate(known.classes):
        if c not in missing:
            weight[i], bias[i] = classifier.weight[place[c]], classifier.bias[place[c]]
    return replace(classifier, weight=weight, bias=bias, classes=known.classes, several=known.several)
