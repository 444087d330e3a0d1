"""Trainings and scores in a tracker: one callback in the API of wandb, which trackio shares; TensorBoard behind it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ..errors import MissingExtraError, check_known, explained, require
from ..metrics.shown import chosen
from ..runs.result import Result
from ..runs.run import Run
from ..specification import Specification
from ..training import ranks
from ..training.listening import heard_by

TRACKERS = ("wandb", "trackio", "tensorboard")


class Tracked(Protocol):
    """A run of wandb or trackio: what ``init`` of either returns."""

    def log(self, data: dict[str, Any], step: int | None = None) -> None: ...

    def finish(self) -> None: ...


class Tracker:
    """The callback: sends lines of training logs, and scores of results, to a run of a tracker.

    Steps of a tracker may not fall. Where a fit trains several times (trials of settings, folds), each training's steps
    follow those of the one before, and "training" counts them.

    Args:
        run: with ``log`` and ``finish`` as those of wandb.

    Example:
        >>> class Printed:
        ...     def log(self, data, step=None):
        ...         print(step, data)
        ...     def finish(self): ...
        >>> Tracker(Printed())({"step": 5, "loss": 0.5, "note": "a word"})
        5 {'loss': 0.5, 'training': 1}
    """

    def __init__(self, run: Tracked) -> None:
        self.run = run
        self.before, self.last, self.training = 0, 0, 1

    def __call__(self, line: Mapping[str, Any]) -> None:
        """A line of a log: "step" and numbers; others are left out, and so are numbers that are not finite."""
        step = int(line["step"])
        if step < self.last:
            self.before, self.training = self.before + self.last + 1, self.training + 1
        self.last = step
        numbers = {k: float(v) for k, v in line.items() if k != "step" and _is_number(v)}
        self.run.log({**numbers, "training": self.training}, step=self.before + step)

    def scores(self, result: Result) -> None:
        """The main scores of every method of a result, with the ends of their intervals."""
        found: dict[str, float] = {}
        for name, method in result.methods.items():
            for key, score in chosen(method.scores, "main").items():
                ends = {"": score.value, "/low": score.low, "/high": score.high}
                found |= {f"{name}/{key}{end}": float(v) for end, v in ends.items() if v is not None}
        self.last += 1
        self.run.log(found, step=self.before + self.last)


@contextmanager
def tracked(library: str, project: str = "modalign", **settings: Any) -> Iterator[Tracker]:
    """While this is open, every training of this thread is tracked: ``with tracked("wandb"): aligner.fit(X, Y)``.

    Args:
        library: "wandb", "trackio" or "tensorboard". project: its name there; of tensorboard, a folder.
        settings: for ``init`` of the library: ``name``, ``config``, ``mode="offline"``, ...

    Yields:
        The callback; its ``scores(result)`` sends the scores of a run.

    Raises:
        ModalignError: a library of another name.
        MissingExtraError: it is not installed.
    """
    check_known("tracker", library, TRACKERS)
    run: Tracked = _Board(Path(project)) if library == "tensorboard" else _started(library, project, settings)
    tracker = Tracker(run)
    try:
        with heard_by(tracker):
            yield tracker
    finally:
        run.finish()


@contextmanager
def followed(library: str | None, spec: Specification) -> Iterator[Callable[[Run], Run]]:
    """A run of the program that is tracked: yields what sends its scores and gives it back. None: nothing is tracked.

    Its project is "modalign", its name the run's folder, its configuration the specification.
    """
    if library is None or not ranks.leads():
        yield lambda run: run
        return
    out = Path(spec.out)
    if library == "tensorboard":
        settings: dict[str, Any] = {"project": str(out.parent / "tensorboard" / out.name)}
    else:
        settings = {"name": out.name, "config": spec.table()}
    with tracked(library, **settings) as tracker:

        def send(run: Run) -> Run:
            if run.result is not None:
                tracker.scores(run.result)
            return run

        yield send


def _started(library: str, project: str, settings: Mapping[str, Any]) -> Any:
    if library == "wandb":
        module = require("wandb", "track")
    else:
        module = _trackio()
    with explained(f"{library} cannot start", TypeError, ValueError, RuntimeError, OSError):
        return module.init(project=project, **settings)


def _trackio() -> Any:
    """Not in an extra: its versions ask for older pictures' and web packages than the others here."""
    try:
        return importlib.import_module("trackio")
    except ImportError:
        raise MissingExtraError("the Python package for 'trackio' is not installed: run  pip install trackio") from None


class _Board:
    """Scalars of TensorBoard, behind the same two methods."""

    def __init__(self, folder: Path) -> None:
        require("tensorboard", "track")
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder))

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        for name, value in data.items():
            self.writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self.writer.close()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
