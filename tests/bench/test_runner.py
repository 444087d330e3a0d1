"""Running: resuming, processes, failures, tuning, and what the folder holds at the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from modalign import cli
from modalign.bench import command, runner
from modalign.bench.results import BenchFolder, matrices
from modalign.bench.suite import Suite, build, choose
from modalign.bench.summary import summarise
from modalign.cli import tables
from modalign.errors import DiskError, ModalignError
from modalign.runs import Run
from modalign.specification import dump_toml


@pytest.fixture
def suite_file(tiny_suite: Mapping[str, Any], tmp_path: Path) -> Path:
    """The suite as a file, with two methods, a second regime and an aim."""
    more = {"methods": ["cca", "procrustes"], "targets": {"hidden-60": 1.0}}
    settings = [*tiny_suite["settings"], {"regime": "disjoint", "missing": 0.2}]
    path = tmp_path / "tiny.toml"
    path.write_text(dump_toml({**tiny_suite, **more, "settings": settings}))
    return path


def results(out: Path) -> dict[str, Any]:
    """Everything that was measured, without times, and without the source's fingerprint: it may be edited meanwhile."""
    found = {}
    for path in sorted(out.glob("cells/*/*/*/scores.json")):
        table = json.loads(path.read_text())
        for m in table["methods"].values():
            del m["seconds"]
        table["record"] = {k: v for k, v in table["record"].items() if k not in ("cost", "code")}
        found[str(path.relative_to(out))] = table
    return found


def run(suite: Suite, out: Path, **more: Any) -> dict[str, int]:
    return runner.run_suite(suite, choose(suite), out, **{"workers": 1, **more})


@pytest.fixture(scope="module")
def done(tiny_suite: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole suite, run in this process; for reading."""
    out = tmp_path_factory.mktemp("done")
    assert run(build(tiny_suite), out)["done"] == 12
    return out


def test_one_and_two_processes_find_the_same(tiny: Callable[..., Suite], done: Path, tmp_path: Path) -> None:
    assert run(tiny(), tmp_path, workers=2)["done"] == 12
    one, two = results(done), results(tmp_path)
    assert len(one) == 12
    assert one == two


def test_a_second_run_does_only_what_is_missing_or_changed(
    tiny: Callable[..., Suite], done: Path, tmp_path: Path
) -> None:
    suite, out = tiny(), tmp_path / "out"
    shutil.copytree(done, out)
    before = results(out)
    assert run(suite, out) == {"done": 0, "before": 12, "failed": 0, "left": 0, "robustness": 0}
    gone = out / "cells" / "hidden-20" / "cca" / "seed-1" / "scores.json"
    gone.unlink()
    assert run(suite, out)["done"] == 1
    assert results(out) == before
    more = run(tiny(trials=1, methods=["cca"]), out)  # another tuning budget is another cell
    assert (more["done"], more["before"]) == (4, 0)


@pytest.mark.slow
def test_a_killed_run_goes_on(suite_file: Path, tmp_path: Path) -> None:
    call = [sys.executable, "-m", "modalign", "bench", str(suite_file), "--workers", "2", "--out"]
    killed = subprocess.Popen([*call, str(tmp_path / "a")], start_new_session=True, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "a").glob("cells/*/*/*/scores.json")) and killed.poll() is None:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "a" / "summary.json").exists()
    done = subprocess.run([*call, str(tmp_path / "a"), "--json"], check=True, capture_output=True)
    counts = json.loads(done.stdout)["counts"]
    assert counts["before"] >= 1
    assert counts["before"] + counts["done"] == 12
    whole = command.bench(str(suite_file), tmp_path / "b", workers=1)
    assert whole["counts"]["done"] == 12
    assert results(tmp_path / "a") == results(tmp_path / "b")


def test_trials_of_a_killed_tuning_are_kept(tiny: Callable[..., Suite], tmp_path: Path) -> None:
    suite = tiny(methods=["cca"], settings=[{"regime": "hidden", "pairs": 20}])
    run(suite, tmp_path)
    path = tmp_path / "tuning" / "hidden-20" / "cca.json"
    record = json.loads(path.read_text())
    trials = [{**record["trials"][0], "score": 0.99}]
    path.write_text(json.dumps({**record, "trials": trials, "done": False}))
    run(suite, tmp_path)
    again = json.loads(path.read_text())
    assert [t["score"] for t in again["trials"]] == [0.99, record["trials"][1]["score"]]
    assert again["settings"] == {"ridge": 10.0, "power": 0.5}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_refit_takes_what_dev_chose_and_fits_it_to_dev_items_too(
    suite_file: Path, tmp_path: Path, workers: int
) -> None:
    out, page = tmp_path / "out", tmp_path / "page.md"
    changes = ['settings=[{regime = "hidden", pairs = 20, refit = [false, true]}]', "targets={}"]
    counts = command.bench(str(suite_file), out, methods=["cca"], workers=workers, overrides=changes, export=page)[
        "counts"
    ]
    assert counts["done"] == 4
    assert [p.name for p in (out / "tuning").iterdir()] == ["hidden-20"]  # one choice, for both
    chosen = json.loads((out / "tuning" / "hidden-20" / "cca.json").read_text())
    plain, refit = (results(out)[f"cells/hidden-20{end}/cca/seed-0/scores.json"] for end in ("", "-refit"))
    assert (plain["data"]["pairs"], refit["data"]["pairs"]) == (20, 36)  # dev has 20 items, all linked
    assert refit["settings"] == plain["settings"] == chosen["settings"]
    assert (plain["data"]["dev"], refit["data"]["dev"]) == (20, 4)  # what was not learnt from
    assert refit["record"]["dev"] == chosen["dev"]
    recall = [r["methods"]["cca"]["scores"]["mean_recall"]["value"] for r in (plain, refit)]
    assert recall[0] != recall[1]
    assert page.read_text().count("then fitted to training items and four fifths of dev") == 1


def test_a_method_that_tunes_itself_is_told_at_other_seeds(tiny: Callable[..., Suite], tmp_path: Path) -> None:
    entries = {"mine": {"base": "full", "settings": {"steps": 5}}}
    block = [{"regime": "hidden", "pairs": 60}]
    suite = tiny(methods=["mine"], entries=entries, settings=block, focus="mine")
    run(suite, tmp_path)
    record = json.loads((tmp_path / "tuning" / "hidden-60" / "mine.json").read_text())
    assert len(record["trials"]) == 2
    assert record["settings"]["chosen"]["ridge"] == 10.0
    cells = list(results(tmp_path).values())
    assert all(r["settings"] == record["settings"] for r in cells)
    assert all(r["record"]["fit"]["chosen"]["ridge"] == 10.0 for r in cells)


def test_a_failing_method_is_written_down_and_the_rest_goes_on(
    tiny: Callable[..., Suite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modalign.methods.closed_form import Ridge

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(Ridge, "fit", broken)
    suite = tiny(settings=[{"regime": "hidden", "pairs": 20}])
    counts = run(suite, tmp_path)
    assert (counts["done"], counts["failed"]) == (4, 2)
    held = BenchFolder(suite, tmp_path)
    assert len(held.results) == 4
    assert {f["method"] for f in held.failed} == {"linear"}
    monkeypatch.undo()
    assert run(suite, tmp_path)["done"] == 2


@pytest.mark.parametrize("name", ["found.npz", "fit.json", "cca.json"])
def test_a_full_disk_is_no_refusal_of_a_method(
    name: str, tiny: Callable[..., Suite], done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written down as one where that little found room, and what it was of was never done again."""
    replace, met = os.replace, []

    def full(source: Path, target: Path) -> None:
        if Path(target).name == name:
            met.append(target)
            if len(met) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskError, match=f"cannot write .*{name}: No space left on device"):
        run(tiny(), tmp_path)
    monkeypatch.undo()
    assert run(tiny(), tmp_path)["failed"] == 0
    assert results(tmp_path) == results(done)
    assert not BenchFolder(tiny(), tmp_path).failed


def test_a_method_that_refuses_gives_an_error_in_one_line(tiny: Callable[..., Suite], tmp_path: Path) -> None:
    suite = tiny(entries={"bad": {"base": "linear", "settings": {"target": "no"}}}, methods=["cca", "bad"])
    counts = run(suite, tmp_path)
    assert (counts["done"], counts["failed"]) == (4, 4)
    assert "no" in BenchFolder(suite, tmp_path).failed[0]["error"]


def test_no_time_left_starts_nothing(tiny: Callable[..., Suite], tmp_path: Path) -> None:
    counts = run(tiny(), tmp_path, hours=1e-9)
    assert (counts["done"], counts["left"]) == (0, 12)


def test_group_scores_add_up_to_mean_recall(tiny: Callable[..., Suite], done: Path) -> None:
    held = BenchFolder(tiny(), done)
    for r in held.results:
        for values in matrices([r]):
            assert values.mean() == pytest.approx(r.recall, abs=1e-12)
    assert len({round(r.recall, 6) for r in held.results if r.method == "cca" and r.setting.name == "hidden-20"}) == 2
    values, _ = matrices(held.at(next(held.settings()))["cca"])
    assert values.shape == (2, 40)


def test_the_command_leaves_tables_and_a_page(suite_file: Path, tmp_path: Path) -> None:
    found = command.bench(str(suite_file), tmp_path / "out", workers=1, export=tmp_path / "docs" / "results.md")
    assert found["counts"]["done"] == 12
    assert set(found["mean_recall"]) == {"hidden-20", "hidden-60", "disjoint-lose20"}
    page = (tmp_path / "out" / "report.html").read_text()
    for words in ("Leaderboards", "Known pairs", "Ranks over settings", "Geometry and tasks", "tunings"):
        assert words in page
    figures = page.split("<svg ")[1:]
    assert len(figures) >= 5
    for figure in figures:
        ElementTree.fromstring("<svg " + figure.split("</svg>")[0] + "</svg>")
    assert 'href="cells/hidden-20/cca/seed-0/scores.json"' in page
    assert (tmp_path / "out" / "cells" / "hidden-20" / "cca" / "seed-0" / "scores.json").exists()
    assert "<script src" not in page
    markdown = (tmp_path / "docs" / "results.md").read_text()
    assert f"modalign bench {suite_file}" in markdown
    assert "Aim: 1;" in markdown
    table = (tmp_path / "out" / "tables" / "leaderboard.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 2
    latex = (tmp_path / "out" / "tables" / "leaderboard.tex").read_text()
    assert latex.count("\\mathbf") == 3
    again = command.bench(str(suite_file), tmp_path / "out", run=False)
    assert again["counts"]["done"] == 0
    assert again["mean_recall"] == found["mean_recall"]


CELL = "cells/hidden-20/cca/seed-0/scores.json"


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        (CELL, ("record", "cost"), {}, "'cpu_seconds' must be a number, got None"),
        (
            "cells/hidden-20/cca/seed-0/scores.json",
            ("record", "geometry"),
            "gap",
            "'geometry' must be a list, got 'gap'",
        ),
        (CELL, ("record", "dev"), "good", "'dev' must be a number or None"),
        (CELL, ("data", "pairs"), None, "'pairs' must be a whole number, got None"),
        (CELL, ("methods", "cca", "scores"), {}, "'mean_recall' must be a number"),
        (
            "cells/hidden-20/cca/seed-0/scores.json",
            ("methods",),
            {"clip": {"label": "", "scores": {}}},
            "'mean_recall'",
        ),
        ("tuning/hidden-20/cca.json", ("trials",), 5, "'trials' must be a list, got 5"),
        ("tuning/hidden-20/cca.json", ("settings",), "ridge", "'settings' must be a table"),
        ("tuning/hidden-20/cca.json", (), [], "must hold a JSON object, got a list"),
    ],
)
def test_a_file_that_somebody_edited_is_told_in_one_line(
    tiny: Callable[..., Suite], done: Path, tmp_path: Path, name: str, place: Sequence[str], value: object, said: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done, out)
    whole: dict[str, Any] = {"": json.loads((out / name).read_text())}
    within = whole
    for key in ("", *place)[:-1]:
        within = within[key]
    within[("", *place)[-1]] = value
    (out / name).write_text(json.dumps(whole[""]))
    with pytest.raises(ModalignError) as refusal:
        summarise(BenchFolder(tiny(), out), "modalign bench tiny")
    assert f"{out / name}" in str(refusal.value)
    assert said in str(refusal.value)


def test_redo_forgets_only_the_chosen(tiny: Callable[..., Suite], done: Path, tmp_path: Path) -> None:
    suite, out = tiny(), tmp_path / "out"
    shutil.copytree(done, out)
    command.forget(choose(suite, methods=["cca"], settings=["hidden-20"]), out)
    counts = run(suite, out)
    assert (counts["done"], counts["before"]) == (2, 10)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [("[-10, 20]", "pairs' must be at least 0, got -10"), ("[20, 100000]", "setting 'hidden-100000' of the suite: ")],
)
def test_a_suite_that_the_data_cannot_give_is_refused_before_any_fit(
    pairs: str, said: str, suite_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite_file.write_text(suite_file.read_text().replace("[20, 60]", pairs))
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", str(suite_file), "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "out" / "cells").exists()


def test_failed_cells_end_in_exit_1(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from modalign.methods.closed_form import CCA

    def broken(*_: Any, **__: Any) -> None:
        raise ModalignError("broken on purpose")

    monkeypatch.setattr(CCA, "fit", broken)
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", str(suite_file), "--out", str(tmp_path / "out"), "--workers", "1", "--json"])
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out)["failed"][0]["error"] == "broken on purpose"


def test_nothing_stays_of_what_a_fit_needs_to_go_on(done: Path) -> None:
    assert not list(done.rglob("*.work"))
    assert not list(done.rglob("work"))


def test_a_folder_belongs_to_one_suite(suite_file: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(suite_file.read_text().replace('"tiny"', f'"{name}"'))
    with pytest.raises(ModalignError, match="no results of the suite 'a' to sum up"):
        command.bench(str(tmp_path / "a.toml"), tmp_path / "out", run=False)
    command.bench(str(tmp_path / "a.toml"), tmp_path / "out", hours=1e-9)
    with pytest.raises(ModalignError, match="holds the bench 'a'"):
        command.bench(str(tmp_path / "b.toml"), tmp_path / "out", run=False)


def test_listing_runs_nothing(suite_file: Path, tmp_path: Path) -> None:
    found = command.listing(str(suite_file))
    assert found["cells"] == 12
    assert "hidden-20" in tables.suite(found)
    assert not list(tmp_path.glob("*/"))


def test_a_suite_survives_its_own_overrides(suite_file: Path) -> None:
    assert command.listing(str(suite_file), ["seeds=[5]", "data.n=300"])["seeds"] == [5]
    assert "name" in dump_toml({"name": "x"})


def test_robustness_of_kept_heads(tiny: Callable[..., Suite], tmp_path: Path) -> None:
    plan = {
        "settings": ["hidden-60"],
        "methods": ["cca"],
        "limit": 20,
        "steps": 2,
        "radii": [0.0, 0.3],
        "ratios": [0.0, 2.0],
    }
    suite = tiny(keep=["cca"], robustness=plan)
    assert run(suite, tmp_path)["robustness"] == 1
    assert run(suite, tmp_path)["robustness"] == 0
    found = Run(tmp_path / "cells/hidden-60/cca/seed-0").robustness
    assert found is not None
    assert found.groups == 20
    query = next(p for p in found.kinds["attack"].panels if p.name == "query")
    clean, attacked = query.curves["query"].scores
    assert clean.value > attacked.value
    from modalign.bench import robust

    with pytest.raises(ModalignError, match="add them to keep"):
        robust.check_plan(tiny(robustness=plan))
    with pytest.raises(ModalignError, match="did you mean 'steps'"):
        robust.check_plan(tiny(robustness={"step": 1}))


def test_the_page_can_be_written_again_from_the_folder(tiny: Callable[..., Suite], tmp_path: Path) -> None:
    from modalign.bench.summary import summarise
    from modalign.report import write

    suite = tiny(methods=["cca"], settings=[{"regime": "complete"}])
    run(suite, tmp_path)
    command.own(tmp_path, suite.name, suite.title, suite.about)
    summarise(BenchFolder(suite, tmp_path), "modalign bench x")
    first = write(tmp_path).read_bytes()
    assert write(tmp_path).read_bytes() == first
    assert b"no ablation" in first


def test_without_pairs_only_methods_that_need_none_run_and_nothing_is_tuned(
    tiny: Callable[..., Suite], tmp_path: Path
) -> None:
    entries = {"blind": {"base": "full", "settings": {"closed": {"rounds": 1}}}}
    suite = tiny(methods=["blind", "cca"], entries=entries, settings=[{"regime": "hidden", "pairs": 0}], seeds=[0])
    assert run(suite, tmp_path)["done"] == 1
    record = json.loads((tmp_path / "tuning" / "hidden-0" / "blind.json").read_text())
    assert len(record["trials"]) == 1
    assert "no known pair" in record["note"]
