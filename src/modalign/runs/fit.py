"""Fit a method once, and measure it."""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..files import RunFile, read_jsonl, read_table, write_json
from ..metrics.evaluate import DEFAULT, evaluate
from ..metrics.mean_recall import with_mean_recall
from ..metrics.score import Score
from ..model import Heads, Model
from ..outputs import tell
from ..progress import Progress, kept, silent
from ..registry import get, make, resolved
from ..specification import Specification
from ..training import launch, ranks
from ..training.checkpoint import FREE
from ..views import Views
from .data import Data, facts
from .result import MethodResult, Result
from .run import Run


def fit(
    method: Mapping[str, Any],
    train: Views,
    dev: Views | None,
    folder: Path,
    data: Data | None = None,
    progress: Progress = silent,
) -> tuple[Model, float]:
    """Fit a method, or load the same fit from the folder where it is there already.

    A finished fit of other data or settings stays, with all that was made of it, until this one is done.

    Returns: the model and the seconds that its fit took.
    """
    key = _fingerprint({k: v for k, v in method.items() if k not in FREE}, train, dev)
    with launch.in_turn():
        if _record(folder / RunFile.NEXT).get("key") == key and is_fitted(folder / RunFile.NEXT) and ranks.leads():
            _replace(folder, key)
        past = _record(folder)
        done = past.get("seconds") is not None
        there = done and past.get("key") == key
        place = folder / RunFile.NEXT if done and not there else folder
        if place == folder and ranks.leads():
            shutil.rmtree(folder / RunFile.NEXT, ignore_errors=True)
        if not there:
            _start(place, key)
    if there:
        return Model.load(folder), float(past["seconds"])
    if done:
        tell(folder, "a fit of other data or settings", progress)
    start = time.perf_counter()
    part = make("method", **method)
    with _going_on(place):
        heads = part.fit(train, dev, run=place, progress=progress)
        seconds = round(time.perf_counter() - start, 3)
        source = data or Data({})
        model = Model(heads, source.encoders, source.fingerprints, resolved("method", method), part.record)
        if ranks.leads():  # inside: a disk without room for the model keeps what was tried
            model.save(place)
            write_json(place / RunFile.FIT, {"key": key, "seconds": seconds})
    if place != folder and ranks.leads():
        _replace(folder, key)
    return model, seconds


def _replace(folder: Path, key: str) -> None:
    """Put a fit that was made beside the one in a folder in its place; killed within, the next call goes on."""
    fresh = folder / RunFile.NEXT
    _start(folder, key)
    for path in sorted(fresh.iterdir(), key=lambda p: p.name == RunFile.FIT):  # what says that it is done comes last
        path.replace(folder / path.name)
    fresh.rmdir()


@contextmanager
def unfinished(folder: Path, key: str) -> Iterator[None]:
    """A folder while something is fitted in it: what was tried and trained of the same fit is there, and no other.

    Args:
        key: identity of the fit. What a killed one of other data or settings left behind is removed first, and what
            only serves to go on is removed at the end.
    """
    with launch.in_turn():
        _start(folder, key)
    with _going_on(folder):
        yield


@contextmanager
def _going_on(folder: Path) -> Iterator[None]:
    """What serves to go on is kept until the end, and removed there."""
    with kept(lambda: f"what was tried and trained is kept in {folder}"):
        yield
    (folder / RunFile.TRIALS).unlink(missing_ok=True)
    for checkpoint in folder.glob(f"{RunFile.TRAININGS}/*/{RunFile.CHECKPOINT}"):
        checkpoint.unlink()


def _record(folder: Path) -> dict[str, Any]:
    """Key of the fit that a folder holds, and its seconds, None while it is unfinished; empty where there is none."""
    path = folder / RunFile.FIT
    return read_table(path, "record of the fit") if path.exists() else {}


def _start(folder: Path, key: str) -> None:
    """Remove what other data or settings left of a fit: it is no start for this one, and no result of it.

    In one turn with what is read before: no other process reads what is half removed, and all have had as many turns
    when one of them finds the fit done.
    """
    if _record(folder).get("key") != key and ranks.leads():
        Run(folder).void()
        shutil.rmtree(folder / RunFile.TRAININGS, ignore_errors=True)
        write_json(folder / RunFile.FIT, {"key": key, "seconds": None})


@contextmanager
def work_folder(folder: Path, key: str) -> Iterator[Path]:
    """A folder for what a fit needs to go on after it was killed; nothing of it stays when the fit is done."""
    with unfinished(folder, key):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _fingerprint(method: dict[str, Any], *views: Views | None) -> str:
    """Identity of a fit: the program's version, the method's settings and every number it learns from."""
    digest = hashlib.blake2b(json.dumps([__version__, method], sort_keys=True).encode(), digest_size=16)
    for x in views:
        if x is not None:
            add_views(digest, x)
    return digest.hexdigest()


def add_views(digest: hashlib.blake2b, x: Views) -> None:
    """Add every number, group id and link of views to a digest."""
    for m, rows in x.data.items():
        digest.update(f"{m}{tuple(rows.shape)}{rows.dtype}".encode())
        for tensor in (rows, x.group[m].long()):
            digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    for pair, link in (x.links or {}).items():
        digest.update(f"{pair}{link.tolist()}".encode())


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


def is_fitted(folder: Path) -> bool:
    """Whether a finished fit lies in a folder; of what, ``fit`` tells."""
    return _record(folder).get("seconds") is not None


def settings_of(method: str) -> set[str]:
    """Names of a method's settings."""
    return set(inspect.signature(get("method", method)).parameters)


def tried(folder: Path, most: int) -> int:
    """Trials that an unfinished fit has written down, at most so many."""
    kept = folder / RunFile.TRIALS
    closed = len(read_jsonl(kept, "trials")) if kept.exists() else 0
    return min(most, closed + len(list(folder.glob(f"{RunFile.TRAININGS}/*/{RunFile.CHECKPOINT}"))))
