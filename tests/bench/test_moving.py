"""Suites of migration: read, run cell by cell, gone on with, summed up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from modalign import cli
from modalign.bench import moving, moving_data, moving_tables
from modalign.bench.command import SHIPPED
from modalign.errors import ModalignError

SUITE = """
name = "toy"
kind = "migration"
title = "Two toys"
about = "Nothing real."
seeds = [0, 1]
pairs = [30, 120]
methods = ["orthogonal", "ridge", "full"]
ways = ["farthest"]
way_pairs = [30]
way_methods = ["ridge"]
[data]
name = "toy"
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(1200, 10, generator=draw)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=draw)).Q
    old, new = (
        torch.nn.functional.normalize(z @ t + 0.2 * torch.randn(1200, 12, generator=draw), dim=1)
        for t in (turn[:10, :12], turn[10:20, 12:])
    )
    pool = moving_data.ModelPair(old, new, torch.arange(1200) // 4)
    monkeypatch.setitem(moving_data.POOLS, "toy", lambda *given: pool)
    monkeypatch.setenv("MODALIGN_DATA", str(tmp_path))
    (tmp_path / "toy.toml").write_text(SUITE)
    return tmp_path / "toy.toml"


def test_a_suite_runs_goes_on_and_is_summed_up(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = suite.parent / "out"
    cli.main(["bench", str(suite), "--out", str(out), "--method", "orthogonal", "--json"])
    first = json.loads(capsys.readouterr().out)
    assert (first["cells"], first["of"]) == (4, 14)
    cli.main(["bench", str(suite), "--out", str(out), "--json"])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (result["cells"], result["of"]) == (14, 14)
    assert [e["pairs"] for e in result["lead"]] == [30, 120]
    text = (out / "tables.md").read_text()
    assert "| full (unlinked rows too) |" in text
    assert "farthest" in text
    assert "Two toys" in (out / "report.html").read_text()
    cell = json.loads((out / "cells" / "random-30" / "ridge-0.json").read_text())
    assert len(cell["trials"]) == 6
    assert sum(cell["queries"]) / 10 / len(cell["queries"]) == pytest.approx(cell["kept"])


def test_bands_are_students_over_seeds_and_queries() -> None:
    """Of seeds at .2, .3 and .4; a bootstrap never leaves those, however badly three numbers tell a spread."""
    seeds = [{"way": "random", "pairs": 30, "method": "ridge", "seed": s, "kept": 0.2 + 0.1 * s, "ndcg": 0.5,
              "cpu_seconds": 1.0, "queries": [2 + s] * 80} for s in range(3)]  # fmt: skip
    row = moving_tables.summarise("", "", seeds)["rows"][0]
    half = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
    assert (row["low"], row["high"]) == pytest.approx((0.3 - half, 0.3 + half))
    sure = moving_tables.summarise("", "", [{**s, "queries": [10] * 79 + [9 - s["seed"]]} for s in seeds])["rows"][0]
    assert 0.99 < sure["low"] < sure["high"] == 1.0


def test_sources_are_not_split_and_the_test_has_one_item_of_each() -> None:
    pool = moving_data.ModelPair(torch.zeros(40, 2), torch.zeros(40, 2), torch.arange(40) // 4)
    parts = moving_data.split(pool, 0.5, 0.3, 0)
    assert [len(p) for p in parts] == [20, 12, 2]
    sources = [set(pool.source[p].tolist()) for p in parts]
    assert not sources[0] & sources[1] | sources[1] & sources[2] | sources[0] & sources[2]


@pytest.mark.parametrize("name", ["migrate-text", "migrate-image"])
def test_shipped_suites_are_whole(name: str) -> None:
    suite = moving.read_moving(SHIPPED / f"{name}.toml")
    assert moving.is_moving(SHIPPED / f"{name}.toml")
    assert set(moving_tables.PUBLISHED) < set(suite.methods)
    assert suite.pairs == [50, 100, 300, 1000, 3000, 10_000]
    from modalign.migration.choose import FullAdapter

    assert {len(moving.TRIED[m](FullAdapter())) for m in suite.methods} == {6}


@pytest.mark.parametrize(
    ("change", "told"),
    [('methods=["rigde"]', "did you mean 'ridge'"), ("store=0.9", "leave a test"), ("sede=1", "sede")],
)
def test_mistakes_in_a_suite_are_told(change: str, told: str) -> None:
    with pytest.raises(ModalignError, match=told):
        moving.read_moving(SHIPPED / "migrate-text.toml", [change])
