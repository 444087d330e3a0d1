"""Specifications: what is misspelt is refused before any work starts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from modalign.errors import ModalignError
from modalign.specification import dump_toml, from_toml, overridden, specification

GOOD = """
pairs = 200
[data]
name = "openmoji"
[encoders]
image = "efficientnet-lite0"
text = "minilm"
[method]
name = "cca"
dim = 64
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(GOOD)
    return path


def test_a_specification_is_read_overridden_and_written_back(good: Path, tmp_path: Path) -> None:
    spec = from_toml(good, ["method.dim=32", "seed=3", "out=elsewhere"])
    assert (spec.pairs, spec.seed, spec.out, spec.method["dim"]) == (200, 3, "elsewhere", 32)
    again = tmp_path / "resolved.toml"
    again.write_text(spec.to_toml())
    assert from_toml(again) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pair=3", "did you mean 'pairs'"),
        ("pairs=-1", "must be at least 0"),
        ("pairs=many", "setting 'pairs'"),
        ("method.dimm=3", "did you mean 'dim'"),
        ("method.dim=wide", "setting 'dim'"),
        ("method.name=transport_ca", "did you mean 'transport_cca'"),
        ("data.name=openmojis", "did you mean 'openmoji'"),
        ("data.langage=de", "did you mean 'language'"),
        ("encoders.text=minilmm", "did you mean 'minilm'"),
        ('metrics=["retrival"]', "unknown metric"),
        ("method", "must look like"),
        ("=3", "must look like"),
    ],
)
def test_mistakes_name_the_nearest_right_word(good: Path, change: str, message: str) -> None:
    with pytest.raises(ModalignError, match=message):
        from_toml(good, [change])


def test_files_that_are_no_specification(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="not found"):
        from_toml(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("pairs = = 3")
    with pytest.raises(ModalignError, match="not valid TOML"):
        from_toml(broken)
    broken.write_text("")
    with pytest.raises(ModalignError, match="needs the settings method, data"):
        from_toml(broken)


def test_toml_text_reads_back_as_written() -> None:
    table = {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": 'x "quoted"\n',
        "e": [1, 2],
        "f": 2.0,
        "n": 1e-07,
        "t": {"u v": 1, "w": {"x": [{"y": 1}]}},
    }
    assert tomllib.loads(dump_toml(table)) == table


def test_override_makes_tables_on_the_way() -> None:
    assert overridden(["method.objective.alpha = .5"]) == {"method": {"objective": {"alpha": 0.5}}}


def test_places_start_beside_the_file_and_are_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    (home / "list.csv").write_text("caption\na\n")
    (elsewhere / "other.csv").write_text("caption\na\n")
    config = home / "run.toml"
    config.write_text(
        '[data]\nname = "table"\nroot = "list.csv"\n[encoders]\ntext = "minilm"\n[method]\nname = "cca"\n'
    )
    monkeypatch.chdir(elsewhere)
    assert from_toml(config).data["root"] == str(home / "list.csv")
    assert from_toml(config, ["data.root=other.csv"]).data["root"] == str(elsewhere / "other.csv")
    assert from_toml(config, ["data.root=none.csv"]).data["root"] == str(home / "none.csv")  # where it was looked for
    monkeypatch.setenv("HOME", str(home))
    assert from_toml(config, ["data.root=~/list.csv"]).data["root"] == str(home / "list.csv")


def test_arrays_and_stores_of_a_table_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "b.npy", "pairs.csv"):
        Path(name).write_text("")
    arrays = {"arrays": {"a": "a.npy", "b": "b.npy"}, "pairs": "pairs.csv"}
    data = specification({"method": {"name": "cca"}, "data": arrays}).data
    assert data["arrays"] == {m: str(tmp_path / f"{m}.npy") for m in "ab"}
    assert data["pairs"] == str(tmp_path / "pairs.csv")
