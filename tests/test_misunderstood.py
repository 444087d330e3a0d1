"""Options that would take no part, places that are taken for names, names that a terminal or a list cannot hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import modalign as ma
from modalign import cli
from modalign.data.pairs import load_pairs
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.runs.train import align_arrays
from modalign.search import Index, Query

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two arrays, a run and its index."""
    folder = tmp_path_factory.mktemp("made")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(80, 6)).astype("float32")
    np.save(folder / "a.npy", x)
    np.save(folder / "b.npy", x @ draw.normal(size=(6, 5)).astype("float32"))
    align_arrays([folder / "a.npy", folder / "b.npy"], folder / "run", method="cca", dim=3)
    (folder / "list.csv").write_text("caption\na dog\na cat\n")
    return folder


@pytest.fixture
def call(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The program, in that folder: exit code, output, messages."""
    monkeypatch.chdir(made)

    def run(*argv: str) -> tuple[int, str, str]:
        code = 0
        try:
            cli.main(list(argv))
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("evaluate run --robustness noise --metrics cka", "--metrics would take no part beside --robustness"),
        ("evaluate run --robustness noise --geometry --transfer", "--geometry, --transfer would take no part"),
        ("evaluate run --gallery b", "--gallery would take no part without --robustness"),
        ("evaluate run --against run", "--against would take no part without --robustness"),
        ("evaluate run --labels split", "--labels would take no part without --transfer"),
        ("evaluate run --fusion max", "--fusion would take no part without --query"),
        ("evaluate run --robustness noise --against run", "cannot be compared with itself"),
        ("bench quick --only-report --redo --out b", "--redo would take no part with --only-report"),
        ("bench quick --only-report --out b", "b holds no results of the suite 'quick' to sum up"),
        ("bench migrate-text --setting x --workers 2 --out b", "--setting, --workers would take no part"),
        ("migrate a.npy --choose 5 --method full --out c.csv", "--method would take no part beside --choose"),
        ("migrate a.npy b.npy --how random --out c", "--how would take no part without --choose"),
        ("index run --set links=8 --out i", "links is a setting of hnsw, and the index is exact: give --kind hnsw"),
        ("index run --kind hnsw --set probes=8 --out i", "probes is a setting of ivfpq, and the index is hnsw"),
        ("index run --delete a/0 --out i", "run is no index, and --delete takes items out of one"),
        ("index run --split nope --out i", "unknown split of run 'nope'"),
        ("embed table list.csv --encoder text=minilm --encoder text=wordllama --out s", "'text' is given twice"),
        ("embed list.csv --out s", "list.csv is a place, and the name of the data set comes first: perhaps table"),
        ("search gone a", "run folder not found: gone"),
        ("train run", "specification cannot be read: run (Is a directory)"),
        ("remap run a.npy --out z.npy", "run holds a run, and no migration"),
    ],
)
def test_what_would_be_ignored_or_is_taken_for_something_else_is_refused(
    call: Call, made: Path, command: str, said: str
) -> None:
    code, out, err = call(*command.split())
    assert (code, out) == (2, "")
    assert said in " ".join(err.split()), err
    assert not {"b", "c", "c.csv", "i", "s"} & {p.name for p in made.iterdir()}


def test_options_of_an_index_that_is_there(call: Call) -> None:
    assert call("index", "run")[0] == 0
    assert "--kind would take no part for an index that is there" in call(*["index", "run/index", "--kind", "hnsw"])[2]
    assert "79 more): replace" in call(*["index", "run", "--add"])[2].replace("157 more", "79 more")


def test_splits_go_by_their_common_names(call: Call, made: Path) -> None:
    (made / "split.csv").write_text("caption,split\na dog,val\na cat,train\n")
    code, out, _ = call(*["check", "table", "split.csv", "--split", "Validation", "--quick"])
    assert (code, "1 val" in out) == (0, True)


@pytest.mark.slow
def test_names_that_are_no_utf8_and_terminals_that_lack_letters(made: Path) -> None:
    """Refused in one line; and what cannot be shown is written as its number, with exit code 0."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}

    def run(*argv: object) -> tuple[int, bytes]:
        done = subprocess.run([sys.executable, "-m", "modalign", *argv], cwd=made, env=env, capture_output=True)  # type: ignore[list-item]
        return done.returncode, done.stdout + done.stderr

    code, said = run("align", "a.npy", "b.npy", "--method", "cca", "--dim", "3", "--out", b"caf\xe9")
    assert (code, b"is no UTF-8: choose another --out" in said, said.count(b"\n")) == (2, True, 1)
    (made / os.fsdecode(b"\xe9.npy")).write_bytes((made / "a.npy").read_bytes())
    code, said = run("diagnose", b"\xe9.npy", "b.npy")
    assert (code, b"is no UTF-8: rename the file" in said) == (2, True)
    code, said = run("transform", "run", "a.npy", "--modality", "a", "--out", "größe.npy".encode())
    assert (code, b"gr\\xf6\\xdfe.npy" in said) == (0, True)


def test_arrays_where_views_are_wanted() -> None:
    x = np.eye(8, dtype="float32")
    for call in (ma.evaluate, ma.diagnose):
        with pytest.raises(ModalignError, match=r"must be Views, got ndarray of shape \(8, 8\): Views\.from_arrays"):
            call(x)
        with pytest.raises(ModalignError, match=r"must be Views, got .*: Views\.from_arrays"):
            call({"a": x, "b": x})
    with pytest.raises(ModalignError, match=r"modality 'a': data and groups are tensors, got ndarray and list"):
        ma.Views({"a": x}, {"a": [0] * 8})
    assert set(ma.evaluate(ma.Views.from_arrays(a=x, b=x), "gap"))  # one name is a list of one


def test_a_value_is_told_in_few_letters() -> None:
    with pytest.raises(ModalignError) as caught:
        ma.Aligner(dim=np.zeros((500, 500))).fit(np.eye(40), np.eye(40))
    assert len(str(caught.value)) < 200


def test_pairs_as_other_programs_write_them(tmp_path: Path) -> None:
    for name, content in (
        ("gaps.csv", b"a,b\n0.0,1.0\n2.0,3.0\n"),
        ("excel.txt", "a\tb\r\n0\t1\r\n2\t3\r\n".encode("utf-16")),
        ("mac.csv", b"a,b\r0,1\r2,3\r"),
    ):
        (tmp_path / name).write_bytes(content)
        assert load_pairs(tmp_path / name).tolist() == [[0, 1], [2, 3]]
    (tmp_path / "half.csv").write_text("0.5,1\n")
    with pytest.raises(ModalignError, match="line 1: expected two row numbers"):
        load_pairs(tmp_path / "half.csv")


def test_pairs_that_join_many_rows_are_told(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in a list of pairs, such as a column of zeros, makes one thing of all rows that it names."""
    pairs = [(i, i) for i in range(40)] + [(0, i) for i in range(10)]
    (tmp_path / "p.csv").write_text("".join(f"{a},{b}\n" for a, b in pairs))
    cli.main(["align", str(made / "a.npy"), str(made / "b.npy"), "--pairs", str(tmp_path / "p.csv"), "--method", "cca",
              "--dim", "3", "--out", str(tmp_path / "run")])  # fmt: skip
    said = "1 groups of pairs hold several rows of 'a' and of 'b' (the largest 10 and 10)"
    assert said in capsys.readouterr().err
    notes = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert said in json.dumps(notes)


def test_values_of_another_kind_in_python(made: Path, tmp_path: Path) -> None:
    rows = ma.datasets.table(made / "list.csv")
    for call, said in (
        (lambda: embed(rows, {"text": "minilm"}, tmp_path / "s"), "the encoder of 'text' is named, not made"),  # type: ignore[dict-item]
        (lambda: embed([1], {}, tmp_path / "s"), "what is embedded is a Manifest"),  # type: ignore[arg-type]
        (lambda: ma.datasets.arrays("a.npy"), "files must be a table of names and values, got 'a.npy'"),
        (lambda: ma.datasets.hf({"train": iter([])}), "a streamed data set has no row numbers"),
        (lambda: Query().text(["a", "b"]), "words to search for are one text, got list"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ModalignError, match=said):
            call()
    with pytest.raises(ModalignError):
        Index(str(tmp_path / "gone"))  # type: ignore[arg-type]
