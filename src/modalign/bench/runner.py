"""Running a suite: tunings, then cells, in processes of one thread each; what is there already is not done again."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from ..errors import DiskError, ModalignError
from ..files import write_json
from ..progress import Progress, kept, silent
from ..runs import Run
from . import cell, robust, tune
from .draws import draw
from .setting import Setting
from .sources import load
from .splits import Source
from .suite import Suite
from .workers import Here, Pool, RayWorkers, Workers

Cell = tuple[Setting, str, int]
Sources = Mapping[str | None, Source]
DRAWN = 4  # settings with a seed whose data a process keeps


class Job(NamedTuple):
    """Work for one process: a tuning (no seed), or a cell."""

    setting: Setting
    method: str
    seed: int | None = None


class Work(NamedTuple):
    """What every process needs to know."""

    suite: Suite
    out: Path
    data: Mapping[str | None, str]


def run_suite(
    suite: Suite,
    cells: Sequence[Cell],
    out: Path,
    workers: int | None = None,
    hours: float | None = None,
    progress: Progress = silent,
    ray: str | None = None,
) -> dict[str, int]:
    """Do what is left of some cells of a suite.

    Args:
        suite: the benchmark. cells: which of its cells, as from ``suite.choose``.
        out: folder of the bench. A second call, also after a kill, does only what is missing or has changed.
        workers: processes; None: one per core. With 1 the work is done in this process.
        hours: start nothing new after so long; None: no limit.
        ray: address of a Ray cluster whose processes do the work, "" for one of this machine; None: no Ray.

    Returns: counts: done now, there before, failed, left.

    Raises:
        ModalignError: data that are not there, or a process that was killed.
    """
    sources = {v: load(suite.data_of(v), progress) for v in dict.fromkeys(s.variant for s, _, _ in cells)}
    check_sizes(cells, sources, suite.target)
    work = Work(suite, out, {v: s.fingerprint() for v, s in sources.items()})
    facts = {v or "": {"fingerprint": work.data[v], **dict(s.facts or {})} for v, s in sources.items()}
    write_json(out / "data.json", facts)
    counts = {"done": 0, "before": 0, "failed": 0, "left": 0}
    end = time.monotonic() + 3600 * hours if hours is not None else float("inf")
    with (
        one_thread(),
        kept(lambda: f"{counts['done'] + counts['before']} of {len(cells)} cells and all trials are kept"),
    ):
        _run(work, cells, pool_of(workers, work, sources, len(cells), ray), end, counts, progress)
        if time.monotonic() < end:
            counts["robustness"] = robust.run_robustness(suite, sources, out, progress)
    return counts


def pool_of(workers: int | None, work: Work, sources: Sources, cells: int, ray: str | None) -> Pool:
    """The processes that do the work: of a Ray cluster, of this machine, or this one alone."""
    if ray is not None:
        return RayWorkers(ray or None, workers, _start, work._replace(out=work.out.absolute()))
    count = min(workers or os.cpu_count() or 1, max(1, cells))
    return Workers(count, _start, work) if count > 1 else Here(_start, work, sources)


def check_sizes(cells: Sequence[Cell], sources: Sources, target: str | None) -> None:
    """Refuse settings that the data cannot give, before anything is fitted.

    Raises:
        ModalignError: naming the setting, what it asks for, and what there is.
    """
    for setting in {s.name: s for s, _, _ in cells}.values():
        try:
            draw(setting, sources[setting.variant].splits.train, 0, target)
        except ModalignError as problem:
            raise ModalignError(f"setting '{setting.name}' of the suite: {problem}") from None


def tunings_of(cells: Sequence[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """(setting that is tuned on, method) -> the cells of that tuning, in order."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for c in cells:
        found.setdefault((c[0].tuned.name, c[1]), []).append(c)
    return found


def _run(work: Work, cells: Sequence[Cell], pool: Pool, end: float, counts: dict[str, int], progress: Progress) -> None:
    """Tunings first; the cells of a tuning as soon as it is done."""
    groups = tunings_of(cells)
    tunings = [Job(group[0][0].tuned, group[0][1]) for group in groups.values()]
    waiting = tunings[::-1]
    running: dict[Future[str], Job] = {}
    done, spent, total = 0, 0, sum(fits_of(work.suite, job) for job in [*tunings, *(Job(*c) for c in cells)])
    progress(0, total, "fits")
    try:
        with pool:
            while waiting or running:
                while waiting and len(running) < pool.count and time.monotonic() < end:
                    job = waiting.pop()
                    running[pool.submit(_work, job)] = job
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job, outcome = running.pop(future), future.result()
                    spent += fits_of(work.suite, job)
                    progress(spent, total, "fits")
                    if job.seed is None:
                        own = groups[job.setting.name, job.method]
                        waiting += [Job(*c) for c in own[::-1]]
                    else:
                        counts[outcome] += 1
                        done += 1
        counts["left"] += len(cells) - done
    except BrokenProcessPool:
        raise ModalignError(
            "a process of the bench was killed, perhaps for want of memory: run the same command again to go on, "
            "with fewer --workers"
        ) from None


def fits_of(suite: Suite, job: Job) -> int:
    """What a job counts for in the progress: a tuning is as many fits as it tries settings."""
    entry = suite.entries[job.method]
    if job.seed is not None:
        return 1
    trials = suite.trials_of(job.setting)
    return trials if entry.tunes_itself else len(entry.tried(trials))


class Cache:
    """Features once per process, and the data of the last settings and seeds."""

    def __init__(self, work: Work, sources: Sources | None = None) -> None:
        self.work = work
        self.sources: dict[str | None, Source] = dict(sources or {})
        self.drawn: dict[tuple[str, int], cell.CellData] = {}

    def data(self, setting: Setting, seed: int) -> cell.CellData:
        """The data of a setting and a seed."""
        key = (setting.name, seed)
        if key not in self.drawn:
            while len(self.drawn) >= DRAWN:
                self.drawn.pop(next(iter(self.drawn)))
            if setting.variant not in self.sources:
                self.sources[setting.variant] = load(self.work.suite.data_of(setting.variant))
            self.drawn[key] = cell.cell_data(self.sources[setting.variant], self.work.suite, setting, seed)
        return self.drawn[key]


def do(job: Job, cache: Cache) -> str:
    """Do a job unless it is done: "done", "before" or "failed"."""
    work, (setting, method, seed) = cache.work, job
    suite, key = work.suite, work.suite.identity(setting.tuned, method, work.data[setting.variant])
    path = tune.path_of(work.out, setting.tuned, method)
    try:
        record = tune.finished(path, key)
        if seed is None:
            if record is None:
                tune.tune(suite, setting, method, cache.data(setting, suite.tune_seed), path, key)
            return "done"
        if record is None:
            raise ModalignError(f"the tuning of '{method}' on '{setting.name}' is not there: {path}")
        own = cell.identity(suite, setting, method, seed, work.data[setting.variant], record["settings"])
        folder = cell.folder_of(work.out, setting, method, seed)
        if cell.finished(folder, own) is not None:
            return "before"
        result = cell.run_cell(suite, setting, method, seed, cache.data(setting, seed), record, folder, own)
        return "failed" if result.skipped else "done"
    except DiskError:
        raise
    except Exception as problem:  # one broken method must not end a run of hours: write it down, tell at the end
        if seed is None:
            stub = {"key": key, "method": method, "setting": setting.name}
            write_json(path, {**stub, "trials": [], "done": False, "crash": traceback.format_exc()})
        else:
            why = {cell.REFUSED: f"{problem!r}", cell.CRASH: traceback.format_exc()}
            Run(cell.folder_of(work.out, setting, method, seed)).keep(cell.failure(setting, method, seed, why))
        return "failed"


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread here and in the processes started meanwhile: the same bits on any number of cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before, threads = {n: os.environ.get(n) for n in names}, torch.get_num_threads()
    os.environ.update(dict.fromkeys(names, "1"))
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_cache: list[Cache] = []


def _start(work: Work, sources: Sources | None = None) -> None:
    """Once in the life of a process: a place for the features, which are read when they are needed."""
    torch.set_num_threads(1)
    _cache[:] = [Cache(work, sources)]


def _work(job: Job) -> str:
    return do(job, _cache[0])
