"""Choosing settings: the same number of trials for every method, on dev pairs or on pairs held out of training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import DiskError, ModalignError
from ..files import RunFile, read_jsonl, read_text, to_json, write_text
from ..metrics.mean_recall import DIGITS
from ..model import Heads
from ..training.loop import dev_recall
from ..views import Views, task_views

TRIALS = 12
Settings = Mapping[str, Any]


class Tuned(NamedTuple):
    """What tuning found.

    settings: of the best trial. score: of it. record: one {"settings", "score"} per trial, in the order they ran.
    items: scores of single items by trial, where they are known.
    """

    settings: dict[str, Any]
    score: float
    record: list[dict[str, Any]]
    items: list[Tensor | None]


def grid(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations of choices, as settings.

    Example:
        >>> grid(ridge=[1.0, 3.0], power=[0.5])
        [{'ridge': 1.0, 'power': 0.5}, {'ridge': 3.0, 'power': 0.5}]
    """
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def tune(
    candidates: Sequence[Settings],
    score: Callable[[dict[str, Any]], float | Tensor],
    trials: int | None = None,
    kept: Path | None = None,
    made_of: str = "",
) -> Tuned:
    """Try settings in order and keep the best; of equals (to 12 digits), the first.

    Args:
        candidates: settings to try, the most plausible first.
        score: settings -> dev score, or (n,) scores of items, whose mean it is; higher is better. A ModalignError
            counts as a failed trial.
        trials: try only so many; None: all.
        kept: file in which every trial is written down, so that a call that was killed is not repeated; None: none.
        made_of: `training.checkpoint.mark` of what is tried; trials of another are not taken from the file.

    Raises:
        ModalignError: no candidate, or every trial failed (with the first one's reason).

    Example:
        >>> tune(grid(x=[1, 5, 2, 9]), lambda s: s["x"], trials=3).settings
        {'x': 5}
    """
    if not candidates or (trials is not None and trials < 1):
        raise ModalignError(f"nothing to tune: {len(candidates)} candidates, {trials} trials")
    known = read_jsonl(kept, "trials") if kept is not None and kept.exists() else []
    past = {to_json(entry.get("settings"), sort_keys=True): entry for entry in known if entry.get("of", "") == made_of}
    record: list[dict[str, Any]] = []
    items: list[Tensor | None] = []
    failure: ModalignError | None = None
    for candidate in candidates[:trials]:
        settings = dict(candidate)
        if (entry := past.get(to_json(settings, sort_keys=True))) is not None and entry.get("score") is not None:
            record.append({"settings": settings, "score": float(entry["score"])})
            items.append(torch.tensor(entry["items"], dtype=torch.float64) if entry.get("items") else None)
            continue
        try:
            found = score(settings)
            items.append(found if isinstance(found, Tensor) else None)
            record.append({"settings": settings, "score": float(found.mean() if isinstance(found, Tensor) else found)})
        except DiskError:
            raise
        except ModalignError as problem:
            failure = failure or problem
            items.append(None)
            record.append({"settings": settings, "score": None, "error": str(problem)})
        if kept is not None:
            lines = (_line({**entry, "of": made_of}, found) for entry, found in zip(record, items, strict=True))
            write_text(kept, "".join(lines))
    done = [entry for entry in record if entry["score"] is not None]
    if not done:
        raise failure or ModalignError("no candidate could be scored")
    best = max(done, key=lambda entry: round(entry["score"], DIGITS))
    return Tuned(dict(best["settings"]), best["score"], record, items)


def _line(entry: Mapping[str, Any], items: Tensor | None) -> str:
    """A trial as it is kept."""
    return to_json({**entry, **({} if items is None else {"items": items.tolist()})}) + "\n"


def steady(scores: Sequence[Tensor], margin: float = 0.5) -> int:
    """The first of several settings, or a later one that is better on the same items by more than noise.

    A setting takes the place of the best one before it where the mean of its gains exceeds ``margin`` standard errors
    of that mean. With few items the most plausible setting stays, which is right more often than the greatest score is.

    Args:
        scores: per setting, (n,) of the same n items; the most plausible setting first.

    Example:
        >>> steady([torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.1]), torch.tensor([1.0, 1.0, 0.0])])
        2
    """
    best = 0
    for k in range(1, len(scores) if len(scores[0]) > 1 else 1):
        gain = scores[k] - scores[best]
        if float(gain.mean()) > margin * float(gain.std()) / len(gain) ** 0.5:
            best = k
    return best


def score_heads(heads: Heads, dev: Views, target: str | None = None) -> float:
    """`dev_recall` of the embedded dev views."""
    return dev_recall(task_views(heads.embed(dev.only(*[m for m in dev.modalities if m in heads.modalities])), target))


def crowded(dev: Views, z: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Views:
    """Embedded dev items among others, which have no partner there: few items alone have no hubs.

    Args:
        dev: whose groups and links hold. z: modality -> (n_m, d) its items. others: modality -> (k_m, d) more of them.
    """
    data, group = {}, {}
    below = int(torch.cat(list(dev.group.values())).min())  # of all modalities: what is alone is so in each of them
    for k, (m, rows) in enumerate(z.items()):
        more = others.get(m, rows[:0])
        alone = below - 1 - torch.arange(len(more)) * len(z) - k
        data[m], group[m] = torch.cat([rows, more]), torch.cat([dev.group[m].long(), alone])
    return replace(dev, data=data, group=group, row=None)


def trial_folder(run: Path | None, name: str) -> Path | None:
    """Where the log of a descent lies."""
    return None if run is None else run / RunFile.TRAININGS / name


def keep_log(trial: Path | None, run: Path | None) -> None:
    """The training log of a trial as that of the run."""
    if trial is not None and run is not None:
        write_text(run / RunFile.LOG, read_text(trial / RunFile.LOG, "training log"))
