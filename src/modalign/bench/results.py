"""What a bench folder holds: the results of a suite's cells, with what their queries found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..files import read_json
from . import cell, tune
from .scoring import Direction, load_queries
from .suite import Setting, Suite, choose


@dataclass(frozen=True)
class Result:
    """A cell that was run.

    Args:
        setting, method, seed: which one. table: its ``result.json``. folder: where it lies.
    """

    setting: Setting
    method: str
    seed: int
    table: Mapping[str, Any]
    folder: Path

    @cached_property
    def queries(self) -> dict[str, Direction]:
        """What each query found."""
        return load_queries(self.folder / cell.QUERIES)

    @property
    def recall(self) -> float:
        """Mean recall on test, in [0, 1]."""
        return float(self.table["scores"]["mean_recall"])


class Bench:
    """The results of a suite in a folder, by setting and method; cells that were not run are absent.

    Args:
        suite: the benchmark. out: its folder.
    """

    def __init__(self, suite: Suite, out: Path) -> None:
        self.suite, self.out = suite, out
        self.results: list[Result] = []
        self.failed: list[dict[str, Any]] = []
        for setting, method, seed in choose(suite):
            folder = cell.folder_of(out, setting, method, seed)
            if not (folder / cell.RESULT).exists():
                continue
            table = read_json(folder / cell.RESULT, "result of a cell")
            if "scores" in table and "error" not in table:
                self.results.append(Result(setting, method, seed, table, folder))
            else:
                self.failed.append({"setting": setting.name, "method": method, "seed": seed, **table})

    def at(self, setting: Setting) -> dict[str, list[Result]]:
        """Method -> its results on a setting, by seed, in the order of the suite."""
        found: dict[str, list[Result]] = {}
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
        path = tune.path_of(self.out, setting, method)
        return read_json(path, "record of a tuning") if path.exists() else {}


def group_scores(queries: Mapping[str, Direction]) -> tuple[np.ndarray, np.ndarray]:
    """What each group adds to mean recall: ids (g,) and values (g,) whose mean is the mean recall.

    v_g = mean over directions of (sum of the group's hits, mean over k) / (mean number of queries of a group): a photo
    and its captions move together, in every direction.

    Example:
        >>> d = Direction(np.array([1, 1, 2]), np.ones((3, 3)), np.zeros(3), np.ones(3))
        >>> ids, values = group_scores({"a->b": d})
        >>> ids.tolist(), float(values.mean())
        ([1, 2], 1.0)
    """
    ids = np.unique(np.concatenate([d.group for d in queries.values()]))
    total = np.zeros(len(ids))
    for d in queries.values():
        where = np.searchsorted(ids, d.group)
        sums = np.bincount(where, d.hits.mean(1, dtype=np.float64), len(ids))
        total += sums / (len(d.group) / len(ids)) / len(queries)
    return ids, total


def matrix(results: Sequence[Result]) -> tuple[np.ndarray, np.ndarray]:
    """Ids (g,) that all seeds share, and their values (seeds, g)."""
    columns = [group_scores(r.queries) for r in results]
    ids = columns[0][0]
    for other, _ in columns[1:]:
        ids = np.intersect1d(ids, other)
    return ids, np.stack([v[np.searchsorted(own, ids)] for own, v in columns])
