"""The registry: names, settings, and other people's packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modalign import registry
from modalign.errors import MissingExtraError, ModalignError, require


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._parts, "method", {})
    monkeypatch.setattr(registry, "_discovered", registry._discovered | {"method"})


@pytest.mark.usefixtures("scratch")
def test_make_checks_names_and_types() -> None:
    @registry.register("method", "toy")
    def toy(ridge: float = 1.0, dims: tuple[int, ...] = (), *, mode: str = "a") -> tuple:
        """A toy."""
        return ridge, dims, mode

    assert registry.make("method", "toy", ridge=2, dims=[1, 2]) == (2.0, (1, 2), "a")
    assert registry.describe("method") == {"toy": "A toy."}
    with pytest.raises(ModalignError, match="did you mean 'ridge'"):
        registry.make("method", "toy", rigde=2)
    with pytest.raises(ModalignError, match="setting 'ridge' must be a number, got 'much'"):
        registry.make("method", "toy", ridge="much")
    with pytest.raises(ModalignError, match="unknown method 'toi': did you mean 'toy'"):
        registry.make("method", "toi")


@pytest.mark.usefixtures("scratch")
def test_a_missing_setting_and_a_double_name_are_refused() -> None:
    @registry.register("method", "needy")
    def needy(width: int) -> int:
        return width

    with pytest.raises(ModalignError, match="needs the setting width"):
        registry.make("method", "needy")
    with pytest.raises(ModalignError, match="defined twice"):
        registry.register("method", "needy")(print)
    with pytest.raises(ModalignError, match="unknown family"):
        registry.register("methods", "x")


def with_package(folder: Path, module: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own beside an installed package whose entry point is ``their_losses:Theirs``."""
    (folder / "their_losses.py").write_text(module)
    info = folder / "their_losses-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-losses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modalign.objective]\ntheirs = their_losses:Theirs\n")
    path = os.pathsep.join([str(folder), str(Path(registry.__file__).parents[1])])
    return subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path, "PATH": ""}, capture_output=True, text=True
    )


@pytest.mark.parametrize("first", ["", "import their_losses; "], ids=["found", "imported first"])
@pytest.mark.parametrize("base", ["Objective", "Clip"])
def test_another_package_adds_a_part_through_an_entry_point(tmp_path: Path, base: str, first: str) -> None:
    """Whatever it inherits from, by its public name too, and whichever of the two is imported first."""
    module = f"from modalign.objectives import {base} as Base\nclass Theirs(Base):\n    '''Their own.'''\n"
    out = with_package(
        tmp_path, module, first + "from modalign import registry; print(registry.describe('objective')['theirs'])"
    )
    assert (out.stdout.strip(), out.stderr) == ("Their own.", "")


def test_an_entry_point_that_cannot_be_loaded_is_named_with_its_package(tmp_path: Path) -> None:
    code = "import modalign as ma\ntry: ma.names('objective')\nexcept ma.errors.ModalignError as e: print(e)"
    out = with_package(tmp_path, "import no_such_module_here\n", code)
    assert out.stdout.strip() == (
        "the entry point 'theirs' in modalign.objective of the package 'their-losses' cannot be loaded (No module "
        "named 'no_such_module_here'): python -c 'import their_losses' shows where; mend that package or uninstall it"
    )


def test_every_part_has_a_name_and_a_line() -> None:
    for family in registry.FAMILIES:
        parts = registry.describe(family)
        assert parts, family
        assert all(line for line in parts.values()), parts


def test_require_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'modalign\[audio\]'"):
        require("no_such_module_here", "audio")
