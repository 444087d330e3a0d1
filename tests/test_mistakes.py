"""What a careless user does, through the commands: one line that says what, where and what to do, and the exit code."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import modalign as ma
from modalign import cli
from modalign.cli.tables import fitted
from modalign.errors import ModalignError
from modalign.features.store import Store
from modalign.metrics.score import Measure
from modalign.model import Model
from modalign.model.captioner import Captioner
from modalign.report import write
from modalign.report.sections.architecture import terms
from modalign.runs import MethodResult, Result, Run
from modalign.runs.data import FEWEST
from modalign.runs.evaluate import Request, check_size, evaluate_run
from modalign.runs.train import align_arrays
from modalign.search import Index, search_run


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_current_folder_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A library that is loaded with torch ended the program ("FATAL ERROR")."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, out, err = call(capsys, "align", tmp_path / "a.npy", tmp_path / "b.npy", "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err.startswith("modalign: the current folder was removed: ")


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """The one line of a command that is refused."""
    code, out, err = call(capsys, *argv)
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert "Traceback" not in err
    return lines[0]


def pair(folder: Path, n: int, seed: int = 0) -> list[Path]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 4))
    files = []
    for name, width in (("a", 8), ("b", 6)):
        files.append(folder / f"{name}.npy")
        np.save(files[-1], (shared @ rng.normal(size=(4, width)) + 0.1 * rng.normal(size=(n, width))).astype("f4"))
    return files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    align_arrays(pair(folder, 100), folder / "run", method="cca", dim=4)
    return folder / "run"


# ------------------------------------------------------------------ too little to conclude from


@pytest.mark.parametrize("n", [2, 12, 30])
def test_few_pairs_are_fitted_with_a_warning_and_not_measured(
    n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "align", *pair(tmp_path, n), "--out", tmp_path / "run", "--method", "cca", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["methods"]["cca"]["scores"] == {}
    assert f"{FEWEST} linked pairs" in result["skipped"]["scores"]
    assert ("as few can be aligned whatever they are" in err) == (n < 20)


def test_a_test_split_of_fewer_items_than_k_is_refused(tmp_path: Path) -> None:
    z = ma.Views.from_arrays(a=torch.randn(4, 5), b=torch.randn(4, 5))
    with pytest.raises(ModalignError, match=r"has 4 linked pairs, and 'retrieval' looks at 10"):
        check_size(Run(tmp_path), z, ["retrieval"])
    check_size(Run(tmp_path), z, ["gap"])


def test_evaluate_refuses_names_before_it_reads_anything(capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in (
        (["--metrics", ""], "has none"),
        (["--metrics", "retrival"], "did you mean 'retrieval'"),
        (["--fusion", "nope"], "unknown fusion rule 'nope' (known: max, mean"),
        (["--protocol", "coco"], "unknown protocol"),
        (["--positives", "all"], "unknown list of positives"),
        (["--query", "text"], "text+audio"),
        (["--transfer", "--labels", "none.csv"], "file of labels not found: /"),
    ):
        assert said in refused(capsys, "evaluate", "no/run", *options)
    with pytest.raises(ModalignError, match="fusion"):
        Request(fusion="nope")


# ------------------------------------------------------------------ refused before anything is loaded


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--item", "nope"], "no item 'nope'"),
        (["--item", "a/0", "--to", "nope"], "unknown modality"),
        (["--item", "a/0", "--where", "color=red"], "unknown metadata key"),
        (["--item", "a/0", "--correction", "clse"], "did you mean 'csls'"),
        (["--item", "a/0", "-k", "0"], "k must be at least 1"),
        (["a word"], "no encoder for 'text'"),
        ([], "search needs a query"),
    ],
)
def test_searches_are_checked_before_encoders_are_loaded(
    options: list[str], said: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.search.space.make", lambda *given, **more: pytest.fail("an encoder was loaded"))
    assert said in refused(capsys, "search", run, *options)


def test_wishes_that_need_no_items_are_checked_before_any_are_read(tmp_path: Path) -> None:
    for wish in ({"k": 0}, {"correction": "nope"}, {"where": ["split"]}):
        with pytest.raises(ModalignError, match=r"k must|unknown correction|a filter is written"):
            search_run(tmp_path / "none", "word", **wish)  # type: ignore[arg-type]


def test_more_pairs_than_there_are_end_before_anything_is_encoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.features.embed._fill", lambda *given: pytest.fail("something was encoded"))
    assert "752 pictograms" in refused(capsys, "demo", "--pairs", "100000", "--out", tmp_path / "demo")
    config = tmp_path / "run.toml"
    config.write_text(
        f'pairs = 100000\nout = "{tmp_path / "run"}"\n[data]\nname = "openmoji"\n[encoders]\nimage = '
        '"efficientnet-lite0"\ntext = "minilm"\n[method]\nname = "cca"\n'
    )
    assert "100000 pairs were asked for, 'openmoji' has 752 linked groups" in refused(capsys, "train", config)


def test_index_refuses_modalities_before_it_embeds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown modality 'nope'" in refused(capsys, "index", run, "--only", "nope")


# ------------------------------------------------------------------ messages: which file, which row


def test_messages_name_the_file(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path, 60)
    x = np.load(a)
    x[[3, 7]] = np.nan
    np.save(tmp_path / "bad.npy", x)
    np.save(tmp_path / "same.npy", np.full((60, 5), 0.3))
    for command in (["align", b, "{}", "--out", tmp_path / "x"], ["diagnose", b, "{}"]):
        for name, said in (("bad.npy", "(3, 7): remove these rows"), ("same.npy", "all 60 rows of ")):
            line = refused(capsys, *[str(c).replace("{}", str(tmp_path / name)) for c in command])
            assert said in line
            assert str(tmp_path / name) in line
    options = ["--modality", "a", "--out", tmp_path / "z.npy"]
    assert str(tmp_path / "bad.npy") in refused(capsys, "transform", run, tmp_path / "bad.npy", *options)


@pytest.mark.parametrize("method", ["cca", "full", "procrustes", "ridge", "transport_cca"])
def test_an_array_of_equal_rows_is_named_by_its_side(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5))
    with pytest.raises(ModalignError, match="'y' with 60 rows: all 60 rows are equal"):
        ma.Aligner(method, dim=4).fit(x, np.full((60, 4), 0.7))


def test_an_unfinished_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "config.toml").write_text("")
    line = refused(capsys, "search", tmp_path, "word")
    assert "demo" not in line


def test_suggestions_are_near(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.toml"
    config.write_text('holdout = 0.3\n[data]\nname = "openmoji"\n[method]\nname = "cca"\n')
    assert "did you mean 'out'" not in refused(capsys, "train", config)
    assert "did you mean" not in refused(capsys, "embed", "nope", "--out", tmp_path / "x")


# ------------------------------------------------------------------ what took part


def test_full_names_the_objective_only_where_descent_was_kept(tmp_path: Path) -> None:
    a, b = pair(tmp_path, 120)
    model = align_arrays([a, b], tmp_path / "run", method="full", dim=4).model
    took = model.record["took_part"]
    assert took["name"] == "transport_cca"
    assert "objective" not in took
    assert {t.symbol for t in terms(took)} == {"transport plan"}
    page = Run(tmp_path / "run")
    write(page.folder)
    assert "L_retrieve" not in page.report.read_text().split("<h2")[1]


def test_a_training_that_improves_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path)
    run.keep(Result("x", {"m": MethodResult("m", {})}, record={"steps": 80, "best_step": 0, "dev": 0.4}))
    assert "none of 80 steps raised dev recall: the weights are those of the start" in fitted(Run(tmp_path))
    run.keep(Result("x", {"m": MethodResult("m", {})}, record={"steps": 80, "best_step": 40, "dev": 0.4}))
    assert "raised" not in fitted(Run(tmp_path))


# ------------------------------------------------------------------ a full disk


def limited(limit: int, argv: list[str]) -> None:
    """The program, where no file may grow beyond a limit."""
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    cli.main(argv)


@pytest.mark.parametrize(
    ("argv", "limit"),
    [
        (["transform", "{run}", "{a}", "--modality", "a", "--out", "{out}/z.npy"], 500),
        (["align", "{a}", "{b}", "--out", "{out}/run", "--method", "cca", "--dim", "4"], 0),
        (["align", "{a}", "{b}", "--out", "{out}/run", "--method", "cca", "--dim", "4"], 500),
        (["align", "{a}", "{b}", "--out", "{out}/run", "--method", "cca", "--dim", "4"], 3000),
        (["index", "{run}", "--out", "{out}/index"], 1500),
        (["report", "{copy}"], 5000),
        (["evaluate", "{copy}", "--metrics", "retrieval"], 1500),
    ],
)
def test_a_disk_that_takes_no_more_ends_in_one_line(
    argv: list[str], limit: int, run: Path, tmp_path: Path, children: ModuleType
) -> None:
    """Files that may not grow beyond a limit stand for a full disk: the same errors come from the system."""
    shutil.copytree(run, tmp_path / "copy")
    before = {p: p.read_bytes() for p in (tmp_path / "copy").rglob("*") if p.is_file()}
    a, b = pair(tmp_path, 100)
    names = {"run": run, "a": a, "b": b, "out": tmp_path / "out", "copy": tmp_path / "copy"}
    code, said = children.ran(lambda: limited(limit, [word.format(**names) for word in argv]))
    assert code == 2, said
    last = [line for line in said if not line.startswith(("note: ", "indexing: "))]
    assert len(last) == 1, said
    assert "File too large" in last[0] or "disk" in last[0] or "written" in last[0]
    assert str(tmp_path) in last[0]
    assert {p: p.read_bytes() for p in (tmp_path / "copy").rglob("*") if p.is_file()} == before
    for path in (tmp_path / "out").rglob("*"):
        assert not path.name.endswith(".tmp"), path
        if path.suffix == ".json" and path.is_file():
            json.loads(path.read_text())
    if (tmp_path / "out" / "run" / "model.json").exists():
        Model.load(tmp_path / "out" / "run")


def test_what_was_measured_stays_readable_where_a_score_is_not_a_number(run: Path, tmp_path: Path) -> None:
    """A user's metric that returns NaN is null in the file, and the report reads it."""
    shutil.copytree(run, tmp_path / "copy")
    copy = Run(tmp_path / "copy")
    result = evaluate_run(copy.folder, Request(metrics=("gap",)))
    mine = Measure("Mine", "share", "Of mine.", topic="Mine").score(float("nan"))
    first = next(iter(result.methods.values()))
    first.scores["mine/a"] = mine  # type: ignore[index]
    copy.keep(result, "evaluation")
    table = json.loads(copy.file("evaluation").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert next(iter(table["methods"].values()))["scores"]["mine/a"]["value"] is None
    assert "mine/a" not in next(iter(Run(copy.folder).evaluation.methods.values())).scores  # type: ignore[union-attr]
    write(copy.folder)


@pytest.mark.parametrize(
    "opened", [ma.load, ma.Run, ma.Aligner.load, Store.open, Index, Captioner.load, ma.datasets.coco, write]
)
@pytest.mark.parametrize("given", [None, 3])
def test_what_names_no_folder_is_said(opened: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(ModalignError, match=r"(a folder is a path or its name|root must be a path or text), got "):
        opened(given)
