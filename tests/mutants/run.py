"""Mutation tests: each entry of the tables beside this file puts one small fault into a copy of the sources.

    python tests/mutants/run.py [WORD ...] [--jobs 2]

A mutant is caught where its tests fail. With words only the mutants run whose name or file holds one of them. The
working tree is never touched: each mutant is applied to a temporary copy of src that comes first on the path. Exits
with 1 if more than ``MOST`` survive, with 2 if a table does not fit the sources or its tests fail without any fault.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import os
import py_compile
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TABLES = Path("tests") / "mutants"
MOST = 2  # survivors
FAILED = 1  # pytest's exit status where tests ran and some failed
PYTEST = ("-q", "-x", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist")
LOADED = ("pytest", "torch", "scipy.stats", "scipy.sparse")  # once: children that are forked have them at once


class Misfit(Exception):
    """A table that does not fit the sources or the tests."""


class Mutant(NamedTuple):
    """A fault: in a file below src/modalign one text, found exactly once, becomes another; tests that should fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The source with the fault."""
        count = source.count(self.old)
        if count != 1 or self.old == self.new:
            raise Misfit(f"{self.name}: {self.file} holds {count} times {self.old!r}: it must hold it once")
        return source.replace(self.old, self.new)


def read_tables(root: Path = ROOT) -> list[Mutant]:
    """All mutants, table by table."""
    found = []
    for path in sorted((root / TABLES).glob("*.toml")):
        found += [
            Mutant(**{**entry, "tests": tuple(entry["tests"])})
            for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
        ]
    names = [m.name for m in found]
    if len(set(names)) < len(names):
        raise Misfit(f"two mutants of one name: {sorted(n for n in names if names.count(n) > 1)}")
    return found


def copied(source: Path, target: Path) -> Path:
    """A copy of src with byte code that is checked by content, since a mutant may keep size and second of a file."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return target


def start(tests: tuple[str, ...], source: Path, root: Path) -> int:
    """Run some tests on some sources in a child process; its id. What it says goes to a file beside the sources."""
    child = os.fork()
    if child:
        return child
    status = 3
    try:
        log = os.open(source.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(root)
        os.environ.update(PYTHONPATH=str(source), PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1")
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(source))
        status = int(sys.modules["pytest"].main([*PYTEST, *tests]))
        sys.stdout.flush()
    finally:
        os._exit(status)


def said(source: Path) -> str:
    """The end of what the tests on these sources said."""
    return source.with_suffix(".log").read_text(encoding="utf-8", errors="replace")[-3000:]


class Trial(NamedTuple):
    """A mutant at work: where its fault is, and what stood there."""

    mutant: Mutant
    source: Path
    path: Path
    right: str


def begin(mutant: Mutant, source: Path, root: Path) -> tuple[int, Trial]:
    """Apply a mutant to a copy of the sources and start its tests."""
    path = source / "modalign" / mutant.file
    right = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(right), encoding="utf-8")
    return start(mutant.tests, source, root), Trial(mutant, source, path, right)


def end(trial: Trial, status: int) -> bool:
    """Set the sources right; whether the mutant was caught."""
    trial.path.write_text(trial.right, encoding="utf-8")
    if status not in (0, FAILED):
        raise Misfit(f"{trial.mutant.name}: {' '.join(trial.mutant.tests)} did not run:\n{said(trial.source)}")
    print(f"{'caught  ' if status else 'SURVIVED'} {trial.mutant.file}: {trial.mutant.name}", flush=True)
    return status == FAILED


def run(mutants: list[Mutant], jobs: int, root: Path = ROOT) -> list[Mutant]:
    """Try all; the survivors. Prints a line for each."""
    for m in mutants:  # a table that does not fit is told before anything runs
        m.applied((root / "src" / "modalign" / m.file).read_text(encoding="utf-8"))
    for name in LOADED if root == ROOT else LOADED[:1]:
        importlib.import_module(name)
    waiting, running, alive = list(mutants), {}, []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        free = [copied(root / "src", Path(folder) / str(k)) for k in range(jobs)]
        tests = tuple(dict.fromkeys(t for m in mutants for t in m.tests))
        if os.waitstatus_to_exitcode(os.waitpid(start(tests, free[0], root), 0)[1]):
            raise Misfit(f"the tests fail without any fault:\n{said(free[0])}")
        while waiting or running:
            while waiting and free:
                child, trial = begin(waiting.pop(0), free.pop(), root)
                running[child] = trial
            child, status = os.wait()
            trial = running.pop(child)
            if not end(trial, os.waitstatus_to_exitcode(status)):
                alive.append(trial.mutant)
            free.append(trial.source)
    return alive


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="run only mutants whose name or file holds one of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of src and tests")
    given = parser.parse_args()
    try:
        mutants = [
            m for m in read_tables(given.root) if not given.words or any(w in m.name + m.file for w in given.words)
        ]
        alive = run(mutants, max(1, given.jobs), given.root)
    except Misfit as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{len(mutants) - len(alive)} caught, {len(alive)} survived")
    return int(len(alive) > MOST)


if __name__ == "__main__":
    sys.exit(main())
