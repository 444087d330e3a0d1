"""One cell: a method on a setting with a seed, fitted once and measured once, in a folder of its own."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import DiskError, ModalignError
from ..metrics.found import save
from ..metrics.score import Score
from ..model import Heads, Model
from ..parameters import check_value
from ..registry import make
from ..runs import MethodResult, Result, Run
from ..runs.fit import settings_of
from ..runs.once import work_folder
from ..views import Views, concat, hold_out, linked_groups, queries_present, task_views
from .draws import dev_views, draw, training
from .scoring import dev_score, geometry, in_space, mean_recall, retrieve, scores
from .setting import Setting
from .splits import Source, Splits
from .suite import Suite

FOUND = "found.npz"
REFUSED, CRASH = "error", "crash"
"""Why a cell has no scores: the method refused, or the program failed."""


@dataclass(frozen=True)
class CellData:
    """What a setting and a seed give to every method.

    Args:
        train: with the links that are known. dev: for choosing. test: complete. asked: test with the queries' losses.
        facts: counts for the record.
    """

    train: Views
    dev: Views
    test: Views
    asked: Views
    facts: Mapping[str, Any]


def cell_data(source: Source, suite: Suite, setting: Setting, seed: int) -> CellData:
    """Draw the data of a cell."""
    splits = source.splits
    p = draw(setting, splits.train, seed, suite.target)
    train, dev = training(splits.train, p, seed), dev_views(splits.dev, setting, p.pairs, seed)
    if setting.refit:  # a fifth of dev stays out: what judges an early end must not be learnt from
        learnt, dev = hold_out(dev, seed=seed)
        train = concat([train, learnt])
    drawn = Splits(train, dev, splits.test)
    if source.finish is not None:
        drawn = source.finish(drawn)
    train, dev, test = drawn
    asked = test if suite.target is None else queries_present(test, suite.target, setting.test_missing, seed)
    facts = {
        "pairs": len(linked_groups(train)), "items": {m: len(x) for m, x in train.data.items()},
        "dev": len(dev), "test": {m: len(x) for m, x in asked.data.items()},
    }  # fmt: skip
    return CellData(train, dev, test, asked, facts)


def folder_of(out: Path, setting: Setting, method: str, seed: int) -> Path:
    """Where a cell lies."""
    return out / "cells" / setting.name / method / f"seed-{seed}"


def identity(suite: Suite, setting: Setting, method: str, seed: int, data: str, chosen: Any) -> str:
    """What a cell depends on, as a fingerprint."""
    text = f"{suite.identity(setting, method, data)} {seed} {chosen}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def finished(folder: Path, key: str) -> Result | None:
    """The result that a folder holds already, if it is that of the same cell and no failure of the program."""
    result = Run(folder).result
    return result if result is not None and result.record.get("key") == key and CRASH not in result.skipped else None


def check_kept(table: Mapping[str, Any], kinds: Mapping[str, Any], path: Path) -> None:
    """Refuse a file of a bench in which somebody changed what tables are made of.

    Raises:
        ModalignError: the file, the first entry that is missing or of another kind, and what to do.
    """
    try:
        for name, kind in kinds.items():
            check_value(kind, table.get(name), f"'{name}'")
    except ModalignError as problem:
        raise ModalignError(f"{path} is damaged ({problem}): delete it and run the bench again") from None


def failure(setting: Setting, method: str, seed: int, why: Mapping[str, str], **record: Any) -> Result:
    """The result of a cell that has no scores."""
    facts = {"setting": setting.name, "method": method, **record}
    return Result(f"{method} on {setting.name}", {}, seeds=(seed,), skipped=dict(why), record=facts)


def prepared(method: Mapping[str, Any], name: str, seed: int, suite: Suite, setting: Setting) -> Any:
    """The method with its seed, and with the suite's task where it can choose by that."""
    accepted = settings_of(name)
    told: dict[str, Any] = {"seed": seed} if "seed" in accepted else {}
    if suite.target is not None:
        task = {"target": suite.target, "lost": setting.test_missing}
        told |= {k: v for k, v in task.items() if k in accepted}
    return make("method", name, **{**method, **told})


def train_of(data: CellData, paired_only: bool) -> Views:
    """The training views that a method may see."""
    return data.train.groups(linked_groups(data.train)) if paired_only else data.train


def run_cell(
    suite: Suite, setting: Setting, method: str, seed: int, data: CellData, tuning: Mapping[str, Any], folder: Path,
    key: str,
) -> Result:  # fmt: skip
    """Fit with what tuning chose, score the test split once, and leave the result and what each query found.

    A user's or a method's refusal (too few pairs, say) becomes a result that says why; the bench goes on.
    """
    entry = suite.entries[method]
    known: dict[str, Any] = {"key": key, "version": __version__, "code": code()}
    try:
        with measured() as cost:
            part = prepared(tuning["settings"], entry.method, seed, suite, setting)
            with work_folder(folder / "work", key) as work:
                heads = part.fit(train_of(data, entry.paired_only), data.dev, run=work)
        scores, record = measure_heads(suite, heads, data, folder, seed)
        known |= {"setting": setting.name, "method": method, "cost": cost, **record}
        known["dev"] = tuning.get("dev")
        if not setting.refit:
            known["dev"] = dev_score(heads, data.dev, suite.target, setting.test_missing, seed)
        known["fit"] = {k: v for k, v in part.record.items() if k in ("chosen", "training", "cost", "dev_is")}
        result = Result(
            title=f"{entry.label} on {setting.name}",
            methods={method: MethodResult(entry.label, scores, cost["seconds"], data.facts["pairs"])},
            data=data.facts,
            seeds=(seed,),
            settings=tuning["settings"],
            record=known,
        )
        if method in suite.keep and seed == suite.seeds[0]:
            Model(heads, method={"name": entry.method, **tuning["settings"]}).save(folder)
    except DiskError:
        raise
    except ModalignError as problem:
        result = failure(setting, method, seed, {REFUSED: str(problem)}, **known)
    Run(folder).keep(result)
    return result


def measure_heads(
    suite: Suite, heads: Heads, data: CellData, folder: Path, seed: int
) -> tuple[dict[str, Score], dict[str, Any]]:
    """Scores and geometry on test, and what else is kept; what each query found goes to its own file first."""
    whole = in_space(heads, data.test)
    z = whole if data.asked is data.test else in_space(heads, data.asked)
    found = retrieve(task_views(z, suite.target))
    save(folder / FOUND, found)
    shape, draws = geometry(whole)
    record: dict[str, Any] = {"geometry": list(shape), "procrustes_draws": draws}
    if suite.target is not None:
        record["pairwise"] = mean_recall(retrieve(whole)).json()
    return {**scores(found), **shape}, record


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds, processor seconds and the growth of memory (MB) of what runs inside, filled in at its end."""
    cost: dict[str, float] = {}
    _reset_peak()
    before, wall, cpu = _status("VmRSS"), time.perf_counter(), time.process_time()
    yield cost
    cost["seconds"] = round(time.perf_counter() - wall, 3)
    cost["cpu_seconds"] = round(time.process_time() - cpu, 3)
    cost["memory_mb"] = round(max(0.0, _status("VmHWM") - before), 1)


def _reset_peak() -> None:
    """Forget the highest memory so far, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> float:
    """A field of this process's status in MB; where there is none, the highest memory of its life."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return float(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@lru_cache(maxsize=1)
def code() -> str:
    """Fingerprint of the program's source, so that results of different code can be told apart."""
    digest = hashlib.blake2b(digest_size=6)
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in ("bench", "report", "search", "cli", "demo.py"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
