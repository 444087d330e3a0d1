"""Files that change while they are read, or between two commands: told, and nothing is made of two versions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalign.data.steady import steady
from modalign.diagnosis import diagnose_arrays
from modalign.errors import ModalignError
from modalign.migration import migrate
from modalign.migration.remap import remap
from modalign.progress import Progress
from modalign.runs import Run
from modalign.runs.evaluate import Request, evaluate_run, preservation
from modalign.runs.finetune import finetune_run
from modalign.runs.robustness import evaluate_robustness
from modalign.runs.train import align_arrays, train_run
from modalign.specification import Specification


def written(path: Path, seed: int = 0, rows: int = 200) -> Path:
    """A file of vectors, put in its place in one step."""
    draw = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=(rows, 4)) if seed < 2 else draw.normal(size=(rows, 4))
    x = common @ draw.normal(size=(4, 8)) + 0.1 * draw.normal(size=(rows, 8))
    np.save(path.with_name("new.npy"), x.astype(np.float32))
    os.replace(path.with_name("new.npy"), path)
    return path


def meddling(path: Path) -> Progress:
    """Somebody who writes a file anew while it is worked on."""

    def show(done: int, total: int, what: str) -> None:
        written(path, 7)

    return show


def test_files_that_are_written_to_while_they_are_read_are_told(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.npy"), written(tmp_path / "b.npy", 1)
    pairs = [[i, i] for i in range(100)]
    migrate(a, b, pairs, tmp_path / "moved", methods=["orthogonal"], directions=["rows"])
    calls: dict[str, Callable[[Progress], object]] = {
        "align": lambda p: align_arrays([a, b], tmp_path / "run", method="transport_cca", dim=4, progress=p),
        "diagnose": lambda p: diagnose_arrays([a, b], progress=p),
        "migrate": lambda p: migrate(a, b, pairs, tmp_path / "again", methods=["orthogonal"], progress=p),
        "remap": lambda p: remap(tmp_path / "moved", a, tmp_path / "mapped.npy", progress=p),
    }
    for name, call in calls.items():
        written(a)
        with pytest.raises(
            ModalignError, match=r"a\.npy was written to while it was read: run this again|map them agai"
        ):
            call(meddling(a))
        left = [p.name for p in tmp_path.rglob("*") if p.name in ("scores.json", "mapped.npy", "items.jsonl")]
        assert (left, (tmp_path / "again" / "migration.json").exists()) == ([], False), name
    written(a)
    assert remap(tmp_path / "moved", a, tmp_path / "mapped.npy")["rows"] == 200
    assert align_arrays([a, b], tmp_path / "run", method="cca", dim=4).result is not None


def test_what_is_no_file_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"a")
    with steady(["s3://bucket/x.lance#vector", None, tmp_path, tmp_path / "nothing", f"{tmp_path}/x.parquet#column"]):
        pass
    with (
        pytest.raises(ModalignError, match=r"x\.parquet#column was written to"),
        steady([f"{tmp_path}/x.parquet#column"]),
    ):
        (tmp_path / "x.parquet").unlink()


@pytest.mark.parametrize("rows", [200, 150, 250])
def test_a_run_whose_data_were_written_anew_is_not_measured_on_them(rows: int, tmp_path: Path) -> None:
    """Its heads found the new rows' partners no more often than by chance, and the report showed that."""
    a, b = written(tmp_path / "a.npy"), written(tmp_path / "b.npy", 1)
    run = align_arrays([a, b], tmp_path / "run", method="cca", dim=4)
    before = evaluate_robustness(run.folder, ["noise"]).json()
    kept = run.file("robustness").read_bytes()
    for path, seed in ((a, 5), (b, 6)) if rows != 200 else ((a, 5),):
        written(path, seed, rows)
    said = r"item \d+ of 'a' is another one" if rows == 200 else f"they have {rows} rows of 'a', not 200"
    with pytest.raises(ModalignError, match=rf"data of .*run have changed since it was made \({said}.*\): put"):
        evaluate_robustness(run.folder, ["noise"])
    assert run.file("robustness").read_bytes() == kept
    with pytest.raises(ModalignError, match="have changed since it was made"):
        preservation(Run(run.folder))
    written(a)
    written(b, 1)
    assert evaluate_robustness(run.folder, ["noise"]).json() == before


def test_heads_are_not_tuned_on_other_data_than_they_learnt_from(tmp_path: Path) -> None:
    """Things that they learnt from would be among the new test items."""
    a, b = written(tmp_path / "a.npy"), written(tmp_path / "b.npy", 1)
    run = align_arrays([a, b], tmp_path / "run", method="cca", dim=4)
    written(a, 5)
    with pytest.raises(ModalignError, match=r"have changed since it was made \(item \d+ of 'a' is another one\)"):
        finetune_run(run.folder, tmp_path / "tuned", [], schedule={"steps": 2})
    assert not (tmp_path / "tuned").exists()
    written(a)
    assert finetune_run(run.folder, tmp_path / "tuned", [], schedule={"steps": 2}).result is not None


@pytest.mark.parametrize("anew", [slice(None, None, -1), slice(30)])
def test_labels_are_not_those_of_a_list_that_was_written_anew(anew: slice, tmp_path: Path) -> None:
    """Things of a list are numbered by its rows: each had the label of another."""
    pytest.importorskip("wordllama", reason="an encoder of sentences")
    parts = {
        "train": ("old", "new", "wet", "dry", "big", "soft"),
        "test": ("round", "cold", "loud", "dark", "long", "red"),
    }
    things = (("cat", "pet"), ("dog", "pet"), ("oak", "tree"), ("elm", "tree"))
    rows = [
        f"{how} {thing},the {thing} is {how},{kind},{split}"
        for split, words in parts.items()
        for how in words
        for thing, kind in things
    ]
    listed = tmp_path / "list.csv"

    def write(rows: list[str]) -> None:
        listed.write_text("caption,narration,category,split\n" + "\n".join(rows) + "\n")

    def accuracy() -> float:
        found = evaluate_run(tmp_path / "run", Request(metrics=("cka",), transfer=True))
        return next(iter(found.methods.values())).scores["accuracy/narration->text/transfer"].value

    write(rows)
    data = {"name": "table", "root": str(listed), "columns": {"text": "caption", "narration": "narration"}}
    encoders = dict.fromkeys(("text", "narration"), "wordllama")
    train_run(Specification({"name": "cca", "dim": 8}, data, encoders, out=str(tmp_path / "run")))
    before = accuracy()
    assert before == 1
    write(rows[anew])
    with pytest.raises(ModalignError, match=r"have changed since it was made \(item \d+ of '.*' is another one\)"):
        accuracy()
    corrected = [row.replace("dog,the dog is old,pet", "dog,the dog is old,tree") for row in rows]
    write(corrected)  # other labels of the same things
    assert accuracy() > 0.9
