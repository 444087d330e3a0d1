"""Options that would take no part, places that are taken for names, names that a terminal or a list cannot hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalign import cli
from modalign.runs.train import align_arrays

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
