"""`modalign export`: files that are there, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import modalign as ma
from modalign import cli
from modalign.errors import ModalignError
from modalign.exports import command


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a model and nothing else."""
    draw = torch.Generator().manual_seed(0)
    s = torch.randn(60, 4, generator=draw)
    x = ma.Views.from_arrays(image=s @ torch.randn(4, 9, generator=draw), text=s @ torch.randn(4, 7, generator=draw))
    ma.Aligner("cca", dim=4).fit(x).save(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_onnx_files_of_every_modality(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript", reason="ONNX files are written by onnxscript")
    cli.main(["export", str(run), "--to", "onnx", "--out", str(run / "out"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["image.onnx", "text.onnx"]
    assert all((run / "out" / name).stat().st_size > 0 for name in found["files"])


def test_an_export_that_fails_leaves_the_former_one_whole(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(model: ma.Model, modality: str, path: Path) -> None:
        path.write_text("first")

    def second(model: ma.Model, modality: str, path: Path) -> None:
        if modality == "text":
            raise ModalignError("no space left")
        path.write_text("second")

    monkeypatch.setattr(command, "write_onnx", first)
    command.export_run(run, "onnx", run.parent / "out")
    monkeypatch.setattr(command, "write_onnx", second)
    with pytest.raises(ModalignError, match="no space"):
        command.export_run(run, "onnx", run.parent / "out")
    files = {p.name: p.read_text() for p in (run.parent / "out").glob("*.onnx")}
    assert files == {"image.onnx": "first", "text.onnx": "first"}
    assert not (run.parent / "out" / ".next").exists()


def test_mistakes_of_an_export_are_told_in_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thesis = run.parent / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("...")
    for words, said in (
        ([str(run), "--to", "onxx", "--out", "x"], "did you mean 'onnx'"),
        (["nowhere", "--to", "onnx", "--out", "x"], "run folder not found: nowhere"),
        ([str(run), "--to", "onnx", "--out", str(run)], "is read as input: choose another --out"),
        ([str(run), "--to", "onnx", "--out", str(thesis)], "holds files that are not modalign's"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(["export", *words])
        assert stop.value.code == 2
        assert said in capsys.readouterr().err
