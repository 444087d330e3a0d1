"""A new metric and a new data set are one file each: listed, fitted, evaluated and reported without another edit."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from modalign import cli, registry

METRIC = '''
"""How far the best linear map from one modality to another is off."""

from dataclasses import dataclass

import torch

from modalign.metrics.key import Key
from modalign.metrics.score import Measure
from modalign.registry import register

ERROR = Measure(
    "Mapping error", "distance", "Mean distance of an item from where its partner is mapped, times ten.",
    higher_is_better=False, topic="Maps", importance="main",
)


@register("metric", "mapping_error")
@dataclass(frozen=True)
class MappingError:
    """Mapping error between modalities; 0 is best."""

    def __call__(self, z):
        out = {}
        for a, b in z.pairs():
            rows = z.paired(a, b)
            x, y = z[a][rows[:, 0]].double(), z[b][rows[:, 1]].double()
            gap = (x @ torch.linalg.lstsq(x, y).solution - y).norm(dim=1)
            out[str(Key("mapping_error", a, b, mutual=True))] = ERROR.mean(10 * gap, group=z.group[a][rows[:, 0]])
        return out
'''

DATA = '''
"""Readings of two sensors, numbered."""

from modalign.data.manifest import Manifest, Row
from modalign.registry import register


@register("dataset", "readings")
def readings(n: int = 200) -> Manifest:
    """Readings of two sensors."""
    splits = {0: "dev", 1: "test"}
    return Manifest.from_rows(
        (
            Row(g, m, text=f"{m} {g}", split=splits.get(g % 4, "train"), extra={"index": g})
            for g in range(n)
            for m in ("left", "right")
        ),
        name="readings",
    )
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files, imported as somebody else's package is; forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    parts = {family: dict(registry.parts(family)) for family in registry.FAMILIES}
    monkeypatch.setattr(registry, "_parts", parts)  # what is registered here is gone afterwards
    for name, text in (("their_metric", METRIC), ("their_data", DATA)):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)


def test_one_file_each_is_enough(
    plugins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*argv: object) -> str:
        with suppress(SystemExit):  # of a user's mistake, which then shows in what is asserted
            cli.main([str(a) for a in argv])
        return capsys.readouterr().out

    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    shared = random.normal(size=(200, 4))
    for name, width in (("left", 9), ("right", 7)):
        rows = shared @ random.normal(size=(4, width)) + 0.3 * random.normal(size=(200, width))
        np.save(tmp_path / f"{name}.npy", rows.astype(np.float32))
    encoders = "".join(
        f'\n[encoders.{m}]\nname = "features"\npath = "{tmp_path / m}.npy"\nmodality = "{m}"' for m in ("left", "right")
    )
    (tmp_path / "run.toml").write_text(
        f'out = "{tmp_path / "run"}"\nmetrics = ["retrieval", "mapping_error"]\n'
        f'[data]\nname = "readings"\n[method]\nname = "cca"{encoders}\n'
    )

    assert "Mapping error between modalities; 0 is best." in call("list", "metric")
    assert "Readings of two sensors." in call("list", "dataset")

    said = call("train", tmp_path / "run.toml")
    line = next(row for row in said.splitlines() if "mapping_error/left~right" in row)
    value = float(line.split()[1])
    assert value > 1.0
    assert "%" not in line

    page = (tmp_path / "run" / "report.html").read_text()
    assert "Mapping error ↓" in page
    assert f"{value:.3f}" in page
    assert f"{100 * value:.1f}" not in page

    call("evaluate", tmp_path / "run", "--metrics", "mapping_error")
    table = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    score = find(table, lambda t: isinstance(t, dict) and "mapping_error/left~right" in t)["mapping_error/left~right"]
    assert score["value"] == pytest.approx(value, abs=1e-3)
    assert (score["unit"], score["higher_is_better"], score["topic"]) == ("distance", False, "Maps")
    call("report", tmp_path / "run")
    assert "Maps (1)" in (tmp_path / "run" / "report.html").read_text()


def find(table: object, fits: Callable[[object], bool]) -> dict:
    """The first table within a document that fits."""
    if fits(table):
        assert isinstance(table, dict)
        return table
    inner = table.values() if isinstance(table, dict) else table if isinstance(table, list) else ()
    return next((found for part in inner if (found := find(part, fits))), {})
