"""Fit a method once, and measure it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..metrics.evaluate import DEFAULT, evaluate
from ..metrics.mean_recall import with_mean_recall
from ..metrics.score import Score
from ..model import Heads, Model
from ..progress import Progress, silent
from ..registry import get, make, resolved
from ..specification import Specification
from ..training.checkpoint import FREE
from ..views import Views
from .data import Data, facts
from .once import identity, once
from .result import MethodResult, Result


def fit(
    method: Mapping[str, Any],
    train: Views,
    dev: Views | None,
    folder: Path,
    data: Data | None = None,
    progress: Progress = silent,
) -> tuple[Model, float]:
    """Fit a method, or load the same fit from the folder where it is there already; see ``once``.

    Returns: the model and the seconds that its fit took.
    """
    source = data or Data({})

    def made(place: Path) -> Model:
        part = make("method", **method)
        heads = part.fit(train, dev, run=place, progress=progress)
        return Model(heads, source.encoders, source.fingerprints, resolved("method", method), part.record)

    key = identity({k: v for k, v in method.items() if k not in FREE}, train, dev)
    return once(folder, key, made, progress)


def measure(
    name: str, heads: Heads, data: Data, metrics: Sequence[str] = (), seed: int = 0, **more: Any
) -> MethodResult:
    """Scores of the items that were kept for measuring; none where there are none.

    Args:
        name: of the method. more: what else is known of it, see ``MethodResult``.
    """
    split = data.measured
    scores = scores_of(heads, data[split], metrics, seed) if split else {}
    return MethodResult(more.pop("label", name), scores, **more)


def result_of(
    title: str, name: str, heads: Heads, data: Data, spec: Specification, record: Mapping[str, Any], **more: Any
) -> Result:
    """What a fit came to: its scores, and what is needed to judge them.

    Args:
        name: of the method. record: what else is kept of the fit. more: what else is known of it, see ``MethodResult``.
    """
    return Result(
        title=title,
        methods={name: measure(name, heads, data, spec.metrics, spec.seed, **more)},
        task="one shared space for feature arrays" if "arrays" in spec.data else "retrieval between modalities",
        data=facts(data, spec),
        skipped={"scores": data.unmeasured} if data.unmeasured else {},
        record=record,
        split=data.measured or "test",
        seeds=(spec.seed,),
        attribution=data.attribution,
        weights=data.credits,
    )


def scores_of(heads: Heads, test: Views, metrics: Sequence[str] = (), seed: int = 0) -> dict[str, Score]:
    """Scores of embedded views, led by mean recall over both directions of every pair of modalities."""
    return with_mean_recall(evaluate(heads.embed(test), metrics or DEFAULT, seed=seed), test.modalities)


def settings_of(method: str) -> set[str]:
    """Names of a method's settings."""
    return set(inspect.signature(get("method", method)).parameters)
