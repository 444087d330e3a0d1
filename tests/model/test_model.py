"""Heads and the model file: unit rows, clear refusals, nothing unpickled, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.model import Heads, Model, load_model
from modalign.model.heads import FeatureMap, Head, Projection, relative, smooth
from modalign.views import Views


def heads(seed: int = 0) -> Heads:
    torch.manual_seed(seed)
    text = FeatureMap(5, rank=4, unit=True, bank=6, neighbours=2, anchors=3)
    text.basis.normal_()  # type: ignore[union-attr]
    text.bank.normal_()  # type: ignore[union-attr]
    text.anchors.copy_(torch.nn.functional.normalize(torch.randn(3, 4), dim=1))  # type: ignore[union-attr]
    return Heads(
        {"text": Head(text, Projection(7, 3)), "a.b keys": Head(FeatureMap(2, root=True), Projection(2, 3, 8, 0.5))}
    )


def test_rows_come_out_as_unit_rows_of_the_modalities_present() -> None:
    z = heads().eval()(Views({"text": torch.randn(4, 5)}, {"text": torch.arange(4)}))
    assert z.modalities == ("text",)
    assert torch.allclose(z["text"].norm(dim=1), torch.ones(4), atol=1e-6)


def test_rows_of_zeros_are_refused_unless_asked_for() -> None:
    h, x = heads(), torch.randn(5, 2)
    x[[1, 4]] = 0.0
    with pytest.raises(ModalignError, match=r"'a.b keys' has 2 all-zero rows of 5 \(1, 4\)"):
        h.transform(x, "a.b keys")
    with pytest.raises(ModalignError, match="all-zero rows"):
        h.embed(Views({"a.b keys": x}, {"a.b keys": torch.arange(5)}))
    assert torch.equal(*h.transform(x, "a.b keys", zero_rows=True)[[1, 4]].chunk(2))


def test_transform_equals_forward_in_chunks_without_dropout() -> None:
    h = heads()
    nn = torch.randn(9, 2)
    whole = h.eval()["a.b keys"](nn)
    h.train()
    assert torch.allclose(h.transform(nn, "a.b keys", chunk=2), whole, atol=1e-6)
    assert h.training
    assert h.transform(nn[:0], "a.b keys").shape == (0, 3)
    assert h.transform(nn[:1], "a.b keys").shape == (1, 3)


def test_rows_that_are_no_tensor_are_told_how_to_become_one() -> None:
    model = Model(Heads({"text": Head(FeatureMap(3), Projection(3, 2))}))
    for call in (model.transform, model.heads.transform, model):
        with pytest.raises(ModalignError, match=r"x must be Tensor.*got ndarray of shape \(4, 3\).*torch.as_tensor"):
            call(np.ones((4, 3)), "text")


def test_unknown_modality_and_wrong_width_are_refused_with_both_numbers() -> None:
    h = heads()
    with pytest.raises(ModalignError, match="unknown modality 'texts': did you mean 'text'"):
        h.transform(torch.randn(2, 5), "texts")
    with pytest.raises(ModalignError, match=r"takes rows of 5 features.*\(2, 6\)"):
        h.transform(torch.randn(2, 6), "text")
    with pytest.raises(ModalignError, match=r"NaN or infinite values in 1 of 3 rows \(1\)"):
        h.transform(torch.tensor([[1.0, 1.0], [float("nan"), 1.0], [0.0, 1.0]]), "a.b keys")
    with pytest.raises(ModalignError, match="one space"):
        Heads({"a": Head(FeatureMap(2), Projection(2, 3)), "b": Head(FeatureMap(2), Projection(2, 4))})
    with pytest.raises(ModalignError, match="does not fit"):
        Head(FeatureMap(2, anchors=3), Projection(2, 3))


def test_root_is_signed_and_unit_rows_have_length_one() -> None:
    phi = FeatureMap(2, root=True).phi(torch.tensor([[4.0, -9.0]]))
    assert phi.tolist() == [[2.0, -3.0]]
    assert torch.allclose(FeatureMap(2, unit=True).phi(torch.tensor([[3.0, 4.0]])), torch.tensor([[0.6, 0.8]]))


def test_anchors_far_away_count_nothing_and_only_the_nearest_may_count() -> None:
    anchors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    w = torch.tensor([[3.0, 1.0]])
    all_of_them = relative(w, anchors, torch.ones(3), 2.0)[0, 2:]
    assert torch.allclose(all_of_them, torch.nn.functional.normalize(torch.tensor([0.9, 0.1, 0.0]), dim=0), atol=1e-6)
    assert torch.allclose(relative(w, anchors, torch.ones(3), 2.0, nearest=1)[0, 2:], torch.tensor([1.0, 0.0, 0.0]))


def test_smoothing_leaves_out_an_items_own_copy() -> None:
    bank = torch.tensor([[1.0, 0.0], [2.0, 0.1]])
    assert torch.allclose(smooth(bank[:1], bank, 1, 1.0), bank[:1] + bank[1:])
    alone = torch.tensor([[0.0, -1.0]])
    assert torch.allclose(smooth(alone, torch.tensor([[0.0, 1.0]]), 1, 1.0), alone)


def test_a_saved_model_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model = Model(heads(), {"text": {"name": "minilm"}}, {"text": "abc"}, {"name": "cca"}, {"chosen": {"ridge": 1.0}})
    model.save(tmp_path)
    again = load_model(tmp_path)
    x = torch.randn(6, 5)
    assert torch.equal(model.transform(x, "text"), again.transform(x, "text"))
    assert (again.encoders, again.fingerprints, again.method, again.record) == (
        model.encoders, model.fingerprints, model.method, model.record,
    )  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def damage(folder: Path, what: str) -> None:
    weights, description = folder / "model.safetensors", folder / "model.json"
    table = json.loads(description.read_text())
    if what == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif what == "no weights":
        weights.unlink()
    elif what == "no description":
        description.unlink()
    elif what == "cut description":
        description.write_text(description.read_text()[:50])
    elif what == "list":
        description.write_text("[]")
    elif what == "newer":
        description.write_text(json.dumps({**table, "format": 99}))
    elif what == "other save":
        Model(heads(seed=1)).save(folder / "other")
        (folder / "other" / "model.safetensors").replace(weights)
    elif what == "other shape":
        table["heads"]["text"]["map"]["dim"] = 4
        description.write_text(json.dumps(table))
    elif what == "unknown setting":
        table["heads"]["text"]["map"]["dims"] = 4
        description.write_text(json.dumps(table))
    elif what == "unknown part":
        table["heads"]["text"]["gate"] = {}
        description.write_text(json.dumps(table))
    elif what == "no table":
        description.write_text(json.dumps({**table, "method": "cca"}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut weights", "do not belong together"),
        ("no weights", "cannot be read"),
        ("no description", "not found"),
        ("cut description", "damaged"),
        ("list", "damaged"),
        ("newer", "update modalign"),
        ("other save", "do not belong together"),
        ("other shape", "share one space|damaged"),
        ("unknown setting", "model.json .*dims"),
        ("unknown part", "model.json .*unknown part of the head of 'text' 'gate'"),
        ("no table", "model.json"),
    ],
)
def test_a_damaged_model_gives_one_clear_error(tmp_path: Path, what: str, message: str) -> None:
    Model(heads()).save(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(ModalignError, match=message) as problem:
        Model.load(tmp_path)
    assert "\n" not in str(problem.value)
