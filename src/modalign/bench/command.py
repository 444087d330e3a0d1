"""What ``modalign bench`` does: read a suite, run what is asked of it, sum up, report."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModalignError, unknown
from ..features.on_ray import wants_ray
from ..files import write_text
from ..outputs import claim, file_out
from ..parameters import Count, Positive, checked
from ..progress import Progress, silent
from ..report.bench import write_bench
from ..report.bench.rows import ranked
from ..runs import Run
from . import cell, robust, runner, tables, tune
from .results import BenchFolder
from .suite import Suite, choose, own, read
from .summary import summarise

#: Suites that come with the package.
SHIPPED = Path(__file__).parent / "suites"


def find(suite: str) -> Path:
    """The file of a suite: a path, or the bare name of one that comes with the package.

    Raises:
        ModalignError: a bare name that no suite of the package has.
    """
    path = Path(suite)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    shipped = SHIPPED / f"{suite}.toml"
    if not shipped.is_file():
        raise unknown("suite", suite, (p.stem for p in SHIPPED.glob("*.toml")))
    return shipped


@checked
def bench(
    suite: str,
    out: Path,
    methods: Sequence[str] = (),
    settings: Sequence[str] = (),
    parts: Sequence[str] = (),
    seeds: Sequence[int] = (),
    workers: Count | None = None,
    hours: Positive | None = None,
    overrides: Sequence[str] = (),
    redo: bool = False,
    run: bool = True,
    export: Path | None = None,
    progress: Progress = silent,
    engine: str = "local",
    address: str | None = None,
) -> dict[str, Any]:
    """Run what is left of a suite, or of a piece of it, and sum up all that its folder holds.

    Args:
        suite: file, or name of a shipped suite. out: folder of the bench.
        methods, settings, parts, seeds: only these; none: all. Other results of the folder stay and are shown.
        workers: processes. hours: start nothing new after so long. overrides: ``key=value`` changes of the suite.
        redo: forget the chosen cells and their tunings first. run: False only sums up.
        export: a Markdown page to write. engine: "local" or "ray". address: of a Ray cluster.
    """
    on_ray = wants_ray(engine, address)
    made = read(find(suite), overrides)
    robust.check_plan(made)
    cells = choose(made, methods, settings, parts, seeds)
    if export is not None:
        file_out(export, (".md", ".txt"), [find(suite)])
    before = sum(Run(cell.folder_of(out, *c)).result is not None for c in cells)
    nothing = ModalignError(f"{out} holds no results of the suite '{made.name}' to sum up: run it first")
    if not run and not out.exists():
        raise nothing
    with claim(out, "bench", inputs=[find(suite)]):
        own(out, made.name, made.title, made.about)
        if not run and not BenchFolder(made, out).results:
            raise nothing
        if redo:
            forget(cells, out)
        if run:
            counts = runner.run_suite(made, cells, out, workers, hours, progress, (address or "") if on_ray else None)
        else:
            counts = {"done": 0, "before": before, "failed": 0, "left": len(cells) - before}
        sets = [word for entry in overrides for word in ("--set", entry)]
        call = shlex.join(["modalign", "bench", str(suite), "--out", str(out), *sets])
        return finish(made, call, out, counts, export, progress)


def forget(cells: Sequence[runner.Cell], out: Path) -> None:
    """Remove cells, and the tunings of their methods."""
    for setting, method, seed in cells:
        shutil.rmtree(cell.folder_of(out, setting, method, seed), ignore_errors=True)
        record = tune.path_of(out, setting, method)
        record.unlink(missing_ok=True)
        shutil.rmtree(tune.work_of(record), ignore_errors=True)


def finish(
    suite: Suite, call: str, out: Path, counts: Mapping[str, int], export: Path | None, progress: Progress
) -> dict[str, Any]:
    """Statistics, tables and the report of all that the folder holds."""
    held = BenchFolder(suite, out)
    result = {"suite": suite.name, "out": str(out), "counts": dict(counts), "failed": held.failed, "mean_recall": {}}
    if not held.results:
        return result
    summary = summarise(held, call, progress)
    written = tables.write_all(summary, out / "tables")
    if export is not None:
        write_text(export, tables.markdown(summary))
        written.append(export)
    result["mean_recall"] = {s["name"]: {m: row["value"] for m, row in ranked(s)} for s in summary["settings"]}
    return {**result, "tables": [str(p) for p in written], "report": str(write_bench(out))}


def listing(
    suite: str,
    overrides: Sequence[str] = (),
    methods: Sequence[str] = (),
    settings: Sequence[str] = (),
    parts: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> dict[str, Any]:
    """What a suite holds, without running anything: settings by part with their methods; or what is chosen of it."""
    made = read(find(suite), overrides)
    cells = choose(made, methods, settings, parts, seeds)
    chosen: dict[str, tuple[str, list[str]]] = {}
    for s, method, _ in cells:
        own = chosen.setdefault(f"{s.part}/{s.name}", (s.name, []))[1]
        own += [method] if method not in own else []
    return {
        "suite": made.name,
        "title": made.title,
        "seeds": list(seeds or made.seeds),
        "settings": [
            {"name": name, "part": key.partition("/")[0], "methods": own} for key, (name, own) in chosen.items()
        ],
        "cells": len(cells),
    }
