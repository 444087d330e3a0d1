"""The program: what commands print, where they fail, and with what exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from modalign import __main__ as door
from modalign import cli


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command, run in this process."""
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arrays that share four factors, row by row, and a third one of the same items."""
    folder = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(120, 4))
    for name, width in (("text", 12), ("image", 20), ("audio", 8)):
        x = shared @ rng.normal(size=(4, width)) + 0.1 * rng.normal(size=(120, width))
        np.save(folder / f"{name}.npy", x.astype(np.float32))
    (folder / "pairs.csv").write_text("text,image\n" + "".join(f"{i},{i}\n" for i in range(60)))
    return folder


@pytest.fixture(scope="module")
def fitted(arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    cli.main(["align", str(arrays / "text.npy"), str(arrays / "image.npy"), "--out", str(out), "--method", "cca"])
    return out


def test_align_leaves_a_whole_run_folder(fitted: Path) -> None:
    names = {p.name for p in fitted.iterdir()}
    assert names >= {
        "config.toml", "environment.json", "model.safetensors", "model.json", "scores.json", "items.safetensors",
        "items.jsonl", "report.html",
    }  # fmt: skip
    scores = json.loads((fitted / "scores.json").read_text())["methods"]["cca"]["scores"]
    assert scores["mean_recall"]["value"] > 0.9
    assert scores["recall/text->image/any@1"]["chance"] == pytest.approx(1 / 24)


def test_align_says_what_it_did_as_json(arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [arrays / "text.npy", arrays / "image.npy"]
    argv = ["align", *files, "--pairs", arrays / "pairs.csv", "--out", tmp_path / "run", "--method", "cca", "--json"]
    code, out, _ = call(capsys, *argv)
    result = json.loads(out)
    assert code == 0
    assert result["data"]["pairs"] == 48
    assert result["data"]["test"] == 12
    first = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert call(capsys, *argv)[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == first


def test_align_takes_three_arrays(arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [arrays / f"{n}.npy" for n in ("text", "image", "audio")]
    code, out, _ = call(capsys, "align", *files, "--out", tmp_path / "run", "--method", "cca", "--json")
    assert code == 0
    assert json.loads(out)["methods"]["cca"]["scores"]["mean_recall/audio~text"]["value"] > 0.8


def test_transform_writes_unit_rows(
    fitted: Path, arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "z.npy"
    code, _, _ = call(capsys, "transform", fitted, arrays / "text.npy", "--modality", "text", "--out", out)
    z = np.load(out)
    assert code == 0
    assert z.shape[0] == 120
    assert np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)


def test_evaluate_and_report_work_on_a_run(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((fitted / "scores.json").read_text())["methods"]["cca"]["scores"]["mean_recall"]["value"]
    code, out, _ = call(capsys, "evaluate", fitted, "--json")
    assert code == 0
    assert json.loads(out)["methods"]["cca"]["scores"]["mean_recall"]["value"] == before
    code, out, _ = call(capsys, "report", fitted)
    assert code == 0
    assert str(fitted / "report.html") in out


def test_list_names_every_family(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list", "--json")
    found = json.loads(out)
    assert code == 0
    assert {"openmoji"} <= set(found["dataset"])
    assert {"clip", "gram", "siglip", "transport", "total"} <= set(found["objective"])
    assert {"minilm", "efficientnet-lite0"} <= set(found["encoder"])
    assert "cca" in call(capsys, "list", "method")[1]


def spoil(folder: Path, arrays: Path) -> Path:
    """Arrays with one fault each."""
    x = np.load(arrays / "text.npy")
    nan = x.copy()
    nan[[3, 7], 0] = np.nan
    zero = x.copy()
    zero[5] = 0
    np.save(folder / "nan.npy", nan)
    np.save(folder / "zero.npy", zero)
    np.save(folder / "short.npy", x[:50])
    np.save(folder / "flat.npy", x[:, 0])
    np.save(folder / "empty.npy", x[:0])
    np.save(folder / "object.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    (folder / "broken.npy").write_bytes(b"\x93NUMPY broken")
    (folder / "nothing.npy").write_bytes(b"")
    (folder / "far.csv").write_text("0,0\n1,999\n")
    (folder / "words.csv").write_text("a,b\n1,1\nx,y\n")
    return folder


@pytest.mark.parametrize(
    ("other", "extra", "message"),
    [
        ("nan.npy", (), r"NaN or infinite values in 2 of 120 rows (3, 7)"),
        ("zero.npy", (), "1 all-zero rows of 120 (5)"),
        ("short.npy", (), "different numbers of rows"),
        ("flat.npy", (), "flat.npy"),
        ("empty.npy", (), "empty.npy"),
        ("object.npy", (), "object.npy"),
        ("broken.npy", (), "broken.npy"),
        ("nothing.npy", (), "nothing.npy"),
        ("none.npy", (), "none.npy"),
        ("short.npy", ("--pairs", "far.csv"), "999"),
        ("short.npy", ("--pairs", "words.csv"), "words.csv"),
        ("short.npy", ("--pairs", "none.csv"), "none.csv"),
        ("nan.npy", ("--method", "transport_ca"), "did you mean 'transport_cca'"),
        ("nan.npy", ("--holdout", "1.5"), "holdout"),
        ("nan.npy", ("--names", "a", "a"), "different names"),
        ("nan.npy", ("--dim", "wide"), "dim"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    other: str, extra: tuple[str, ...], message: str, arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(tmp_path, arrays)
    options = [tmp_path / e if e.endswith(".csv") else e for e in extra]
    argv = ["align", arrays / "image.npy", tmp_path / other, "--out", tmp_path / "run", *options]
    code, out, err = call(capsys, *argv)
    assert code == 2, err
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("search", "no/such/run", "word"), "no/such/run"),
        (("report", "no/such/run"), "no/such/run"),
        (("evaluate", "no/such/run"), "no/such/run"),
        (("train", "no.toml"), "no.toml"),
        (("embed", "openmojis", "--out", "x"), "did you mean 'openmoji'"),
        (("list", "metrics"), "did you mean 'metric'"),
        (("demo", "--seeds", "0"), "seeds must be at least 1"),
        (("demo", "--pairs", "3"), "at least 8 pairs"),
        (("demo", "--langage", "de"), "--language"),
        (("alin",), "did you mean 'align'"),
        (("report", "a", "b"), "report does not take 'b'"),
        (("embed", "synthetic", ".", "2", "--out", "x"), "embed does not take '2'"),
        (("bench",), "bench needs SUITE"),
        (("align", "a.npy", "b.npy"), "align needs --out"),
        (("align", "a.npy", "b.npy", "--out"), "align needs --out with a value"),
        (("diagnose", "a.npy", "b.npy", "--names", "", "a"), "the name of a modality"),
        (("diagnose", "a.npy", "b.npy", "--names", "b", "a"), "array file not found"),
        (("diagnose", "a.npy", "b.npy", "--names", "", ""), "got '', ''"),
    ],
)
def test_other_mistakes(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *argv)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


def test_search_on_arrays_says_that_there_is_no_encoder(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "search", fitted, "a word")
    assert code == 2
    assert "no encoder for 'text'" in err


def test_transform_mistakes(fitted: Path, arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(
        capsys, "transform", fitted, arrays / "text.npy", "--modality", "txt", "--out", tmp_path / "z.npy"
    )
    assert (code, "did you mean 'text'" in err) == (2, True)
    code, _, err = call(
        capsys, "transform", fitted, arrays / "audio.npy", "--modality", "text", "--out", tmp_path / "z.npy"
    )
    assert (code, "12" in err and "8" in err) == (2, True)
    (fitted / "model.safetensors").read_bytes()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.json").write_text((fitted / "model.json").read_text())
    (damaged / "model.safetensors").write_bytes((fitted / "model.safetensors").read_bytes()[:-7])
    code, _, err = call(
        capsys, "transform", damaged, arrays / "text.npy", "--modality", "text", "--out", tmp_path / "z.npy"
    )
    assert (code, "damaged" in err) == (2, True)


@pytest.mark.parametrize("moment", ["loaded", "ending"])
def test_ctrl_c_before_the_program_began_and_while_it_ends_is_one_line(
    moment: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    program = ModuleType("modalign.cli")
    setattr(program, "__getattr__" if moment == "loaded" else "main", interrupted)
    monkeypatch.setitem(sys.modules, "modalign.cli", program)
    hearing = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as stop:
            door.main()
        assert (stop.value.code, capsys.readouterr()) == (130, ("", "modalign: interrupted\n"))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # Python ends without being interrupted
    finally:
        signal.signal(signal.SIGINT, hearing)


def test_a_closed_pipe_is_no_error() -> None:
    code = f"{sys.executable} -m modalign list | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {code}"], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout


def test_every_parameter_of_every_command_has_its_help() -> None:
    from cyclopts import ArgumentCollection

    from modalign.cli import app

    silent = []
    for name in app:
        if name.startswith("-"):
            continue
        arguments: ArgumentCollection = app[name].assemble_argument_collection(parse_docstring=True)
        silent += [f"{name} {a.name}" for a in arguments if not a.parameter.help]
    assert not silent


@pytest.mark.parametrize(
    ("said", "spins"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_threads_wait_as_the_user_says_or_a_moment_and_then_asleep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: dict[str, str], spins: str | None
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in cli.WAITING} | said
    monkeypatch.setattr(os, "environ", environment)
    assert call(capsys, "--version")[0] == 0
    assert environment["OMP_WAIT_POLICY"] == said.get("OMP_WAIT_POLICY", "PASSIVE")
    assert environment.get("GOMP_SPINCOUNT") == spins
