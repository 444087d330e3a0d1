"""Choosing settings: the same number of trials for every method, on dev pairs or on pairs held out of training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError
from ..model import Heads
from ..training.loop import dev_recall
from ..views import Views

Settings = Mapping[str, Any]


class Tuned(NamedTuple):
    """What tuning found. record: one {"settings", "score"} per trial, in the order they ran."""

    settings: dict[str, Any]
    score: float
    record: list[dict[str, Any]]


def grid(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations of choices, as settings.

    Example:
        >>> grid(ridge=[1.0, 3.0], power=[0.5])
        [{'ridge': 1.0, 'power': 0.5}, {'ridge': 3.0, 'power': 0.5}]
    """
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def tune(candidates: Sequence[Settings], score: Callable[[dict[str, Any]], float], trials: int | None = None) -> Tuned:
    """Try settings in order and keep the best; of equals, the first.

    Args:
        candidates: settings to try, the most plausible first.
        score: settings -> dev score, higher is better; a ModalignError counts as a failed trial.
        trials: try only so many; None: all.

    Raises:
        ModalignError: no candidate, or every trial failed (with the first one's reason).

    Example:
        >>> tune(grid(x=[1, 5, 2, 9]), lambda s: s["x"], trials=3).settings
        {'x': 5}
    """
    if not candidates or (trials is not None and trials < 1):
        raise ModalignError(f"nothing to tune: {len(candidates)} candidates, {trials} trials")
    record: list[dict[str, Any]] = []
    failure: ModalignError | None = None
    for candidate in candidates[:trials]:
        settings = dict(candidate)
        try:
            record.append({"settings": settings, "score": score(settings)})
        except ModalignError as problem:
            failure = failure or problem
            record.append({"settings": settings, "score": None, "error": str(problem)})
    done = [entry for entry in record if entry["score"] is not None]
    if not done:
        raise failure or ModalignError("no candidate could be scored")
    best = max(done, key=lambda entry: entry["score"])
    return Tuned(dict(best["settings"]), best["score"], record)


def score_heads(heads: Heads, dev: Views) -> float:
    """`dev_recall` of the embedded dev views."""
    return dev_recall(heads.embed(dev.only(*[m for m in dev.modalities if m in heads.modalities])))


def crowded(dev: Views, z: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Views:
    """Embedded dev items among others, which have no partner there: few items alone have no hubs.

    Args:
        dev: whose groups and links hold. z: modality -> (n_m, d) its items. others: modality -> (k_m, d) more of them.
    """
    data, group = {}, {}
    for k, (m, rows) in enumerate(z.items()):
        more = others.get(m, rows[:0])
        alone = int(dev.group[m].min()) - 1 - torch.arange(len(more)) * len(z) - k
        data[m], group[m] = torch.cat([rows, more]), torch.cat([dev.group[m].long(), alone])
    return replace(dev, data=data, group=group, row=None)
