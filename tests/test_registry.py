"""The registry: names, settings, and other people's packages."""

from __future__ import annotations

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


def test_another_package_adds_a_part_through_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "their_losses.py").write_text(
        "from modalign.objectives.base import Objective, nothing\n"
        "class Flat(Objective):\n    '''Always zero.'''\n    def forward(self, batch): return nothing(batch)\n"
    )
    info = tmp_path / "their_losses-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-losses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modalign.objective]\nflat = their_losses:Flat\n")
    code = "from modalign import registry; print(registry.describe('objective')['flat'])"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "Always zero."


def test_every_part_has_a_name_and_a_line() -> None:
    for family in registry.FAMILIES:
        parts = registry.describe(family)
        assert parts, family
        assert all(line for line in parts.values()), parts


def test_require_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'modalign\[audio\]'"):
        require("no_such_module_here", "audio")
