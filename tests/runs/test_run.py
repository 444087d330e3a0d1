"""A run folder and a result have one owner each, and every command writes the same dialect."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign import cli
from modalign.errors import ModalignError
from modalign.features.embed import embed_dataset
from modalign.files import RunFile
from modalign.metrics.score import Score
from modalign.runs import Budget, MethodResult, Result, Run
from modalign.runs.train import align_arrays, train_run
from modalign.specification import Specification

SOURCE = Path(__file__).parents[2] / "src" / "modalign"


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("arrays")
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(150, 4))
    paths = []
    for name, width in (("left", 10), ("right", 8)):
        paths.append(folder / f"{name}.npy")
        noise = 0.4 * draw.normal(size=(150, width))
        np.save(paths[-1], (shared @ draw.normal(size=(4, width)) + noise).astype(np.float32))
    return paths


@pytest.fixture(scope="module")
def aligned(arrays: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return align_arrays(arrays, tmp_path_factory.mktemp("aligned") / "run", method="cca", dim=4)


def test_a_run_reads_everything_that_was_written(aligned: Run) -> None:
    run = Run.open(aligned.folder)
    assert run.specification is not None
    assert run.specification.method == {"name": "cca", "dim": 4}
    assert run.result is not None
    assert run.result.methods["cca"].scores["mean_recall"].value > 0.8
    assert run.items.z.modalities == run.model.heads.modalities == ("left", "right")
    assert {split: len(x) for split, x in run.data().splits.items()} == {"train": 120, "test": 30}
    assert len(run.items.split("test").entries["left"]) == 30
    assert (run.log, run.evaluation, run.robustness, run.fits) == (None, None, None, [])
    assert run.environment is not None


def test_a_run_that_was_opened_by_a_relative_path_is_read_from_any_working_folder(
    aligned: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(aligned.folder, tmp_path / "here/run")  # of its own, as it is evaluated
    monkeypatch.chdir(tmp_path / "here")
    run = Run.open("run")
    code, out, err = call(capsys, "evaluate", "run", "--metrics", "procrustes")
    assert code == 0, err
    assert "all scores: run/evaluation.json\npage: modalign report run" in out  # read as it was asked for
    monkeypatch.chdir(tmp_path)
    assert run.result == aligned.result is not None
    assert run.items.z.data["left"].equal(aligned.items.z.data["left"])
    assert run.model.heads.modalities == ("left", "right")


def test_what_align_wrote_can_be_trained_again_and_gives_the_same_bits(
    aligned: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the specification names its arrays by absolute paths
    config = aligned.folder / RunFile.SPECIFICATION
    code, out, err = call(capsys, "train", config, "--set", f"out={tmp_path / 'again'}", "--json")
    assert code == 0, err
    again = Run.open(tmp_path / "again")
    first, second = ((r.folder / RunFile.WEIGHTS).read_bytes() for r in (aligned, again))
    assert first == second
    assert again.result is not None
    assert aligned.result is not None
    assert again.result.methods["cca"].scores == aligned.result.methods["cca"].scores
    assert json.loads(out)["methods"]["cca"]["scores"]["mean_recall"]["unit"] == "share"


def test_what_align_wrote_can_be_fine_tuned_measured_and_searched(
    aligned: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "finetune", aligned.folder, "--out", tmp_path / "tuned", "--set", "steps=4", "--json")
    assert code == 0, err
    tuned = Run.open(tmp_path / "tuned")
    assert tuned.result is not None
    assert tuned.result.title == "fine-tuned heads"
    for command in (("evaluate", tuned.folder), ("report", tuned.folder), ("search", tuned.folder, "--item", "left/0")):
        code, _, err = call(capsys, *command)
        assert code == 0, err
    assert Run.open(tuned.folder).evaluation is not None


def test_data_that_a_specification_cannot_mean_are_refused(arrays: Sequence[Path], tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="two or more arrays"):
        align_arrays(arrays[:1], tmp_path)
    with pytest.raises(ModalignError, match=r"holdout must lie in \[0, 1\)"):
        align_arrays(arrays, tmp_path, holdout=1.0)
    with pytest.raises(ModalignError, match="as many different names"):
        align_arrays(arrays, tmp_path, names=["a", "a"])
    assert not (tmp_path / RunFile.MODEL).exists()


def test_a_checkpoint_belongs_to_its_data_and_settings(
    arrays: Sequence[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [tmp_path / "left.npy", tmp_path / "right.npy"]
    for path, source in zip(other, arrays, strict=True):
        np.save(path, np.load(source)[::-1])  # same shapes, other numbers
    fit = ("--method", "gradient", "--out", tmp_path / "run", "--json")
    assert call(capsys, "align", *arrays, *fit)[0] == 0
    assert call(capsys, "align", *other, *fit)[0] == 0
    fresh = ("--method", "gradient", "--out", tmp_path / "fresh", "--json")
    assert call(capsys, "align", *other, *fresh)[0] == 0
    weights = [Run.open(tmp_path / name).model.heads.state_dict() for name in ("run", "fresh")]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[1])


def test_a_result_survives_json() -> None:
    score = Score(0.5, low=0.4, high=0.6, chance=0.1, unit="share", heading="R@1")
    distance = Score(0.3, higher_is_better=False, unit="distance")
    found = Result(
        "CLIP on pictograms",
        {"clip": MethodResult("CLIP", {"recall/a->b/any@1": score, "procrustes/a~b": distance}, 1.5, 20, (0.4, 0.6))},
        seeds=(0, 1),
        budgets=(Budget("clip", 20, score),),
        skipped={"translation": "no words"},
    )
    text = json.dumps(found.json(), allow_nan=False)
    assert Result.from_json(json.loads(text)) == found
    nothing = Score(float("nan"))
    budgets = (Budget("a", 20, nothing), Budget("a", 40, score))
    undefined = Result("x", {"a": MethodResult("a", {"r": nothing, "s": score})}, budgets=budgets)
    known = Result.from_json(json.loads(json.dumps(undefined.json())))
    assert list(known.methods["a"].scores) == ["s"]
    assert known.budgets == budgets[1:]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([], "older version"),
        ({"title": "x", "methods": {}}, "older version"),
        ({"format": 9, "title": "x", "methods": {}}, "update modalign"),
        ({"format": 2, "methods": {}}, "scores are damaged"),
        ({"format": 2, "title": "x", "methods": {}, "data": []}, "data must be a table"),
        ({"format": 2, "title": "x", "methods": {"a": {"label": "a", "scores": {"r": 3}}}}, "scores are damaged"),
    ],
)
def test_damaged_results_are_refused_in_one_line(table: object, says: str) -> None:
    with pytest.raises(ModalignError, match=says):
        Result.from_json(table, "scores.json")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="not found"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(ModalignError, match="holds no run"):
        Run.open(tmp_path)


def test_one_module_names_the_files_of_a_run() -> None:
    others = {RunFile.REPORT, RunFile.WEIGHTS}  # the pages of benches and migrations, and a file of others' formats
    names = {str(file) for file in RunFile if "." in file and file not in others}
    texts = {path: path.read_text() for path in SOURCE.rglob("*.py")}
    found = {
        str(path.relative_to(SOURCE))
        for path, text in texts.items()
        if any(name in text for name in names)  # most need not be parsed
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    assert found == {"files.py"}


def test_a_run_that_was_moved_has_its_own_features_with_it(tmp_path: Path) -> None:
    """As fine-tuning leaves them: in the run's folder, which its specification names by a whole path."""
    pytest.importorskip("wordllama", reason="an encoder of sentences")
    words = [(f"{a} {b}", f"the {b} is {a}") for a in ("old", "new", "wet", "big") for b in ("cat", "oak", "sea")]
    rows = [(*pair, split) for split in ("train", "test") for pair in words]
    (tmp_path / "list.csv").write_text("caption,narration,split\n" + "".join(",".join(row) + "\n" for row in rows))
    columns = ["columns.text=caption", "columns.narration=narration"]
    encoders = ["text=wordllama", "narration=wordllama"]
    embed_dataset("table", tmp_path / "list.csv", tmp_path / "apart", encoders, columns)
    train_run(Specification({"name": "cca", "dim": 4}, {"store": str(tmp_path / "apart")}, out=str(tmp_path / "run")))
    run = Run.open(tmp_path / "run")
    (tmp_path / "apart").rename(run.store)
    config = run.folder / RunFile.SPECIFICATION
    config.write_text(config.read_text().replace(str(tmp_path / "apart"), str(run.store)))
    before = Run.open(run.folder).data()
    run.folder.rename(tmp_path / "moved")
    moved = Run.open(tmp_path / "moved")
    assert moved.require_specification().data["store"] == str(tmp_path / "moved" / "store")
    assert torch.equal(moved.data()["test"]["text"], before["test"]["text"])
    shutil.copytree(tmp_path / "moved", run.folder)  # what lies where it says is read there
    assert Run.open(tmp_path / "moved").require_specification().data["store"] == str(run.store)
