"""Suites of migration: adapters over numbers of pairs and seeds, with equal trials, scored on queries nobody saw."""

from __future__ import annotations

import hashlib
import itertools
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..files import read_table, to_json, write_json, write_text
from ..migration import curved, linear
from ..migration.choose import LAST, Candidate, Fit, FullAdapter, StoreSample, Trials, best
from ..migration.curve import choose_rows
from ..migration.linear import Sample
from ..migration.lists import ndcg, nearest, overlap
from ..outputs import claim, file_out
from ..progress import Progress, silent
from ..registry import check
from ..specification import read_toml
from .cell import check_kept
from .entries import product
from .moving_data import K, ModelPair, Parts, load, split
from .suite import own


@dataclass(frozen=True)
class Moving:
    """A suite of migration. ways: how pairs are chosen, at way_pairs by way_methods; the main grid draws at random."""

    name: str
    kind: str
    data: dict[str, Any]
    pairs: list[int]
    methods: list[str]
    title: str = ""
    about: str = ""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    store: float = 0.5
    fresh: float = 0.3
    ways: list[str] = field(default_factory=list)
    way_pairs: list[int] = field(default_factory=list)
    way_methods: list[str] = field(default_factory=list)


def is_moving(path: Path) -> bool:
    """Whether a suite file is one of migration."""
    with suppress(ModalignError):  # which the reader of the file will tell
        return path.is_file() and read_toml(path, "suite").get("kind") == "migration"
    return False


def read_moving(path: Path, overrides: Sequence[str] = ()) -> Moving:
    """Read a suite file, checked. Raises ModalignError for unknown keys, methods and impossible numbers."""
    suite = Moving(**check(Moving, read_toml(path, "suite", overrides), str(path)))
    for name in [*suite.methods, *suite.way_methods]:
        check_known(f"method of {path}", name, TRIED)
    if not 0 < suite.store + suite.fresh < 1 or not suite.seeds or not suite.pairs:
        raise ModalignError(f"{path}: shares must leave a test, and a suite needs seeds and pairs")
    return suite


def _each(method: str, fit: Fit, settings: Iterable[Mapping[str, float]]) -> list[Candidate]:
    """A method with each of some settings."""
    return [Candidate(method, ", ".join(f"{k} {v:g}" for k, v in s.items()), partial(fit, **s)) for s in settings]


CENTRED = [
    {"centred": True, "gain": g, "scaled": s} for g, s in ((1.5, False), (2.0, False), (3.0, False), (2.0, True))
]
RANKS = [*product(rank=[64, 128], strength=[0.01, 0.1]), *product(rank=[64, 128], strength=[0.1], scaled=[True])]
#: The adapters with six settings each to try. The first four are those of arXiv 2509.23471 and ridge regression.
TRIED: Mapping[str, Callable[[FullAdapter], list[Candidate]]] = {
    "orthogonal": lambda full: _each("orthogonal", linear.orthogonal, [{}, {"scaled": True}, *CENTRED]),
    "ridge": lambda full: _each("ridge", linear.ridge, product(strength=[0.01, 0.03, 0.1, 0.3, 1.0, 3.0])),
    "low_rank": lambda full: _each("low_rank", linear.low_rank, RANKS),
    "perceptron": lambda full: _each(
        "perceptron", curved.perceptron, product(lr=[1e-3, 3e-3, 3e-4], scaled=[False, True])
    ),
    "cca": lambda full: _each("cca", linear.canonical, product(strength=[0.3, 1.0, 3.0], power=[1.0, 0.5])),
    "local": lambda full: _each("local", curved.local, product(places=[4, 8, 16], strength=[0.3, 1.0])),
    "full": lambda full: full.candidates(),
}
KEPT: Mapping[str, Any] = {
    "method": str, "pairs": int, "way": str, "seed": int, "kept": float, "ndcg": float, "cpu_seconds": float,
    "queries": list[int],
}  # fmt: skip
"""What tables are made of, in the file of a cell."""


@dataclass(frozen=True)
class MigrationCell:
    """A method with so many pairs, drawn in a way, and a seed."""

    method: str
    pairs: int
    way: str
    seed: int

    def path(self, out: Path) -> Path:
        """Where its result lies."""
        return out / "cells" / f"{self.way}-{self.pairs}" / f"{self.method}-{self.seed}.json"


def cells(suite: Moving) -> list[MigrationCell]:
    """All cells, seed by seed, so that a run that is cut short has whole curves; the main grid first."""
    grid = [MigrationCell(m, n, "random", s) for s in suite.seeds for n in suite.pairs for m in suite.methods]
    extra = itertools.product(suite.seeds, suite.way_pairs, suite.ways, suite.way_methods)
    return list(dict.fromkeys([*grid, *(MigrationCell(m, n, w, s) for s, n, w, m in extra)]))


def identity(suite: Moving) -> str:
    """What every cell depends on: the data and how they are split. A cell of others is none of this suite's."""
    facts = to_json([suite.data, suite.store, suite.fresh], sort_keys=True)
    return hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()


def finished(cell: MigrationCell, out: Path, key: str) -> dict[str, Any] | None:
    """The result of a cell, where its folder holds that of the same data."""
    path = cell.path(out)
    if not path.exists():
        return None
    found = read_table(path, "result of a cell")
    if found.get("key") != key:
        return None
    check_kept(found, KEPT, path)
    return found


def run_cell(cell: MigrationCell, pool: ModelPair, parts: Parts, truth: Tensor) -> dict[str, Any]:
    """Fit what the method may try on the pairs, a part of them held out; refit the best on all; score it on the test.

    Kept: overlap@10 and nDCG of new-model queries, mapped, with ``truth``: the old model's lists over the whole store.
    """
    old, new = pool.old[parts.store], pool.new[parts.store]
    if cell.way == "random":
        rows = torch.randperm(len(old), generator=torch.Generator().manual_seed(cell.seed))[: cell.pairs]
    else:
        rows = choose_rows(old, cell.pairs, cell.way, cell.seed)
    raw = Sample(new[rows], old[rows], torch.cat([pool.new[parts.fresh], new[rows]]), old)
    spent = time.process_time()
    trials = Trials(raw, StoreSample.of(old, rows, raw.y, "cosine", K), cell.seed)
    tried = [trials.run(c, "queries") for c in TRIED[cell.method](FullAdapter(cell.seed))]
    won = best(tried).candidate
    adapter = won.fit(raw.units().linked(torch.arange(len(rows)), LAST))
    spent = time.process_time() - spent
    found = nearest(adapter(pool.new[parts.test]), old, K)
    kept = overlap(found, truth)
    return {
        "method": cell.method, "pairs": cell.pairs, "way": cell.way, "seed": cell.seed, "chosen": won.label,
        "trials": {t.candidate.label: round(float(t.kept.criterion().mean()), 4) for t in tried},
        "kept": float(kept.mean()), "ndcg": float(ndcg(found, truth).mean()), "cpu_seconds": round(spent, 1),
        "queries": (kept * K).round().int().tolist(),
    }  # fmt: skip


def bench_migration(
    path: Path, out: Path, methods: Sequence[str] = (), seeds: Sequence[int] = (), overrides: Sequence[str] = (),
    run: bool = True, redo: bool = False, export: Path | None = None, hours: float | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:  # fmt: skip
    """Run what is left of a suite of migration and sum up what its folder holds. Arguments as of ``command.bench``."""
    suite = read_moving(path, overrides)
    if export is not None:
        file_out(export, (".md", ".txt"), [path])
    with claim(out, "bench", inputs=[path]):
        own(out, suite.name, suite.title, suite.about)
        key = identity(suite)
        wanted = [c for c in cells(suite) if (not methods or c.method in methods) and (not seeds or c.seed in seeds)]
        for cell in wanted if redo else []:
            cell.path(out).unlink(missing_ok=True)
        left = [c for c in wanted if finished(c, out, key) is None]
        if run and left:
            run_cells(suite, left, out, key, hours, progress)
        return summed_up(suite, out, key, shlex.join(["modalign", "bench", str(path), "--out", str(out)]), export)


def run_cells(
    suite: Moving, left: Sequence[MigrationCell], out: Path, key: str, hours: float | None, progress: Progress
) -> None:
    """Run cells in turn, each written down as it ends; nothing new is begun after so many hours."""
    start = time.monotonic()
    pool = load(suite.data, out, progress)
    parts = split(pool, suite.store, suite.fresh, 123)
    truth = nearest(pool.old[parts.test], pool.old[parts.store], K)
    for done, cell in enumerate(left):
        if hours is not None and time.monotonic() - start > 3600 * hours:
            break
        progress(done, len(left), "cells")
        write_json(cell.path(out), {"key": key, **run_cell(cell, pool, parts, truth)})
    progress(len(left), len(left), "cells")


def summed_up(suite: Moving, out: Path, key: str, call: str, export: Path | None) -> dict[str, Any]:
    """Tables and page of all cells that a folder holds."""
    from .moving_tables import markdown, summarise, write_page

    held = [found for c in cells(suite) if (found := finished(c, out, key)) is not None]
    result: dict[str, Any] = {"suite": suite.name, "out": str(out), "cells": len(held), "of": len(cells(suite))}
    if not held:
        return result
    summary = summarise(suite.title, suite.about, held)
    write_json(out / "summary.json", summary)
    tables, text = out / "tables.md", markdown(summary, call)
    for path in (tables,) if export is None else (tables, export):
        write_text(path, text)
    return {**result, "lead": summary["lead"], "tables": str(tables), "report": str(write_page(summary, out))}


def bench_text(result: Mapping[str, Any]) -> str:
    """The result for people."""
    lines = [f"{result['cells']} of {result['of']} cells"]
    lines += [
        f"  {e['pairs']:>6} pairs: full {100 * e['full']:.1f} %, best published {100 * e['best']:.1f} % "
        f"({e['method']}): {100 * e['lead']:+.0f} %"
        for e in result.get("lead", [])
    ]
    lines += [f"report: {result['report']}"] if "report" in result else []
    return "\n".join(lines)
