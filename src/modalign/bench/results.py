"""What a bench folder holds: the results of a suite's cells, with what their queries found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np

from ..metrics.found import Direction, Found, load
from ..metrics.mean_recall import recalls, sums_of
from ..metrics.score import Score
from ..runs import Result, Run
from . import cell, tune
from .setting import Setting
from .suite import Suite, choose

KEPT: Mapping[str, Any] = {
    "geometry": list[str], "cost": dict[str, float], "cpu_seconds": float, "dev": float | None,
    "procrustes_draws": list[float] | None, "pairs": int, "mean_recall": float,
}  # fmt: skip
"""What tables are made of, in the file of a cell."""


@dataclass(frozen=True)
class Cell:
    """A cell that was run.

    Args:
        setting, method, seed: which one. result: what was measured. folder: where it lies.
    """

    setting: Setting
    method: str
    seed: int
    result: Result
    folder: Path

    @cached_property
    def found(self) -> dict[Direction, Found]:
        """What each query found."""
        return load(self.folder / cell.FOUND)

    @property
    def record(self) -> Mapping[str, Any]:
        """What else is known of the fit: its cost, dev score and settings of the program."""
        return self.result.record

    @property
    def pairs(self) -> int:
        """Linked groups in training."""
        return int(self.result.data["pairs"])

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Scores of retrieval on test by key."""
        return {k: s for k, s in self.result.methods[self.method].scores.items() if k not in self.record["geometry"]}

    @cached_property
    def geometry(self) -> dict[str, Score]:
        """Geometry of the shared space by measure."""
        return {k: s for k, s in self.result.methods[self.method].scores.items() if k in self.record["geometry"]}

    @property
    def recall(self) -> float:
        """Mean recall on test, in [0, 1]."""
        return self.scores["mean_recall"].value


def whole(c: Cell) -> Cell:
    """The cell, where its file holds all that tables are made of.

    Raises:
        ModalignError: something is missing or of another kind, since somebody changed the file; names both.
    """
    own = c.result.methods.get(c.method)
    recall = None if own is None else own.scores.get("mean_recall")
    cost, pairs = c.record.get("cost"), c.result.data.get("pairs")
    more = {"pairs": pairs, "mean_recall": recall and recall.value}
    facts = {**(cost if isinstance(cost, Mapping) else {}), **c.record, **more}
    cell.check_kept(facts, KEPT, Run(c.folder).file("result"))
    return c


class BenchFolder:
    """The results of a suite in a folder, by setting and method; cells that were not run are absent.

    Args:
        suite: the benchmark. out: its folder.
    """

    def __init__(self, suite: Suite, out: Path) -> None:
        self.suite, self.out = suite, out
        self.results: list[Cell] = []
        self.failed: list[dict[str, Any]] = []
        for setting, method, seed in choose(suite):
            folder = cell.folder_of(out, setting, method, seed)
            result = Run(folder).result
            if result is None:
                continue
            if result.methods:
                self.results.append(whole(Cell(setting, method, seed, result, folder)))
            else:
                why = result.skipped.get(cell.REFUSED)
                self.failed.append({"setting": setting.name, "method": method, "seed": seed, "error": why})

    def at(self, setting: Setting) -> dict[str, list[Cell]]:
        """Method -> its results on a setting, by seed, in the order of the suite."""
        found: dict[str, list[Cell]] = {}
        for r in self.results:
            if r.setting.name == setting.name:
                found.setdefault(r.method, []).append(r)
        return found

    def settings(self) -> Iterator[Setting]:
        """The settings that have any result."""
        there = {r.setting.name for r in self.results}
        return (s for s in self.suite.distinct() if s.name in there)

    def tuning(self, setting: Setting, method: str) -> dict[str, Any]:
        """The record of a tuning, or nothing."""
        return tune.record_of(tune.path_of(self.out, setting.tuned, method))


def matrices(results: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray]:
    """What each group that all seeds share adds to mean recall, (seeds, g), and so for spreads (`Sums.evened`)."""
    sums = [sums_of(recalls(r.found.values())) for r in results]
    ids = reduce(np.intersect1d, (s.ids.numpy() for s in sums))
    rows = [np.searchsorted(s.ids.numpy(), ids) for s in sums]
    each = np.stack([s.of_each_group().numpy()[here] for s, here in zip(sums, rows, strict=True)])
    return each, np.stack([s.evened().numpy()[here] for s, here in zip(sums, rows, strict=True)])
