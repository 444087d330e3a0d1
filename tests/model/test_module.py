"""A model is a module of torch: parameters, gradients, state, compiling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import modalign as ma
from modalign.model import FeatureMap, Head, Heads, Model, Projection


def fitted() -> tuple[Model, ma.Views]:
    draw = torch.Generator().manual_seed(0)
    s = torch.randn(80, 4, generator=draw)
    x = ma.Views.from_arrays(image=s @ torch.randn(4, 9, generator=draw), text=s @ torch.randn(4, 7, generator=draw))
    return ma.Aligner("cca", dim=4).fit(x).model_, x


def test_a_loaded_run_is_a_module_with_a_state(tmp_path: Path) -> None:
    model, x = fitted()
    model.save(tmp_path)
    again = ma.load(tmp_path)
    assert isinstance(again, nn.Module)
    assert not again.training
    assert torch.equal(again(x["text"], "text"), model.transform(x["text"], "text"))
    assert torch.equal(again(x)["image"], model.transform(x["image"], "image"))
    state = {k: v + 1 for k, v in again.state_dict().items()}
    assert all(k.startswith("heads.") for k in state)
    again.load_state_dict(state)
    assert not torch.equal(again(x["text"], "text"), model(x["text"], "text"))
    assert all(p.requires_grad for p in again.parameters())
    with pytest.raises(ma.ModalignError, match="say whose features these are: one of image, text"):
        again(x["text"])
    with pytest.raises(ma.ModalignError, match="takes rows of 7 features"):
        again(x["image"], "text")


def test_a_loop_of_ones_own_trains_the_heads() -> None:
    model, x = fitted()
    head = Head(FeatureMap(9), Projection(9, 4))
    other = Model(Heads({"image": head, "text": model.heads["text"]})).train()
    objective = ma.objectives.Clip(scale=10.0)
    optimiser = torch.optim.Adam([*other.parameters(), *objective.parameters()], lr=0.05)
    losses = []
    for _ in range(30):
        loss = objective(other(x["image"], "image"), other(x["text"], "text"))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_whole_model_compiles_without_a_break() -> None:
    model, x = fitted()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(x["text"], "text"), model(x["text"], "text"), atol=1e-6)


def test_a_model_shows_its_modalities_and_widths() -> None:
    model, _ = fitted()
    assert "image 9 -> 4, text 7 -> 4" in repr(model)
    assert "Projection(dim=4)" in repr(model)
    assert repr(ma.objectives.Clip(scale=20.0, learn_scale=False).scale) == "Scale(20, at most 100, fixed)"
