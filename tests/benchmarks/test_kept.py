"""What `make bench` keeps, and what it flags."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept():
    spec = importlib.util.spec_from_file_location("kept", ROOT / "benchmarks" / "_kept.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(what, ratio):
    return {"what": what, "ratio": ratio, "asked": 1.0, "ours_s": ratio, "peer_s": 1.0}


def test_each_row_is_kept_as_it_is_measured_and_the_newest_is_the_next_ones_measure(kept, tmp_path):
    folder = tmp_path / "bench"
    assert kept.last(folder) == {}
    whole = kept.Keeper(folder, "2026-01-02", {"torch": "x"})
    whole.add(row("knn", 1.2))
    whole.add(row("cca", 0.1))
    stopped = kept.Keeper(folder, "2026-01-10", {"torch": "y"})
    stopped.add(row("knn", 1.3))
    assert json.loads(stopped.path.read_text()) == {"torch": "y", "rows": [row("knn", 1.3)]}
    assert kept.last(folder) == {"knn": 1.3, "cca": 0.1}
    assert sorted(p.name for p in folder.iterdir()) == ["2026-01-02.json", "2026-01-10.json"]
    with pytest.raises(FileExistsError, match="kept already"):
        kept.Keeper(folder, "2026-01-10", {})


def test_what_became_more_than_a_tenth_slower_is_flagged_and_nothing_else(kept):
    before = {"a": 1.0, "b": 1.0, "c": 2.0, "gone": 1.0}
    now = [row("a", 1.11), row("b", 1.09), row("c", 1.0), row("fresh", 9.0)]
    lines = kept.compared(now, before)
    assert kept.slower(lines) == ["a"]
    assert {line["what"]: line["since"] for line in lines} == {
        "a": "SLOWER by 11 %", "b": "", "c": "", "fresh": "new", "gone": "not measured",
    }  # fmt: skip
    assert lines[0]["was"] == 1.0
    assert [line["what"] for line in kept.compared(now, before, whole=False)] == ["a", "b", "c", "fresh"]


def test_a_median_above_the_kept_one_is_noise_while_a_quarter_of_the_pairs_are_not(kept):
    lines = kept.compared([row("a", 1.3) | {"low": 0.98}, row("b", 1.3) | {"low": 1.02}], {"a": 1.0, "b": 1.0})
    assert kept.slower(lines) == ["b"]


def test_a_first_run_flags_nothing(kept):
    lines = kept.compared([row("a", 5.0)], {})
    assert kept.slower(lines) == []
    assert lines[0]["was"] is None
    assert lines[0]["since"] == ""
