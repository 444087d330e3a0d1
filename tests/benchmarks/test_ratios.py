"""How the rows of `make bench` are measured, and what an installation weighs."""

from importlib import metadata
from pathlib import Path

import pytest


def test_a_row_that_measures_itself_is_called_as_often_as_asked_and_no_more(monkeypatch):
    from benchmarks._rows import Measured, Row

    from benchmarks import ratios

    calls = []

    def takes(seconds, who):
        calls.append(who)
        return Measured(seconds)

    row = Row("fit", lambda: takes(1.0, "ours"), lambda: takes(4.0, "peer"), 0.5, factor=2.0, apart=True)
    once = {"ratio": 0.125, "low": 0.125, "high": 0.125, "ours_s": 1.0, "peer_s": 8.0}
    assert ratios.measured(row, 3) == {"what": "fit", "asked": 0.5, **once}
    assert calls == ["ours", "peer"] * 3
    calls.clear()
    ratios.measured(row._replace(apart=False), 3)
    assert calls == ["ours", "peer"] * 4  # the first pair warms up
    monkeypatch.setattr(ratios, "LONG", -1.0)
    calls.clear()
    ratios.measured(row._replace(apart=False), 3)
    assert calls == ["ours", "peer"] * 2


def test_a_row_that_seems_slower_is_measured_again_and_all_of_it_counts():
    from benchmarks._rows import Measured, Row

    from benchmarks import ratios

    took = iter([3.0, 2.0, 1.5, 1.0, 1.0, 1.1, 1.0, 1.0, 1.2])
    row = Row("knn", lambda: Measured(next(took)), lambda: Measured(1.0), None, apart=True)
    found = ratios.measured(row, 3, was=1.0)
    assert list(took) == []
    assert (found["ratio"], found["low"], found["high"]) == (1.1, 1.0, 1.5)
    row = row._replace(ours=lambda: Measured(1.09))
    assert ratios.measured(row, 3, was=1.0)["ratio"] == 1.09


def test_what_a_part_weighs_is_the_sum_of_what_it_needs(monkeypatch):
    from benchmarks import size

    names = list(size.needed("modalign", frozenset({"demo"})))
    assert len(set(names)) == len(names)
    assert {"numpy", "starlette", "tokenizers"} <= set(names)
    assert "ray" not in names  # of another part
    sizes = [f.locate().stat().st_size for f in metadata.files("markupsafe")]
    assert size.weight("markupsafe")[0] == pytest.approx(sum(sizes) / 1e6)
    monkeypatch.setattr(size, "weight", lambda name: (len(name), 0.5))
    rows = size.run("demo", most=3)
    assert len(rows) == 5
    assert [row["MB"] for row in rows[:3]] == sorted(map(len, names), reverse=True)[:3]
    assert rows[-1] == {"package": "all", "MB": sum(map(len, names)), "of it bytecode": 0.5 * len(names)}
    assert sum(row["MB"] for row in rows[:-1]) == rows[-1]["MB"]


def test_a_row_that_is_a_fifth_slower_than_the_kept_one_is_flagged_and_fails_the_run(monkeypatch, capsys, tmp_path):
    from benchmarks._rows import Measured, Row

    from benchmarks import _kept, ratios

    seconds = {"slower": 1.2, "as before": 1.09}
    rows = [Row(what, lambda s=s: Measured(s), lambda: Measured(1.0), None, apart=True) for what, s in seconds.items()]
    monkeypatch.setattr(ratios, "GROUPS", {"these": (None, lambda: rows)})
    monkeypatch.setattr("sys.argv", ["ratios", "--kept", str(tmp_path)])
    before = _kept.Keeper(tmp_path, "2026-01-01", {})
    for what in seconds:
        before.add({"what": what, "ratio": 1.0})
    assert ratios.main() == 1
    said = capsys.readouterr().out
    assert "SLOWER by 20 %" in said
    assert "slower by more than 10 %: slower" in said
    assert "as before" not in said.splitlines()[-1]
    assert _kept.last(tmp_path) == seconds
    for path in tmp_path.glob("*.json"):
        path.unlink()
    assert ratios.main() == 0  # nothing to compare with


def test_the_demo_is_timed_to_its_first_row_and_ended(monkeypatch, tmp_path):
    from benchmarks import first_row

    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$MODALIGN_CACHE $PYTHONPYCACHEPREFIX" > {tmp_path}/folders\n'
        'echo method; sleep 0.2; echo "CCA 200"; exec sleep 60\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    assert 0.2 <= first_row.run()[0]["first row after, s"] < 60
    cache, bytecode = map(Path, (tmp_path / "folders").read_text().split())
    assert cache.parent == bytecode.parent
    assert not cache.parent.exists()
