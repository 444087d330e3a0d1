"""Make a model once: in a folder that goes on where it was killed, and beside another model until it is done."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..files import RunFile, read_jsonl, read_table, write_json
from ..model import Model
from ..outputs import tell
from ..progress import Progress, kept, silent
from ..training import launch, ranks
from ..views import Views
from .run import Run


def once(folder: Path, key: str, make: Callable[[Path], Model], progress: Progress = silent) -> tuple[Model, float]:
    """Make a model, or load the same one from the folder where it is there already.

    A finished one of other data or settings stays, with all that was made of it, until this one is done.

    Args:
        key: what the model is made of, see ``identity``. make: given the folder for what it needs to go on.

    Returns: the model and the seconds that making it took.
    """
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
    with _going_on(place):
        model = make(place)
        seconds = round(time.perf_counter() - start, 3)
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
def work_folder(folder: Path, key: str) -> Iterator[Path]:
    """A folder for what a fit needs to go on after it was killed; nothing of it stays when the fit is done."""
    with unfinished(folder, key):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def is_fitted(folder: Path) -> bool:
    """Whether a finished fit lies in a folder; of what, ``fit`` tells."""
    return _record(folder).get("seconds") is not None


def tried(folder: Path, most: int) -> int:
    """Trials that an unfinished fit has written down, at most so many."""
    kept = folder / RunFile.TRIALS
    closed = len(read_jsonl(kept, "trials")) if kept.exists() else 0
    return min(most, closed + len(list(folder.glob(f"{RunFile.TRAININGS}/*/{RunFile.CHECKPOINT}"))))


def identity(settings: Any, *views: Views | None) -> str:
    """What makes a fit the same: the program's version, all settings (plain values) and every number it learns from."""
    digest = hashlib.blake2b(json.dumps([__version__, settings], sort_keys=True).encode(), digest_size=16)
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


@contextmanager
def _going_on(folder: Path) -> Iterator[None]:
    """What serves to go on is kept until the end, and removed there."""
    with kept(lambda: f"what was tried and trained is kept in {folder}"):
        yield
    checkpoints = (folder / RunFile.CHECKPOINT, *folder.glob(f"{RunFile.TRAININGS}/*/{RunFile.CHECKPOINT}"))
    for path in (folder / RunFile.TRIALS, *checkpoints) if ranks.leads() else ():
        path.unlink(missing_ok=True)


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
