"""Mutation tests: each entry of the tables beside this file puts one small fault into a copy of the sources.

    python tests/mutants/run.py [WORD ...] [--jobs 2]

A mutant is caught where its tests fail. With words only the mutants run whose name or file holds one of them. The
working tree is never touched: each mutant is applied to a temporary copy of src that comes first on PYTHONPATH. Exits
with 1 if more than ``MOST`` survive, with 2 if a table does not fit the sources or its tests fail without any fault.
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MOST = 2  # survivors
FAILED = 1  # pytest's exit status where tests ran and some failed
PYTEST = ("-m", "pytest", "-q", "-x", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:randomly")


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


def read_tables(folder: Path = HERE) -> list[Mutant]:
    """All mutants, table by table."""
    found = []
    for path in sorted(folder.glob("*.toml")):
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


def pytest(tests: tuple[str, ...], source: Path, root: Path) -> tuple[int, str]:
    """Exit status and output of some tests on some sources."""
    environment = {
        **os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, *PYTEST, *tests]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def caught(mutant: Mutant, source: Path, root: Path = ROOT) -> bool:
    """Whether the mutant's tests fail with its fault in this copy of the sources, which is set right afterwards."""
    path = source / "modalign" / mutant.file
    right = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(right), encoding="utf-8")
    try:
        status, output = pytest(mutant.tests, source, root)
    finally:
        path.write_text(right, encoding="utf-8")
    if status not in (0, FAILED):
        raise Misfit(f"{mutant.name}: its tests did not run ({' '.join(mutant.tests)}):\n{output[-1500:]}")
    return status == FAILED


def run(mutants: list[Mutant], jobs: int, source: Path = ROOT / "src", root: Path = ROOT) -> list[Mutant]:
    """Try all; the survivors. Prints a line for each."""
    for m in mutants:  # a table that does not fit is told before anything runs
        m.applied((source / "modalign" / m.file).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: queue.Queue[Path] = queue.Queue()
        for k in range(jobs):
            copies.put(copied(source, Path(folder) / str(k)))
        tests = tuple(dict.fromkeys(t for m in mutants for t in m.tests))
        status, output = pytest(tests, Path(folder) / "0", root)
        if status:
            raise Misfit(f"the tests fail without any fault:\n{output[-3000:]}")

        def tried(m: Mutant) -> bool:
            copy = copies.get()
            try:
                good = caught(m, copy, root)
            finally:
                copies.put(copy)
            print(f"{'caught  ' if good else 'SURVIVED'} {m.file}: {m.name}", flush=True)
            return good

        with ThreadPoolExecutor(jobs) as pool:
            good = list(pool.map(tried, mutants))
    return [m for m, g in zip(mutants, good, strict=True) if not g]


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="run only mutants whose name or file holds one of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    try:
        mutants = [m for m in read_tables() if not given.words or any(w in m.name + m.file for w in given.words)]
        alive = run(mutants, max(1, given.jobs))
    except Misfit as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{len(mutants) - len(alive)} caught, {len(alive)} survived")
    return int(len(alive) > MOST)


if __name__ == "__main__":
    sys.exit(main())
