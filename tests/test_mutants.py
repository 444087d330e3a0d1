"""The tables of mutants fit the sources, and their runner tells caught ones from survivors."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "modalign"
ONE = "def f():\n    return 1, 2\n"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants_run", TESTS / "mutants" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RUN = loaded()


@pytest.mark.parametrize("mutant", RUN.read_tables(), ids=lambda m: m.name)
def test_each_fits_the_sources_once_and_names_tests_that_are_there(mutant) -> None:
    wrong = mutant.applied((SOURCE / mutant.file).read_text(encoding="utf-8"))
    ast.parse(wrong)
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert (TESTS.parent / path).is_file()
        assert f"def {name}(" in (TESTS.parent / path).read_text(encoding="utf-8") or not name


TABLE = """
[[mutant]]
name = "{name}"
file = "one.py"
old = "{old}"
new = "{new}"
tests = ["{test}"]
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The runner on a package of one function, whose test sees only one of its two numbers."""
    package, tables = tmp_path / "src" / "modalign", tmp_path / "tests" / "mutants"
    package.mkdir(parents=True)
    tables.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "one.py").write_text(ONE)
    (tmp_path / "test_one.py").write_text("def test_f():\n    from modalign.one import f\n\n    assert f()[0] == 1\n")

    def run(*mutants: tuple[str, str, str, str]) -> subprocess.CompletedProcess[str]:
        keys = ("name", "old", "new", "test")
        text = "".join(TABLE.format(**dict(zip(keys, m, strict=True))) for m in mutants)
        (tables / "one.toml").write_text(text)
        command = [sys.executable, RUN.__file__, "--jobs", "1", "--root", str(tmp_path)]
        bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins take longer than the tests
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=bare)
        assert (package / "one.py").read_text() == ONE
        return done

    return run


def test_the_runner_tells_caught_from_surviving(program) -> None:
    seen, unseen = ("seen", "1, 2", "3, 2", "test_one.py"), ("unseen", "1, 2", "1, 3", "test_one.py")
    done = program(seen, unseen)
    assert done.stdout.splitlines() == ["caught   one.py: seen", "SURVIVED one.py: unseen", "1 caught, 1 survived"]
    assert done.returncode == 0
    more = [(f"unseen {k}", "1, 2", f"1, {k}", "test_one.py") for k in (3, 4, 5)]
    assert program(seen, *more).returncode == 1


@pytest.mark.parametrize(
    ("old", "new", "test", "message"),
    [
        ("9", "1", "test_one.py", "holds 0 times '9'"),
        ("1", "1", "test_one.py", "it must hold it once"),
        ("1", "3", "test_two.py", "fail without any fault"),
    ],
)
def test_tables_that_do_not_fit_are_told(program, old: str, new: str, test: str, message: str) -> None:
    done = program(("wrong", old, new, test))
    assert done.returncode == 2
    assert message in done.stderr
