"""Every kind of head as a graph: torch.export and ONNX give what the head gives, for any number of rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import modalign as ma
from modalign.exports import exported, write_onnx
from modalign.model import FeatureMap, Head, Heads, LocalScaling, Model, Projection

HEADS = {
    "linear": lambda: Head(FeatureMap(6), Projection(6, 4)),
    "rooted": lambda: Head(FeatureMap(6, rank=3, root=True, unit=True), Projection(3, 4)),
    "perceptron": lambda: Head(FeatureMap(6), Projection(6, 4, hidden=8, dropout=0.5)),
    "smoothing": lambda: Head(FeatureMap(6, rank=3, bank=20, neighbours=4), Projection(3, 4)),
    "relations": lambda: Head(FeatureMap(6, rank=3, anchors=12), Projection(15, 4)),
    "nearest relations": lambda: Head(FeatureMap(6, anchors=12, nearest=5), Projection(18, 4)),
    "hubs": lambda: Head(FeatureMap(6), Projection(6, 4), LocalScaling(4, 40, 1, 3, 5)),
    "all": lambda: Head(
        FeatureMap(6, 3, True, True, 20, 4, anchors=12, nearest=5), Projection(15, 4, 5), LocalScaling(4, 40, 0, 2, 5)
    ),
}


def filled(kind: str) -> Model:
    """A model of one such head, every number of which is drawn."""
    draw = torch.Generator().manual_seed(3)
    head = HEADS[kind]()
    with torch.no_grad():
        for part in [*head.parameters(), *head.buffers()]:
            part.copy_(torch.randn(part.shape, generator=draw) / 2)
    return Model(Heads({"text": head})).eval()


@pytest.mark.parametrize("kind", HEADS)
def test_torch_export_keeps_every_head_and_any_number_of_rows(kind: str) -> None:
    model = filled(kind)
    program = exported(model, "text").module()
    for n in (1, 2, 50):
        x = torch.randn(n, 6)
        assert torch.allclose(program(x), model.transform(x, "text"), atol=1e-5)


def agree(model: Model, modality: str, rows: torch.Tensor, path: Path) -> float:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX files are run by onnxruntime")
    pytest.importorskip("onnxscript", reason="ONNX files are written by onnxscript")
    write_onnx(model, modality, path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape[0], found.name, found.shape[0]) == ("features", "n", "points", "n")
    apart = [
        (torch.from_numpy(session.run(None, {"features": x.numpy()})[0]) - model.transform(x, modality)).abs().max()
        for x in (rows[:1], rows[:2], rows)
    ]
    return float(max(apart))


@pytest.mark.parametrize("kind", ["all", *(pytest.param(k, marks=pytest.mark.slow) for k in HEADS if k != "all")])
def test_onnx_keeps_every_head_and_any_number_of_rows(kind: str, tmp_path: Path) -> None:
    assert agree(filled(kind), "text", torch.randn(700, 6), tmp_path / "text.onnx") < 1e-5


@pytest.mark.slow
def test_onnx_keeps_what_full_learnt(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    s = torch.randn(200, 6, generator=draw)
    x = ma.Views.from_arrays(**{
        m: s @ torch.randn(6, d, generator=draw) + 0.1 * torch.randn(200, d, generator=draw)
        for m, d in (("image", 40), ("text", 30))
    })  # fmt: skip
    model = ma.Aligner(dim=32, trials=2).fit(x).model_
    assert model.heads["image"].hubs is not None
    for m in x.modalities:
        assert agree(model, m, x[m], tmp_path / f"{m}.onnx") < 1e-5
